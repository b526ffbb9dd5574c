"""Every transform of the response against ordinary least squares by statsmodels, and whole assays combined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from statsmodels.formula.api import ols

from nkloop.assays.potency.assay import analyse_potency
from nkloop.assays.potency.combine import combine_files
from nkloop.assays.potency.data import PotencyData, read_potency
from nkloop.assays.potency.models import PotencyResult
from nkloop.assays.potency.parallel_line import Question

DOSES = (1.0, 2.0, 4.0, 8.0)
RATIO = 1.3


def written(path: Path, back: Callable[[float], float], *, ratio: float = RATIO, seed: int = 1) -> Path:
    """Responses that are a straight line over log dose once transformed."""
    chance = np.random.default_rng(seed)
    rows = ["preparation,dose,response"]
    for name, potency in (("S", 1.0), ("T", ratio)):
        for dose in DOSES:
            for _ in range(3):
                line = 2.0 + 1.5 * np.log10(potency * dose) + 0.04 * chance.standard_normal()
                rows.append(f"{name},{dose},{float(back(line))!r}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def analysed(path: Path, transform: str) -> PotencyResult:
    return analyse_potency(read_potency(path, "crd", transform), Question("S", "crd", transform))


@pytest.mark.parametrize(
    ("transform", "forward", "back"),
    [
        pytest.param("identity", lambda y: y, lambda v: v, id="identity"),
        pytest.param("log10", np.log10, lambda v: 10**v, id="log10"),
        pytest.param("ln", np.log, np.exp, id="ln"),
        pytest.param("square", np.square, np.sqrt, id="square"),
        pytest.param("sqrt", np.sqrt, np.square, id="square root"),
        pytest.param("logit", lambda y: np.log(y / (1 - y)), lambda v: 1 / (1 + np.exp(-v)), id="logit"),
    ],
)
def test_a_transform_against_ordinary_least_squares(
    tmp_path: Path, transform: str, forward: Callable[[pd.Series], pd.Series], back: Callable[[float], float]
) -> None:
    """Slope, variance and potency by statsmodels on responses transformed by hand; Fieller's limits as roots."""
    path = written(tmp_path / "assay.csv", back)
    result = analysed(path, transform)
    frame = pd.read_csv(path)
    frame["y"], frame["x"] = forward(frame["response"]), np.log10(frame["dose"])
    lines = ols("y ~ C(preparation) + x", frame).fit()
    pure = ols("y ~ C(preparation):C(dose)", frame).fit()
    step, slope = lines.params["C(preparation)[T.T]"], lines.params["x"]
    assert result.common_slope == pytest.approx(slope)
    assert result.error_variance == pytest.approx(pure.mse_resid)
    assert result.potency_if_valid == pytest.approx(10 ** (step / slope))
    covariance = lines.cov_params() * pure.mse_resid / lines.mse_resid
    t2 = float(student.ppf(0.975, pure.df_resid)) ** 2
    names = ["C(preparation)[T.T]", "x"]
    (a, c), (_, b) = covariance.loc[names, names].to_numpy()
    roots = np.roots([slope**2 - t2 * b, -2 * (step * slope - t2 * c), step**2 - t2 * a])
    assert (result.ci_low_if_valid, result.ci_high_if_valid) == pytest.approx(tuple(10 ** np.sort(roots.real)))
    assert result.ci_low_if_valid < RATIO < result.ci_high_if_valid  # type: ignore[operator]


def test_assays_that_agree_are_weighted_and_assays_that_do_not_are_told(tmp_path: Path) -> None:
    """From three tables to the heterogeneity test, with the weights worked from the intervals."""
    found = {}
    for name, ratios in (("agree", (1.3, 1.3, 1.3)), ("differ", (1.0, 1.3, 1.7))):
        files, results = [], []
        for number, ratio in enumerate(ratios, start=1):
            result = analysed(written(tmp_path / "assay.csv", lambda v: v, ratio=ratio, seed=13 + number), "identity")
            assert result.valid
            results.append(result)
            files.append(tmp_path / f"{name}-{number}.json")
            files[-1].write_text(result.model_dump_json(), encoding="utf-8")
        (found[name],) = combine_files(files)
        m = np.log10([r.potency for r in results])
        width = np.log10([r.ci_high / r.ci_low for r in results])  # type: ignore[operator]
        w = 4 * np.array([student.ppf(0.975, r.freedom) for r in results]) ** 2 / width**2
        assert found[name].chi_square == pytest.approx(float(w @ (m - w @ m / w.sum()) ** 2))
    assert (found["agree"].method, found["differ"].method) == ("weighted", "semi-weighted")
    assert found["agree"].p > 0.05 > 0.001 > found["differ"].p
    assert found["agree"].ci_low < RATIO < found["agree"].ci_high
    spread = {name: np.log(one.ci_high / one.ci_low) for name, one in found.items()}
    assert spread["differ"] > 5 * spread["agree"]


def test_parallel_curves_hold_the_truth() -> None:
    """A small share of `benchmarks/coverage.py`, which covers 2,000 assays: 94.7 %."""
    chance = np.random.default_rng(4)
    x = np.log10(np.tile(np.repeat(np.geomspace(0.1, 30, 7), 2), 2))
    names = ("S",) * 14 + ("T",) * 14
    exact = 5 + 90 / (1 + (2 / (10**x * np.repeat([1.0, RATIO], 14))) ** 1.3)
    found = []
    for _ in range(24):
        y = exact + 3 * chance.standard_normal(x.size)
        found.append(analyse_potency(PotencyData(names, x, y, y), Question("S", "4pl")))
    inside = [(f.ci_low_if_valid or 0) <= RATIO <= (f.ci_high_if_valid or np.inf) for f in found]
    assert 19 <= sum(inside) <= 24  # binomial 99.9 % range of 95 % at n = 24
    middle = 10 ** np.mean([np.log10(f.potency_if_valid or np.nan) for f in found])
    assert middle == pytest.approx(RATIO, rel=0.05)
