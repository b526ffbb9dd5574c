"""Bad data give a verdict or a clear error, never a number that looks fine."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from nkloop.assays.methods import method_named
from nkloop.assays.models import AssayResult, Exclusion, LayoutWell, PlateLayout, WellRole
from nkloop.assays.plate_file import analyse_reading_file
from nkloop.assays.readings import Frame, PlateReading
from nkloop.errors import AssayError, NkloopError

Values = dict[str, float]
Read = Callable[..., Values]
LDH: dict[str, Any] = {"mode": "absorbance", "wavelength_nm": 490, "reference_wavelength_nm": 680}
STARTED = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def file(layout: PlateLayout, values: Values, **changes: Any) -> PlateReading:
    told = {"file": "read.csv", "file_sha256": "0" * 64, "format": "generic grid", "plate_wells": 96,
            "frames": (Frame(values=values),), "barcode": layout.barcode, **LDH}  # fmt: skip
    return PlateReading.model_validate({**told, **changes})


def without(layout: PlateLayout, role: WellRole) -> PlateLayout:
    return layout.model_copy(update={"wells": tuple(w for w in layout.wells if w.role != role)})


def replaced(layout: PlateLayout, name: str, **changes: Any) -> PlateLayout:
    wells = tuple(w.model_copy(update=changes) if w.well == name else w for w in layout.wells)
    return layout.model_copy(update={"wells": wells})


LAYOUTS: list[Any] = [
    pytest.param(lambda p: without(p, "maximum"), "0 maximum wells, ldh needs at least 2", id="no maximum"),
    pytest.param(lambda p: without(p, "spontaneous"), "0 spontaneous wells, ldh needs at least 2", id="no spontaneous"),
    pytest.param(lambda p: without(p, "background"), "0 background wells, ldh needs at least 1", id="no background"),
    pytest.param(
        lambda p: without(p, "volume_correction"), "0 volume correction wells, ldh needs", id="no volume correction"
    ),
    pytest.param(
        lambda p: without(p, "effector_only"),
        "sample arm-1/U1 has no effector-only wells at E:T 0.3125, 0.625, 1.25, 2.5, 5, 10",
        id="no effectors alone",
    ),
    pytest.param(lambda p: replaced(p, "C2", well="B2"), "wells used twice: B2", id="well used twice"),
    pytest.param(lambda p: replaced(p, "B2", well="P24"), "not on a plate of 96 wells: P24", id="well of a 384 plate"),
    pytest.param(lambda p: replaced(p, "B2", sample=None), "well B2 has no known sample or no E:T", id="no sample"),
    pytest.param(lambda p: replaced(p, "B2", nominal_ratio=None), "well B2 has no known sample or no E:T", id="no E:T"),
    pytest.param(
        lambda p: replaced(p, "B2", treatment="mystery"), "well B2 holds 'mystery', which is not among", id="treatment"
    ),
]


@pytest.mark.parametrize(("broken", "message"), LAYOUTS)
def test_a_layout_that_cannot_give_lysis_is_refused(
    plate: PlateLayout, read: Read, broken: Callable[[PlateLayout], PlateLayout], message: str
) -> None:
    with pytest.raises(AssayError, match=message):
        analyse_reading_file(broken(plate), file(plate, read(plate)), method_named("ldh"))


READINGS: list[Any] = [
    pytest.param({"barcode": "P7"}, "the file is of plate 'P7', the layout is of plate 'P1'", id="wrong barcode"),
    pytest.param({"plate_wells": 384}, "of a plate of 384 wells, the layout P1 has 96", id="384 wells on 96"),
    pytest.param({"mode": "luminescence"}, "was read in luminescence, ldh needs absorbance", id="wrong mode"),
    pytest.param({"wavelength_nm": 450}, "wavelength is 450 nm, ldh needs 490 ± 5 nm", id="wrong wavelength"),
    pytest.param({"reference_wavelength_nm": 620}, "reference wavelength is 620 nm, ldh needs 680", id="reference"),
    pytest.param(
        {"read_at": datetime(2026, 3, 1, 15, 0, tzinfo=UTC)},
        "read 420 min after effectors met targets, ldh allows 245 to 340",
        id="time window missed",
    ),
    pytest.param(
        {"read_at": datetime(2026, 3, 1, 9, 0, tzinfo=UTC)}, "read 60 min after effectors met targets", id="too early"
    ),
]


@pytest.mark.parametrize(("changes", "message"), READINGS)
def test_a_file_of_something_else_is_refused(
    plate: PlateLayout, read: Read, changes: dict[str, Any], message: str
) -> None:
    started = plate.model_copy(update={"started_at": STARTED})
    with pytest.raises(NkloopError, match=message):
        analyse_reading_file(started, file(plate, read(plate), **changes), method_named("ldh"))


def frame(values: Values, **changes: Any) -> tuple[Frame, ...]:
    return (Frame.model_validate({"values": values, **changes}),)


FRAMES: list[Any] = [
    pytest.param(
        lambda v: frame({w: x for w, x in v.items() if w != "B2"}, unreadable={"B2": "nan"}),
        r"wells whose value is not a number: B2 \('nan'\)",
        id="NaN",
    ),
    pytest.param(
        lambda v: frame({w: x for w, x in v.items() if w not in {"B2", "C2"}}), "without a value: B2, C2", id="hole"
    ),
    pytest.param(lambda v: frame({**v, "B2": -3.0}), "well B2 reads -3, absorbance does not go below -0.2", id="below"),
    pytest.param(
        lambda v: frame({w: 20_000 * x for w, x in v.items()}), "absorbance does not go above 10", id="counts, not OD"
    ),
    pytest.param(
        lambda v: (*frame(v, minutes=0), *frame(v, minutes=30)), "holds 2 time points, ldh is read once", id="times"
    ),
    pytest.param(
        lambda v: (*frame(v, wavelength_nm=490), *frame(v, wavelength_nm=550)),
        "reference wavelength is 550 nm, ldh needs 680",
        id="second wavelength is another",
    ),
    pytest.param(lambda v: frame(v, quantity="dead_targets"), "needs 'signal', the file holds dead_", id="counts"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "message"), FRAMES)
def test_values_that_say_nothing_are_refused(
    plate: PlateLayout, read: Read, made: Callable[[Values], tuple[Frame, ...]], message: str
) -> None:
    changes: dict[str, Any] = {"frames": made(read(plate))}
    if "wavelength is 550" in message:
        changes["reference_wavelength_nm"] = None
    with pytest.raises(NkloopError, match=message):
        analyse_reading_file(plate, file(plate, read(plate), **changes), method_named("ldh"))


def swapped(layout: PlateLayout, values: Values) -> Values:
    high = [w.well for w in layout.with_role("maximum")]
    low = [w.well for w in layout.with_role("spontaneous")]
    return {**values, **{a: values[b] for a, b in zip(high, low, strict=True)},
            **{b: values[a] for a, b in zip(high, low, strict=True)}}  # fmt: skip


def with_role(layout: PlateLayout, values: Values, role: WellRole, value: Callable[[LayoutWell], float]) -> Values:
    return {**values, **{w.well: value(w) for w in layout.with_role(role)}}


REJECTED: list[Any] = [
    pytest.param(swapped, "lysed targets do not read above untreated ones", False, id="inverted signal"),
    pytest.param(lambda p, v: dict.fromkeys(v, 0.7), "do not read above untreated ones", False, id="constant"),
    pytest.param(
        lambda p, v: with_role(p, v, "maximum", lambda w: v[w.well] + 0.8 * (w.replicate % 3)),
        r"Z' of maximum against spontaneous is 0\.\d+, limit at least 0.5, rejected below 0.3",
        True,
        id="noisy maximum",
    ),
    pytest.param(
        lambda p, v: with_role(p, v, "spontaneous", lambda w: v[w.well] + 0.6),
        r"untreated targets leak \d+ % of what lysed targets release, limit at most 20 %",
        True,
        id="leaking targets",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("made", "reason", "has_lysis"), REJECTED)
def test_a_plate_whose_controls_fail_is_rejected(
    plate: PlateLayout, read: Read, made: Callable[[PlateLayout, Values], Values], reason: str, has_lysis: bool
) -> None:
    values = made(plate, read(plate, noise=0.005))
    result = analyse_reading_file(plate, file(plate, values), method_named("ldh"))
    assert result.verdict == "rejected"
    assert any(re.search(reason, told) for told in result.reasons), result.reasons
    assert bool(result.lysis) is has_lysis
    assert bool(result.curves) is has_lysis


def test_a_saturated_maximum_without_numbers_is_rejected_without_lysis(plate: PlateLayout, read: Read) -> None:
    over = tuple(w.well for w in plate.with_role("maximum"))
    values = {w: v for w, v in read(plate).items() if w not in over}
    read_over = file(plate, values, frames=frame(values, saturated=over))
    result = analyse_reading_file(plate, read_over, method_named("ldh"))
    assert (result.verdict, result.lysis, result.curves) == ("rejected", (), ())
    assert "the reader is saturated in maximum wells" in result.reasons[0]


def test_one_well_over_range_is_left_out_and_flagged(plate: PlateLayout, read: Read) -> None:
    well = plate.with_role("experimental")[0].well
    values = {w: v for w, v in read(plate, noise=0.005).items() if w != well}
    result = analyse_reading_file(
        plate, file(plate, values, frames=frame(values, saturated=(well,))), method_named("ldh")
    )
    assert result.verdict == "flagged"
    assert result.reasons == (f"signals saturated or beyond the linear range in {well}",)
    assert well not in {w.well for w in result.lysis}


def test_another_method_on_the_same_numbers_is_refused_or_rejected(plate: PlateLayout, read: Read) -> None:
    with pytest.raises(AssayError, match="read in absorbance, luciferase needs luminescence"):
        analyse_reading_file(plate, file(plate, read(plate)), method_named("luciferase"))
    silent = file(plate, read(plate), mode=None, wavelength_nm=None, reference_wavelength_nm=None)
    result = analyse_reading_file(plate, silent, method_named("luciferase"))
    assert (result.verdict, result.lysis) == ("rejected", ())
    assert "do not read below untreated ones" in result.reasons[0]


def test_falling_lysis_is_flagged_and_has_no_et50(plate: PlateLayout, read: Read) -> None:
    values = read(plate, lysis=lambda ratio: 90 - 8 * ratio, noise=0.005)
    result = analyse_reading_file(plate, file(plate, values), method_named("ldh"))
    assert result.verdict == "flagged"
    assert any("lysis does not rise with E:T" in reason for reason in result.reasons)
    assert result.curves[0].et50 is None


def excluded(plate: PlateLayout, read: Read, well: str, **changes: Any) -> AssayResult:
    told = {"well": well, "reason": "air bubble", "by": "A. Person", "at": STARTED, **changes}
    exclusions = (Exclusion.model_validate(told),)
    return analyse_reading_file(plate, file(plate, read(plate)), method_named("ldh"), exclusions=exclusions)


def test_an_excluded_well_stays_visible_with_both_results(plate: PlateLayout, read: Read) -> None:
    well = plate.with_role("experimental")[0].well
    bubble = {**read(plate, noise=0.005), well: 3.2}
    exclusion = Exclusion(well=well, reason="air bubble", by="A. Person", at=STARTED)
    result = analyse_reading_file(plate, file(plate, bubble), method_named("ldh"), exclusions=(exclusion,))
    assert result.verdict == "accepted"
    assert result.exclusions == (exclusion,)
    assert result.all_wells is not None
    assert result.all_wells.verdict == "flagged"
    assert {w.well for w in result.all_wells.lysis} - {w.well for w in result.lysis} == {well}
    assert result.signals[well] == pytest.approx(3.2)
    assert AssayResult.model_validate_json(result.model_dump_json()) == result


def test_a_well_without_a_number_may_be_excluded_and_the_whole_plate_says_why_it_has_no_result(
    plate: PlateLayout, read: Read
) -> None:
    well = plate.with_role("experimental")[0].well
    values = {w: v for w, v in read(plate).items() if w != well}
    exclusion = Exclusion(well=well, reason="reader fault", by="A. Person", at=STARTED)
    broken = file(plate, values, frames=frame(values, unreadable={well: "nan"}))
    result = analyse_reading_file(plate, broken, method_named("ldh"), exclusions=(exclusion,))
    assert result.all_wells is None
    assert result.all_wells_reason == f"wells without a value: {well}"


@pytest.mark.parametrize(
    ("well", "changes", "message"),
    [
        pytest.param("A1", {}, "A1 cannot be excluded, the layout has nothing to read there", id="empty well"),
        pytest.param("B2", {"reason": " "}, "B2 is excluded without a reason or without a name", id="blank reason"),
        pytest.param("B2", {"by": " "}, "B2 is excluded without a reason or without a name", id="nobody"),
    ],
)
def test_an_exclusion_needs_a_well_a_reason_and_a_name(
    plate: PlateLayout, read: Read, well: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AssayError, match=message):
        excluded(plate, read, well, **changes)


def test_excluding_the_controls_away_is_refused(plate: PlateLayout, read: Read) -> None:
    wells = [w.well for w in plate.with_role("maximum")][1:]
    exclusions = tuple(Exclusion(well=w, reason="low", by="A. Person", at=STARTED) for w in wells)
    with pytest.raises(AssayError, match="1 maximum wells, ldh needs at least 2"):
        analyse_reading_file(plate, file(plate, read(plate)), method_named("ldh"), exclusions=exclusions)
