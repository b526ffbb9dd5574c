"""What an antibody or a CAR adds, with intervals that hold the truth; "no difference" is a result."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from nkloop.assays import analyse
from nkloop.assays.designs import DesignRequest, DoseSeries, design
from nkloop.assays.models import EffectorSample, LayoutWell, PlateLayout, Treatment

_SPEC = importlib.util.spec_from_file_location("simulated", Path(__file__).with_name("simulated.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
simulated = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(simulated)


def arm(name: str, purity: float = 80, **more: Any) -> EffectorSample:
    return EffectorSample(name=f"{name}/U1", arm=name, donor="U1", viability_percent=100, purity_percent=purity, **more)


def series(name: str, kind: Any, *doses: float) -> DoseSeries:
    return DoseSeries(treatment=Treatment(name=name, kind=kind, unit="µg/mL"), doses=doses)


def made(**request: Any) -> PlateLayout:
    told = {"lines": ("Raji",), "ratios": (4, 2, 1), "seed": 3, "plate_wells": 384, "replicates": 3, **request}
    (layout,) = design(DesignRequest.model_validate(told)).layouts
    return layout


def adcc() -> PlateLayout:
    return made(
        kind="adcc",
        samples=(arm("pb", cd16_percent=88), arm("ucb", cd16_percent=7)),
        treatments=(series("rituximab", "antibody", 10), series("IgG1", "isotype", 10)),
    )


def adcc_lysis(well: LayoutWell, ratio: float) -> float:
    base = 10.0 * ratio
    return base + (25.0 if well.treatment == "rituximab" and well.sample == "pb/U1" else 0.0)


def test_an_antibody_adds_what_it_adds_against_nothing_and_against_its_isotype() -> None:
    layout = adcc()
    result = analyse(layout, simulated.end_point(layout, adcc_lysis, noise=0.01))
    over_all = {(e.sample, e.against): e for e in result.effects if e.true_ratio is None}
    assert set(over_all) == {(s, a) for s in ("pb/U1", "ucb/U1") for a in ("no antibody", "IgG1")}
    for against in ("no antibody", "IgG1"):
        pb, ucb = over_all["pb/U1", against], over_all["ucb/U1", against]
        assert pb.difference == pytest.approx(25, abs=2)
        assert pb.is_different
        assert "(88 % CD16+)" in pb.reason
        assert ucb.difference == pytest.approx(0, abs=2)
        assert not ucb.is_expected
    assert [e.true_ratio for e in result.effects if e.sample == "pb/U1" and e.against == "IgG1"][:3] == [0.8, 1.6, 3.2]


def test_no_difference_is_told_as_a_result() -> None:
    layout = adcc()
    result = analyse(layout, simulated.end_point(layout, lambda w, r: 10 * r, noise=0.01, seed=4))
    quiet = [e for e in result.effects if e.sample == "ucb/U1" and not e.is_different]
    assert quiet
    assert all(e.reason.endswith("no difference, as expected") for e in quiet)


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    layout = adcc()
    inside = []
    for seed in range(70):
        result = analyse(layout, simulated.end_point(layout, adcc_lysis, noise=0.02, seed=seed))
        for effect in result.effects:
            truth = 25.0 if effect.sample == "pb/U1" else 0.0
            if effect.true_ratio is None and effect.against == "IgG1":
                inside.append((effect.ci_low or 0) <= truth <= (effect.ci_high or 0))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.05)


def test_the_interval_of_a_car_carries_the_effector_only_wells_of_both_samples() -> None:
    """By hand: two samples, each corrected by its own effector-only mean, variance s² (2/n + 2/c) plus the window's."""
    layout = made(kind="car", samples=(arm("car", is_car=True), arm("ut", is_car=False)), effector_replicates=2,
                  lines=("Raji", "K-562"), antigen_negative=("K-562",))  # fmt: skip
    result = analyse(layout, simulated.end_point(layout, lambda w, r: 15.0 * r, noise=0.01))
    groups: dict[tuple[str, float], list[float]] = {}
    for well in (w for w in result.lysis if w.target_line == "K-562" and not w.treatment and w.sample != "reference"):
        groups.setdefault((well.sample, well.true_ratio), []).append(well.lysis_percent)
    sides = [values for (sample, _), values in groups.items() if sample in {"car/U1", "ut/U1"}]
    freedom = sum(len(v) - 1 for v in sides)
    variance = sum(float(np.var(v)) * len(v) for v in sides) / freedom
    at = next(e for e in result.effects if e.target_line == "K-562" and e.true_ratio is not None)
    half = float(student.ppf(0.975, freedom)) * np.sqrt(variance * (2 / 3 + 2 / 2))
    # the window adds to a difference in proportion to its size, which is near 0 here
    assert ((at.ci_high or 0) - (at.ci_low or 0)) / 2 == pytest.approx(half, rel=0.01)


def test_a_car_is_compared_at_the_same_true_ratio_whatever_the_purities() -> None:
    layout = made(
        kind="car",
        samples=(arm("car", 60, is_car=True), arm("ut", 90, is_car=False)),
        lines=("Raji", "K-562"),
        antigen_negative=("K-562",),
    )

    def lysis(well: LayoutWell, ratio: float) -> float:
        extra = 30.0 if well.sample == "car/U1" and well.target_line == "Raji" else 0.0
        return 20.0 + 25.0 * float(np.log10(max(ratio, 1e-9))) + extra if ratio > 0 else 0.0

    result = analyse(layout, simulated.end_point(layout, lysis, noise=0.005))
    positive = [e for e in result.effects if e.target_line == "Raji"]
    negative = [e for e in result.effects if e.target_line == "K-562"]
    # true E:T of the CAR: 2.4, 1.2, 0.6; the untransduced cells cover 3.6 to 0.9, so 0.6 is not compared
    assert [round(e.true_ratio, 2) for e in positive if e.true_ratio] == [1.2, 2.4]
    for effect in positive:
        assert effect.difference == pytest.approx(30, abs=3)
        assert effect.is_different
    for effect in negative:
        assert effect.difference == pytest.approx(0, abs=3)
        assert not effect.is_expected


def test_a_matrix_gives_both_margins_and_the_untreated_corner() -> None:
    layout = made(kind="drug-matrix", samples=(arm("nk", 100),), treatments=(series("drug", "drug", 1, 10),))

    def lysis(well: LayoutWell, ratio: float) -> float:
        drug = {None: 0.0, 1.0: 0.1, 10.0: 0.3}[well.dose]
        return 100 * (1 - (1 - drug) * (1 - ratio / 8))

    result = analyse(layout, simulated.end_point(layout, lysis))
    points = {(p.dose, p.true_ratio): p.lysis_percent for p in result.matrix}
    assert len(points) == 3 * 4
    assert points[0, 0] == 0
    assert points[10, 0] == pytest.approx(30)
    assert points[0, 4] == pytest.approx(50)
    assert points[10, 4] == pytest.approx(65)
