"""Potency assays whose results are published, to every digit given.

Data and results: European Pharmacopoeia 5.3 (5th edition, 2005), examples 5.1.1 to 5.1.4, and the CombiStats example
"Factor IX" of the EDQM, as reproduced with their tables in the R package `pla` (CRAN, version of 2015, files
inst/vignettes/PhEur/data and inst/vignettes/CombiStat/data).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from nkloop.assays.potency.assay import analyse_potency
from nkloop.assays.potency.data import PotencyData, read_potency
from nkloop.assays.potency.models import Design, PotencyResult
from nkloop.assays.potency.parallel_line import Question

FOLDER = Path(__file__).parent / "published"
TURBIDIMETRIC = 670 * 16.7 / 25 / (20000 / 40) * 20000
AGAR = 5600 * (4855 * 25.2 / 24.5) / (5600 * 21.4 / 23.95)


def analysed(name: str, design: Design, transform: str = "identity", assumed: float = 1.0) -> PotencyResult:
    data = read_potency(FOLDER / f"{name}.csv", design, transform)
    return analyse_potency(data, Question("S", design, transform, assumed))


@pytest.mark.parametrize(
    ("name", "design", "transform", "assumed", "preparation", "published"),
    [
        pytest.param(
            "corticotrophin", "crd", "identity", 1, "T", (1.14205, 0.783648, 1.68690), id="5.1.1_corticotrophin_T"
        ),
        pytest.param(
            "corticotrophin", "crd", "identity", 1, "U", (1.66889, 1.14813, 2.55503), id="5.1.1_corticotrophin_U"
        ),
        pytest.param(
            "agar_diffusion", "latin", "identity", AGAR, "T", (5456.37, 5092.37, 5843.36), id="5.1.2_agar_latin"
        ),
        pytest.param(
            "turbidimetric",
            "rbd",
            "identity",
            TURBIDIMETRIC,
            "T",
            (19228.5, 18423.4, 20075.2),
            id="5.1.3_turbidimetric",
        ),
        pytest.param("hepatitis_b", "crd", "ln", 20, "T", (43.4196, 40.5448, 46.5397), id="5.1.4_hepatitis_b_T"),
        pytest.param("hepatitis_b", "crd", "ln", 20, "U", (35.1630, 32.8698, 37.6405), id="5.1.4_hepatitis_b_U"),
        pytest.param("hepatitis_b", "crd", "ln", 20, "V", (39.4017, 36.8125, 42.2057), id="5.1.4_hepatitis_b_V"),
        pytest.param("factor_ix", "crd", "log10", 500, "T", (511.616, 436.530, 599.058), id="combistats_factor_ix"),
    ],
)
def test_potency_and_limits(
    name: str, design: Design, transform: str, assumed: float, preparation: str, published: tuple[float, ...]
) -> None:
    found = {p.preparation: p for p in analysed(name, design, transform, assumed).preparations}[preparation]
    limits = (found.potency_if_valid, found.ci_low_if_valid, found.ci_high_if_valid)
    assert limits == pytest.approx(published, rel=5e-6)
    # the published corticotrophin assay is not valid: its numbers are for the investigation only
    assert (found.potency, found.ci_low, found.ci_high) == (limits if found.valid else (None, None, None))
    assert found.valid == (name != "corticotrophin")


@pytest.mark.parametrize(
    ("name", "design", "transform", "published"),
    [
        pytest.param(
            "corticotrophin",
            "crd",
            "identity",
            {
                "preparations": (2, 6256.63, 4.086),
                "regression": (1, 63830.8, 83.377),
                "non-parallelism": (2, 8218.23, 5.367),
            },
            id="corticotrophin",
        ),
        pytest.param(
            "agar_diffusion",
            "latin",
            "identity",
            {
                "rows": (5, 412.0, 3.968),
                "columns": (5, 218.667, 2.106),
                "preparations": (1, 11.1111, 0.535),
                "regression": (1, 8475.04, 408.108),
                "non-parallelism": (1, 18.375, 0.885),
                "non-linearity": (2, 5.47222, 0.132),
            },
            id="agar_diffusion",
        ),
        pytest.param(
            "turbidimetric",
            "rbd",
            "identity",
            {
                "blocks": (4, 876.75, 4.065),
                "preparations": (1, 632.025, 11.722),
                "regression": (1, 101745.6, 1887.1),
                "non-parallelism": (1, 25.205, 0.467),
                "non-linearity": (4, 259.14, 1.202),
            },
            id="turbidimetric",
        ),
        pytest.param(
            "hepatitis_b",
            "crd",
            "ln",
            {
                "preparations": (3, 4.47522, 223.392),
                "regression": (1, 47.5841, 7125.8),
                "non-parallelism": (3, 0.0186856, 0.933),
                "non-linearity": (12, 0.0742323, 0.926),
            },
            id="hepatitis_b",
        ),
    ],
)
def test_analysis_of_variance(
    name: str, design: Design, transform: str, published: dict[str, tuple[int, float, float]]
) -> None:
    rows = {row.source: row for row in analysed(name, design, transform).analysis_of_variance}
    for source, (freedom, squares, f) in published.items():
        assert rows[source].freedom == freedom
        assert rows[source].sum_of_squares == pytest.approx(squares, rel=6e-6)
        assert rows[source].f == pytest.approx(f, abs=6e-4, rel=6e-5)


def test_corticotrophin_is_not_valid_until_the_crossing_preparation_is_left_out() -> None:
    result = analysed("corticotrophin", "crd")
    assert not result.valid
    assert result.reasons == (
        "the lines are not parallel: F 5.37, p 0.007; leave out the preparation that differs",
        "U: its slope differs from that of the standard (p 0.005)",
    )
    data = read_potency(FOLDER / "corticotrophin.csv", "crd", "identity")
    left = analyse_potency(data, Question("S", "crd"), leave_out=["U"])
    assert left.valid
    assert left.potency == left.potency_if_valid == left.preparations[0].potency


@pytest.mark.parametrize("name", ["turbidimetric", "hepatitis_b", "agar_diffusion"])
def test_limits_by_the_formulas_of_the_pharmacopoeia(name: str) -> None:
    """Ph. Eur. 5.3, 3.2.5: C, V and H of balanced assays, worked on sums of treatment means."""
    design: Design = {"turbidimetric": "rbd", "hepatitis_b": "crd", "agar_diffusion": "latin"}[name]  # type: ignore[assignment]
    transform = "ln" if name == "hepatitis_b" else "identity"
    data = read_potency(FOLDER / f"{name}.csv", design, transform)
    result = analyse_potency(data, Question("S", design, transform))
    doses = np.unique(np.round(data.log_dose, 9))
    d, h, n = len(doses), len(data.names()), len(data.response)
    per_treatment = n / (d * h)
    means = {
        p: np.array([data.response[data.of(p) & np.isclose(data.log_dose, x, atol=1e-6)].mean() for x in doses])
        for p in data.names()
    }
    contrast = {p: float(np.arange(1, d + 1) @ m - (d + 1) / 2 * m.sum()) for p, m in means.items()}
    h_l = 12 * per_treatment / (d**3 - d)
    regression = h_l / h * sum(contrast.values()) ** 2
    step = float(np.diff(doses).mean()) * np.log(10)
    slope = 12 * sum(contrast.values()) / (step * h * (d**3 - d))
    s2, t = result.error_variance, float(student.ppf(0.975, result.freedom))
    assert s2 is not None
    c = regression / (regression - s2 * t * t)
    v = regression / (slope**2 * d * per_treatment)
    for found in result.preparations:
        m = (means[found.preparation].sum() - means["S"].sum()) / (d * slope)
        half = np.sqrt((c - 1) * (c * m * m + 2 * v))
        limits = np.exp([m, c * m - half, c * m + half])
        assert (found.potency, found.ci_low, found.ci_high) == pytest.approx(tuple(limits), rel=1e-5)
        assert found.g == pytest.approx(1 - 1 / c, rel=1e-5)


def test_missing_values_agree_with_statsmodels() -> None:
    """Four responses of the Latin square taken away: sequential sums of squares and potency by least squares."""
    import pandas as pd
    from statsmodels.formula.api import ols

    full = read_potency(FOLDER / "agar_diffusion.csv", "latin", "identity")
    keep = [i for i in range(36) if i not in {16, 22, 32, 34}]
    data = PotencyData(
        tuple(full.preparation[i] for i in keep),
        full.log_dose[keep],
        full.response[keep],
        full.raw[keep],
        {k: tuple(v[i] for i in keep) for k, v in full.blocks.items()},
        4,
    )
    result = analyse_potency(data, Question("S", "latin"))
    frame = pd.DataFrame(
        {
            "y": data.response,
            "x": data.log_dose,
            "p": data.preparation,
            "r": data.blocks["row"],
            "c": data.blocks["column"],
        }
    )
    frame["treatment"] = frame["p"] + frame["x"].round(6).astype(str)
    terms = ("1", "C(r)", "C(c)", "C(p)", "x", "C(p):x")
    left = [ols("y ~ " + " + ".join(terms[: k + 1]), frame).fit().ssr for k in range(len(terms))]
    full_model = ols("y ~ C(r) + C(c) + C(treatment)", frame).fit()
    left.append(full_model.ssr)
    rows = {row.source: row for row in result.analysis_of_variance}
    sources = ("rows", "columns", "preparations", "regression", "non-parallelism", "non-linearity")
    for source, before, after in zip(sources, left, left[1:], strict=False):
        assert rows[source].sum_of_squares == pytest.approx(before - after, rel=1e-8)
    assert rows["residual"].sum_of_squares == pytest.approx(full_model.ssr, rel=1e-8)
    assert rows["residual"].freedom == full_model.df_resid
    common = ols("y ~ C(r) + C(c) + C(p) + x", frame).fit().params
    (found,) = result.preparations
    assert found.potency == pytest.approx(10 ** (common["C(p)[T.T]"] / common["x"]), rel=1e-8)
    assert "4 missing responses: least squares on the others, nothing imputed" in result.notes
