"""A plate from signals to verdict: formula by hand, invariances, and plates that must not give good-looking numbers."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.assays import analyse
from nkloop.assays.lysis import ControlSignals, lysis_percent
from nkloop.assays.models import AssayResult, PlateLayout, WellRole
from nkloop.errors import AssayError, ReadingError

Read = Callable[..., dict[str, float]]


def outcome(result: AssayResult, name: str) -> str:
    return {m.name: m.outcome for m in result.quality}[name]


def with_role(layout: PlateLayout, values: dict[str, float], role: WellRole, value: float) -> dict[str, float]:
    return {**values, **{w.well: value for w in layout.with_role(role)}}


def without(layout: PlateLayout, role: WellRole) -> PlateLayout:
    return layout.model_copy(update={"wells": tuple(w for w in layout.wells if w.role != role)})


def test_ldh_formula_by_hand() -> None:
    controls = ControlSignals(spontaneous=0.30, maximum=1.62, background=0.10, volume_correction=0.12)
    # net: spontaneous 0.2, maximum 1.5, window 1.3; experimental 1.00 - effectors alone 0.15 - 0.2 = 0.65
    assert lysis_percent(1.00, 0.15, controls) == pytest.approx(50.0)
    # each raw signal has its background taken off, so background cancels between experimental and effector-only
    brute = 100 * ((1.00 - 0.1) - (0.15 - 0.1) - (0.30 - 0.1)) / ((1.62 - 0.12) - (0.30 - 0.1))
    assert lysis_percent(1.00, 0.15, controls) == pytest.approx(brute)


def test_a_clean_plate_is_accepted_and_gives_the_truth(plate: PlateLayout, read: Read) -> None:
    result = analyse(plate, read(plate, noise=0.005))
    assert (result.verdict, result.reasons) == ("accepted", ())
    assert result.z_prime is not None
    assert result.z_prime > 0.9
    (curve,) = result.curves
    assert curve.et50 == pytest.approx(1.5, rel=0.05)
    assert result.signals["B2"] > 0


def test_lysis_of_every_well_without_noise(pair: PlateLayout, read: Read) -> None:
    result = analyse(pair, read(pair))
    for well in result.lysis:
        assert well.lysis_percent == pytest.approx(100 / (1 + (1.5 / well.true_ratio) ** 1.2))
    # 10:1 at 80 % purity and 90 % viability is 7.2:1
    first = next(w for w in result.lysis if w.well == "B2")
    assert (first.sample, first.nominal_ratio) == ("arm-1/U1", 10)
    assert first.true_ratio == pytest.approx(7.2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(scale=st.floats(0.01, 1.5), shift=st.floats(0, 0.5))
def test_lysis_does_not_depend_on_gain_or_offset_of_the_reader(
    scale: float, shift: float, plate: PlateLayout, read: Read
) -> None:
    values = read(plate, noise=0.01)
    plain = analyse(plate, values)
    moved = analyse(plate, {well: scale * value + shift for well, value in values.items()})
    for a, b in zip(plain.lysis, moved.lysis, strict=True):
        assert b.lysis_percent == pytest.approx(a.lysis_percent, abs=1e-6)
    assert moved.z_prime == pytest.approx(plain.z_prime)


def test_lysis_outside_zero_to_one_hundred_is_kept_and_flagged(plate: PlateLayout, read: Read) -> None:
    values = read(plate, lysis=lambda ratio: 125.0 if ratio > 5 else -20.0)
    result = analyse(plate, values)
    high = [w for w in result.lysis if w.nominal_ratio == 10 and w.sample == "arm-1/U1"]
    low = [w for w in result.lysis if w.nominal_ratio == 0.3125]
    assert [w.lysis_percent for w in high] == pytest.approx([125.0] * 3)
    assert [w.lysis_percent for w in low] == pytest.approx([-20.0] * 3)
    assert high[0].flags == ("above 100 %",)
    assert low[0].flags == ("below 0 %",)
    assert outcome(result, "lysis_range") == "flag"


def test_inverted_controls_are_rejected_without_any_lysis(plate: PlateLayout, read: Read) -> None:
    values = with_role(plate, with_role(plate, read(plate), "maximum", 0.2), "spontaneous", 1.6)
    result = analyse(plate, values)
    assert result.verdict == "rejected"
    assert (result.lysis, result.curves) == ((), ())
    assert "no lysis can be computed" in result.reasons[0]


def test_a_constant_plate_is_rejected(plate: PlateLayout) -> None:
    result = analyse(plate, {w.well: 0.5 for w in plate.wells})
    assert result.verdict == "rejected"
    assert result.z_prime is None
    assert result.curves == ()


@pytest.mark.parametrize(
    ("noise", "verdicts"), [(0.005, {"accepted"}), (0.11, {"flagged"}), (0.4, {"rejected"})], ids=["low", "mid", "high"]
)
def test_verdict_follows_the_noise(noise: float, verdicts: set[str], plate: PlateLayout, read: Read) -> None:
    assert {analyse(plate, read(plate, noise=noise, seed=7)).verdict} == verdicts


def test_saturated_wells(plate: PlateLayout, read: Read) -> None:
    values = read(plate, noise=0.005)
    flagged = analyse(plate, values, saturated=["b02"])
    assert flagged.verdict == "flagged"
    assert next(w for w in flagged.lysis if w.well == "B2").flags == ("saturated",)
    maximum = plate.with_role("maximum")[0].well
    rejected = analyse(plate, values, saturated=[maximum])
    assert rejected.verdict == "rejected"
    assert "too high" in rejected.reasons[0]


def test_signals_beyond_the_linear_range_are_flagged(plate: PlateLayout, read: Read) -> None:
    result = analyse(plate, {**read(plate, noise=0.005), "B2": 3.9})
    assert "above the linear range" in next(w for w in result.lysis if w.well == "B2").flags
    assert result.verdict == "flagged"


def test_a_replicate_that_disagrees_is_named(plate: PlateLayout, read: Read) -> None:
    values = read(plate, noise=0.005)
    result = analyse(plate, {**values, "D2": values["D2"] + 0.8})
    assert outcome(result, "replicate_cv") == "flag"
    assert {w.well for w in result.lysis if any("scatter" in f for f in w.flags)} == {"D2", "D3", "D4"}
    assert any("arm-1/U1 at 2.5:1" in reason for reason in result.reasons)


def test_killing_that_falls_with_more_effectors_is_flagged(plate: PlateLayout, read: Read) -> None:
    result = analyse(plate, read(plate, lysis=lambda ratio: 60 - 5 * ratio, noise=0.002))
    assert outcome(result, "monotonicity") == "flag"
    assert result.curves[0].et50_text == "not determined"


def test_swapped_background_and_spontaneous_wells_are_noticed(plate: PlateLayout, read: Read) -> None:
    values = with_role(plate, with_role(plate, read(plate), "background", 0.25), "spontaneous", 0.10)
    assert outcome(analyse(plate, values), "spontaneous_to_maximum") == "flag"


def test_reference_effector_against_its_history(plate: PlateLayout, read: Read) -> None:
    values = read(plate, noise=0.005)
    alone = next(m for m in analyse(plate, values).quality if m.name == "reference_effector")
    assert (alone.outcome, "not judged" in alone.reason) == ("pass", True)
    assert alone.value is None
    reference = analyse(plate, values).layout.reference
    assert reference is not None
    lysis = fmean(w.lysis_percent for w in analyse(plate, values).lysis if w.sample == reference.name)
    usual = [lysis + d for d in (-3, -1, 0, 1, 3)]
    assert outcome(analyse(plate, values, reference_history=usual), "reference_effector") == "pass"
    shifted = [value - 20 for value in usual]
    assert outcome(analyse(plate, values, reference_history=shifted), "reference_effector") == "flag"


def test_contact_time_outside_the_window_is_flagged_with_the_reason(plate: PlateLayout, read: Read) -> None:
    result = analyse(plate.model_copy(update={"contact_minutes": 300.0}), read(plate, noise=0.005))
    assert result.verdict == "flagged"
    assert "half-life" in result.reasons[0]


@pytest.mark.parametrize("role", ["spontaneous", "maximum", "background", "volume_correction"])
def test_a_plate_without_a_control_is_refused(role: WellRole, plate: PlateLayout, read: Read) -> None:
    with pytest.raises(AssayError, match=f"0 {role.replace('_', ' ')} wells"):
        analyse(without(plate, role), read(plate))


def test_effector_only_wells_are_needed_at_every_ratio(plate: PlateLayout, read: Read) -> None:
    lacking = tuple(w for w in plate.wells if not (w.role == "effector_only" and w.nominal_ratio == 5))
    with pytest.raises(AssayError, match=r"no effector-only wells at E:T 5"):
        analyse(plate.model_copy(update={"wells": lacking}), read(plate))


def test_a_layout_that_uses_a_well_twice_is_refused(plate: PlateLayout, read: Read) -> None:
    with pytest.raises(AssayError, match="wells used twice: B2"):
        analyse(plate.model_copy(update={"wells": (*plate.wells, plate.with_role("experimental")[0])}), read(plate))


def test_a_sample_without_nk_cells_is_refused(plate: PlateLayout, read: Read) -> None:
    dead = plate.samples[0].model_copy(update={"viability_percent": 0.0})
    with pytest.raises(AssayError, match="true E:T of 0"):
        analyse(plate.model_copy(update={"samples": (dead,)}), read(plate))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"B2": float("nan")}, "not a number: B2", id="nan"),
        pytest.param({"B2": float("inf")}, "not a number: B2", id="infinite"),
        pytest.param({"P24": 1.0}, "layout does not have: P24", id="foreign_well"),
        pytest.param({"B02": 1.0}, "given twice: B2", id="duplicated"),
        pytest.param({"total": 1.0}, "'total' is not a well name", id="no_well"),
    ],
)
def test_readings_that_do_not_fit_are_refused(
    change: dict[str, float], message: str, plate: PlateLayout, read: Read
) -> None:
    with pytest.raises(ReadingError, match=message):
        analyse(plate, {**read(plate), **change})


def test_missing_wells_are_named_and_the_ring_may_be_missing(plate: PlateLayout, read: Read) -> None:
    values = read(plate)
    inner = {well: value for well, value in values.items() if plate_role(plate, well) != "medium_ring"}
    assert analyse(plate, inner).verdict == "accepted"
    del inner["C5"]
    with pytest.raises(ReadingError, match="wells without a value: C5"):
        analyse(plate, inner)


def plate_role(layout: PlateLayout, well: str) -> str:
    return next(w.role for w in layout.wells if w.well == well)


def test_result_survives_json(pair: PlateLayout, read: Read) -> None:
    result = analyse(pair, read(pair, noise=0.02))
    assert AssayResult.model_validate_json(result.model_dump_json()) == result


def test_the_signal_window_is_told_in_the_unit_of_the_reader(plate: PlateLayout, read: Read) -> None:
    result = analyse(plate, read(plate))
    (window,) = [m for m in result.quality if m.name == "signal_window"]
    assert window.reason.endswith(f"{window.value:.3g} OD apart")
