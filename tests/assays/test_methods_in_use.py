"""Every method gives the lysis that was put into the simulated signals."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from nkloop.assays.designs import DesignRequest, design
from nkloop.assays.methods import method_named, methods
from nkloop.assays.models import EffectorSample, PlateLayout
from nkloop.assays.plate_file import analyse_reading_file
from nkloop.assays.readings import Frame
from nkloop.errors import ReadingError

_SPEC = importlib.util.spec_from_file_location("simulated", Path(__file__).with_name("simulated.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
simulated = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(simulated)
CONTACT = {"ldh": 240, "calcein": 180, "delfia": 150, "luciferase": 480, "atp": 1440, "flow": 240, "flow-counts": 480,
           "kinetic-impedance": 480, "kinetic-fluorescence": 480}  # fmt: skip
NK = EffectorSample(name="arm-1/U1", arm="arm-1", donor="U1", viability_percent=90, purity_percent=80)


def layout(method: str, **changes: object) -> PlateLayout:
    request = {
        "method": method,
        "samples": (NK,),
        "reference": NK.model_copy(update={"name": "ref/pool"}),
        "lines": ("K-562",),
        "ratios": (10, 5, 2.5, 1.25),
        "contact_minutes": CONTACT[method],
        "targets_per_well": 1e4,
        "seed": 3,
        "arrangement": "blocks",
    }
    return design(DesignRequest.model_validate({**request, **changes})).layouts[0]


def test_every_shipped_method_is_tried_here() -> None:
    assert set(CONTACT) == set(methods())


@pytest.mark.parametrize("name", ["ldh", "calcein", "delfia", "luciferase", "atp"])
def test_end_point_methods_give_the_true_lysis(name: str) -> None:
    plate = layout(name)
    result = analyse_reading_file(plate, simulated.reading(plate), method_named(name))
    assert result.verdict == "accepted", result.reasons
    assert len(result.lysis) == 4 * 3 + 6
    for well in result.lysis:
        assert well.lysis_percent == pytest.approx(simulated.curve(None, well.true_ratio)), well.well
    (curve,) = result.curves
    assert curve.et50 == pytest.approx(1.5, rel=0.02)


@pytest.mark.parametrize("name", ["flow", "flow-counts"])
def test_cytometry_gives_the_true_lysis(name: str) -> None:
    plate = layout(name)
    read = simulated.reading(plate, frames=simulated.counts(plate))
    result = analyse_reading_file(plate, read, method_named(name))
    assert result.verdict == "accepted", result.reasons
    for well in result.lysis:
        assert well.lysis_percent == pytest.approx(simulated.curve(None, well.true_ratio))
    assert result.z_prime is None


def test_few_counted_targets_are_flagged_well_by_well() -> None:
    plate = layout("flow")
    read = simulated.reading(plate, frames=simulated.counts(plate, targets=200))
    result = analyse_reading_file(plate, read, method_named("flow"))
    assert result.verdict == "flagged"
    assert any("at least 200 targets were counted in every well, limit at least 500" in r for r in result.reasons)
    assert all("200 targets counted" in well.flags for well in result.lysis)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        pytest.param((Frame(values={"B2": 1.0}),), "flow needs 'dead_percent', the file holds signal", id="signals"),
        pytest.param(
            (Frame(quantity="dead_targets", values={"B2": 9}), Frame(quantity="all_targets", values={"B2": 8})),
            "more dead targets than targets in B2",
            id="more dead than all",
        ),
        pytest.param((Frame(quantity="dead_percent", values={"B2": 101}),), "more than 100 % dead in B2", id="101 %"),
        pytest.param((Frame(quantity="dead_targets", values={"B2": -1}),), "counts below 0 in B2", id="negative"),
    ],
)
def test_counts_that_cannot_be_are_refused(frames: tuple[Frame, ...], message: str) -> None:
    plate = layout("flow")
    with pytest.raises(ReadingError, match=message):
        analyse_reading_file(plate, simulated.reading(plate, frames=frames), method_named("flow"))


@pytest.mark.parametrize("name", ["kinetic-impedance", "kinetic-fluorescence"])
def test_a_time_course_gives_the_missing_area_and_killing_over_time(name: str) -> None:
    plate = layout(name)
    read = simulated.reading(plate, frames=simulated.course(plate), mode=method_named(name).read.mode)
    result = analyse_reading_file(plate, read, method_named(name))
    assert result.verdict == "accepted", result.reasons
    top = next(k for k in result.kinetics if k.sample == "arm-1/U1" and k.nominal_ratio == 10)
    end = simulated.curve(None, top.true_ratio)
    # killing grows evenly to its end: the value at each time is that share of it, its mean half of it
    for minutes, killing in top.points:
        if minutes > 0:
            assert killing == pytest.approx(end * minutes / 480)
    assert [minutes for minutes, _ in top.points] == [120, 240, 360, 480]
    assert top.area == pytest.approx(end * (120 + 480) / 2 / 480 / 100)
    wells = {w.nominal_ratio: w.lysis_percent for w in result.lysis if w.sample == "arm-1/U1"}
    assert sorted(wells.values()) == [wells[r] for r in sorted(wells)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"times": slice(2, None)}, "first time point is 120 min after the addition", id="no time before"),
        pytest.param({"times": slice(0, 2)}, "2 time points, kinetic-impedance needs at least 3", id="two times"),
        pytest.param({"times": slice(0, 4)}, "ends 240 min after the addition, .* needs 360", id="short"),
        pytest.param({"lost": "B2"}, "wells without a value at some time: B2", id="a hole"),
        pytest.param({"empty": True}, "wells without a signal when effectors are added", id="nothing grew"),
    ],
)  # fmt: skip
def test_time_courses_that_say_nothing_are_refused(changes: dict[str, object], message: str) -> None:
    plate = layout("kinetic-impedance")
    frames = simulated.course(plate)[changes.get("times", slice(None))]
    if "lost" in changes:
        short = {w: v for w, v in frames[-1].values.items() if w != "B2"}
        frames = (*frames[:-1], frames[-1].model_copy(update={"values": short}))
    if "empty" in changes:
        frames = tuple(f.model_copy(update={"values": dict.fromkeys(f.values, 0.0)}) for f in frames)
    with pytest.raises(ReadingError, match=message):
        analyse_reading_file(plate, simulated.reading(plate, frames=frames), method_named("kinetic-impedance"))


def test_the_time_of_addition_may_stand_in_the_file() -> None:
    plate = layout("kinetic-impedance")
    moved = tuple(f.model_copy(update={"minutes": (f.minutes or 0) + 1440}) for f in simulated.course(plate))
    method = method_named("kinetic-impedance")
    read = simulated.reading(plate, frames=moved, settings={"Effectors at [h]": "24"})
    plain = simulated.reading(plate, frames=simulated.course(plate))
    assert analyse_reading_file(plate, read, method).lysis == analyse_reading_file(plate, plain, method).lysis
