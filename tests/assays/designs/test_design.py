"""Designs: every plate complete, everything asked for once, the same seed the same plates; and what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from nkloop.assays.designs import Design, DesignRequest, Dispensing, DoseSeries, design
from nkloop.assays.models import EffectorSample, Treatment
from nkloop.errors import AssayError


def arm(name: str, donor: str = "U1", **more: Any) -> EffectorSample:
    return EffectorSample(
        name=f"{name}/{donor}", arm=name, donor=donor, viability_percent=90, purity_percent=80, **more
    )


def series(name: str, kind: Any, *doses: float) -> DoseSeries:
    return DoseSeries(treatment=Treatment(name=name, kind=kind, unit="µg/mL"), doses=doses)


REFERENCE = arm("reference", "pool")
KILLING: dict[str, Any] = {
    "samples": (arm("arm-1"), arm("arm-2"), arm("arm-3")), "reference": REFERENCE, "lines": ("K-562", "HL-60"),
    "ratios": (10, 5, 2.5, 1.25), "seed": 7,
}  # fmt: skip
ADCC: dict[str, Any] = {
    "kind": "adcc", "samples": (arm("ucb", cd16_percent=7), arm("pb", cd16_percent=88)), "lines": ("Raji",),
    "ratios": (2, 1), "treatments": (series("rituximab", "antibody", 10), series("IgG1", "isotype", 10)), "seed": 7,
    "plate_wells": 384,
}  # fmt: skip
CAR: dict[str, Any] = {
    "kind": "car", "samples": (arm("car", is_car=True), arm("ut", is_car=False)), "lines": ("Raji", "K-562"),
    "antigen_negative": ("K-562",), "ratios": (2, 1), "seed": 7, "edge": "all",
}  # fmt: skip
MATRIX: dict[str, Any] = {
    "kind": "drug-matrix", "samples": (arm("nk"),), "lines": ("K-562",), "ratios": (4, 2, 1),
    "treatments": (series("drug", "drug", 1, 3, 10),), "seed": 7, "plate_wells": 384,
}  # fmt: skip


def made(base: dict[str, Any], **changes: Any) -> Design:
    return design(DesignRequest.model_validate({**base, **changes}))


def test_every_plate_has_all_controls_of_its_lines_and_every_series_stands_once() -> None:
    result = made(KILLING)
    assert len(result.layouts) > 1
    counted: Counter[tuple[Any, ...]] = Counter()
    for layout in result.layouts:
        for line in layout.lines:
            assert len(layout.with_role("spontaneous", line=line)) == 6
            assert len(layout.with_role("maximum", line=line)) == 6
        assert len(layout.with_role("background")) == len(layout.with_role("volume_correction")) == 3
        assert len(layout.with_role("reference_effector")) == 6
        counted += Counter((w.sample, layout.line_of(w), w.nominal_ratio) for w in layout.with_role("experimental"))
    assert len(counted) == 3 * 2 * 4
    assert set(counted.values()) == {3}


def test_the_ring_holds_medium_and_blocks_hold_one_replicate_each() -> None:
    for layout in made(KILLING).layouts:
        outer = [w for w in layout.wells if w.well[0] in "AH" or w.well[1:] in {"1", "12"}]
        assert {w.role for w in outer} == {"medium_ring"}
        for well in layout.with_role("experimental"):
            assert well.block == well.replicate
        last = {b: max(int(w.well[1:]) for w in layout.wells if w.block == b) for b in (1, 2)}
        first = {b: min(int(w.well[1:]) for w in layout.wells if w.block == b) for b in (2, 3)}
        assert last[1] <= first[2]
        assert last[2] <= first[3]


def test_a_seed_gives_the_same_plates_and_another_seed_others() -> None:
    assert made(KILLING) == made(KILLING)
    assert made(KILLING).layouts != made(KILLING, seed=8).layouts
    fixed = made(KILLING, seed=None)
    assert fixed.layouts[0].seed is None
    assert any("fixed order" in warning for warning in fixed.warnings)


def test_one_line_in_ldh_on_96_wells_is_the_robots_map() -> None:
    result = made(KILLING, lines=("K-562",), replicates=2, effector_replicates=1)
    assert result.can_run_on_robot
    assert "nkloop plan cytotoxicity" in result.robot
    assert len(result.layouts) == 2
    by_hand = made(KILLING, lines=("K-562",), replicates=2, effector_replicates=1, arrangement="blocks")
    assert not by_hand.can_run_on_robot
    assert "hand pipetting" in by_hand.robot


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"lines": ("K-562", "HL-60")}, "one target line"),
        ({"plate_wells": 384}, "96 wells only"),
        ({"edge": "all"}, "outer ring"),
        ({"method": "calcein"}, "LDH release only"),
    ],
)
def test_what_the_robot_cannot_plan_is_said(changes: dict[str, Any], why: str) -> None:
    assert why in made({**KILLING, "lines": ("K-562",)}, **changes).robot


def test_adcc_has_antibody_alone_isotype_and_no_antibody_beside_each_other() -> None:
    (layout,) = made(ADCC).layouts
    conditions = Counter((w.sample, w.treatment, w.nominal_ratio) for w in layout.with_role("experimental"))
    assert len(conditions) == 2 * 3 * 2
    assert {w.treatment for w in layout.with_role("treated_target")} == {"rituximab", "IgG1"}


def test_a_car_stands_with_its_control_and_all_lines_on_one_plate() -> None:
    more = (*CAR["samples"], arm("car", "U2", is_car=True), arm("ut", "U2", is_car=False))
    result = made(CAR, samples=more)
    for layout in result.layouts:
        assert {s.donor for s in layout.samples if s.is_car} == {s.donor for s in layout.samples if not s.is_car}
        assert set(layout.lines) == {"Raji", "K-562"}
        assert layout.antigen_negative == ("K-562",)


def test_a_matrix_has_both_margins() -> None:
    (layout,) = made(MATRIX).layouts
    points = {(w.dose, w.nominal_ratio) for w in layout.with_role("experimental")}
    assert points == {(d, r) for d in (None, 1, 3, 10) for r in (4, 2, 1)}
    assert {w.dose for w in layout.with_role("treated_target")} == {1, 3, 10}


def test_demand_and_stagger_by_hand() -> None:
    result = made(KILLING, samples=(arm("arm-1"),), lines=("K-562",), reference=None, arrangement="blocks")
    nk, targets = result.demand
    # (3 with targets + 2 alone) × 18.75 × 1e4 cells, 10 % more, and 200 µL of the tube that holds 10:1 in 100 µL
    assert nk.cells_needed == pytest.approx(1.1 * 5 * 18.75e4 + 2 * 1e5)
    assert (targets.wells, targets.cells_needed) == (24, pytest.approx(1.1 * 24e4 + 30 * 1e4))
    columns = {w.well[1:] for w in result.layouts[0].wells if w.sample}
    assert result.stagger_minutes == pytest.approx((len(columns) - 1) * 10 / 60)


def test_a_stagger_beyond_its_limit_is_flagged_and_beyond_the_window_refused() -> None:
    slow = made(KILLING, plate_wells=384, dispensing=Dispensing(channels=1, seconds=8))
    assert any("% of the contact, limit at most 5" in warning for warning in slow.warnings)
    with pytest.raises(AssayError, match=r"takes about \d+ min .1 wells at once, 80 s each., the contact window is 20"):
        made(KILLING, plate_wells=384, dispensing=Dispensing(channels=1, seconds=80))


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        pytest.param(KILLING, {"samples": ()}, "there is no arm to test", id="no arm"),
        pytest.param(KILLING, {"samples": (arm("a"), arm("a"))}, "arm named twice: a/U1", id="arm twice"),
        pytest.param(KILLING, {"lines": ("K562",)}, "'K562' is not a line of the tumour panel", id="unknown line"),
        pytest.param(KILLING, {"ratios": (1, 5, 10)}, "E:T 1, 5, 10 do not fall", id="rising E:T"),
        pytest.param(KILLING, {"ratios": (10, 5)}, "2 E:T given, a curve needs at least 3", id="two E:T"),
        pytest.param(KILLING, {"contact_minutes": 60}, "60 min of contact, ldh allows 230 to 250", id="contact"),
        pytest.param(KILLING, {"targets_per_well": 1e6}, "1e.06 targets per well, ldh is used with 5000", id="targets"),
        pytest.param(KILLING, {"replicates": 12}, r"needs \d+ wells .* a plate of 96 has 60", id="too big"),
        pytest.param(KILLING, {"arrangement": "columns"}, "robot's map cannot hold this design", id="columns"),
        pytest.param(ADCC, {"treatments": ()}, "an ADCC design needs an antibody", id="no antibody"),
        pytest.param(ADCC, {"treatments": ADCC["treatments"][:1]}, "needs an isotype control", id="no isotype"),
        pytest.param(ADCC, {"samples": (arm("x"),)}, "CD16 of x/U1 is not recorded", id="no CD16"),
        pytest.param(CAR, {"samples": (arm("car", is_car=True),)}, "no untransduced control of donor", id="no control"),
        pytest.param(CAR, {"antigen_negative": ()}, "needs an antigen-negative line", id="no negative line"),
        pytest.param(CAR, {"antigen_negative": ("HL-60",)}, "HL-60 is not among the lines", id="negative not tested"),
        pytest.param(CAR, {"replicates": 1}, "one replicate gives a difference without interval", id="one replicate"),
        pytest.param(MATRIX, {"treatments": ()}, "a matrix needs a drug or an antibody", id="no drug"),
        pytest.param(MATRIX, {"treatments": (series("d", "drug", 1),)}, "d has 1 dose", id="one dose"),
    ],
)  # fmt: skip
def test_what_no_plate_can_answer_is_refused(base: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        made(base, **changes)
