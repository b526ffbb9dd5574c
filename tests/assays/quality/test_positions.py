"""Edge and drift effects planted on simulated plates are found, clean plates are left alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nkloop.assays.checks import UNREAD
from nkloop.assays.designs import DesignRequest, design
from nkloop.assays.methods import method_named
from nkloop.assays.models import EffectorSample, PlateLayout
from nkloop.assays.quality.positions import position_effects, position_measures

NOISE = 0.05
"""Standard deviation of a well over its signal: a scattered plate, still within the limit of replicates."""
PLATES = 200
NK = EffectorSample(name="a/U1", arm="a", donor="U1", viability_percent=90, purity_percent=80)


@pytest.fixture(scope="module")
def layout() -> PlateLayout:
    """A randomised plate that uses its edge."""
    request = {"samples": (NK,), "lines": ("K-562",), "ratios": (10, 5, 2.5, 1.25, 0.6), "seed": 5, "edge": "all",
               "arrangement": "blocks", "replicates": 3, "control_replicates": 12}  # fmt: skip
    return design(DesignRequest.model_validate(request)).layouts[0]


def simulated(layout: PlateLayout, effect: Callable[[int, int], float], seed: int) -> dict[str, float]:
    """Signals that differ by content, scatter, and carry an effect of position."""
    chance = np.random.default_rng(seed)
    found = {}
    for well in layout.wells:
        if well.role in UNREAD:
            continue
        row, column = ord(well.well[0]) - 65, int(well.well[1:]) - 1
        level = {"maximum": 1.7, "spontaneous": 0.3, "background": 0.1, "volume_correction": 0.12}.get(well.role, 0.0)
        level = level or 0.3 + 0.1 * (well.nominal_ratio or 0)
        found[well.well] = level * (1 + effect(row, column)) * (1 + NOISE * chance.standard_normal())
    return found


def at_edge(row: int, column: int) -> bool:
    return row in {0, 7} or column in {0, 11}


PLANTED = {
    "edge_effect": lambda row, column: -0.2 * at_edge(row, column),
    "row_drift": lambda row, column: 0.2 * row / 7,
    "column_drift": lambda row, column: -0.25 * column / 11,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_effect_is_measured_and_found(layout: PlateLayout, name: str) -> None:
    ldh = method_named("ldh")
    sizes, found = [], 0
    for seed in range(60):
        signals = simulated(layout, PLANTED[name], seed)
        sizes += [e.percent for e in position_effects(layout, signals) if e.name == name and e.percent is not None]
        found += [m.name for m in position_measures(layout, signals, ldh) if m.outcome == "flag"].count(name)
    expected = {"edge_effect": -20.0, "row_drift": 20.0, "column_drift": -25.0}[name]
    # relative to the mean of a group, which carries half of the effect itself
    assert np.mean(sizes) == pytest.approx(expected, rel=0.2)
    assert found >= 55


def test_clean_plates_are_not_flagged(layout: PlateLayout) -> None:
    ldh = method_named("ldh")
    flagged = sum(
        any(m.outcome != "pass" for m in position_measures(layout, simulated(layout, lambda r, c: 0.0, seed), ldh))
        for seed in range(PLATES)
    )
    assert flagged / PLATES <= 0.01


def test_the_standard_error_is_the_scatter_of_the_estimate(layout: PlateLayout) -> None:
    effects = [position_effects(layout, simulated(layout, lambda r, c: 0.0, seed)) for seed in range(PLATES)]
    for index in range(3):
        values = [e[index].percent for e in effects]
        errors = [e[index].standard_error for e in effects]
        assert np.std(values) == pytest.approx(np.mean(errors), rel=0.15)


def test_what_a_layout_cannot_tell_is_not_judged(plate: PlateLayout) -> None:
    signals = {w.well: 1.0 + 0.01 * i for i, w in enumerate(plate.wells) if w.role not in UNREAD}
    edge = next(e for e in position_effects(plate, signals) if e.name == "edge_effect")
    assert edge.percent is None
    (measure,) = [m for m in position_measures(plate, signals, method_named("ldh")) if m.name == "edge_effect"]
    assert (measure.outcome, measure.value) == ("pass", None)
    assert "no replicates of this plate stand so that it could be told" in measure.reason
