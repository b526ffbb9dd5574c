"""In which ways steps of unknown outcome may have gone: in order, or passed over each by itself."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from nkloop.drivers.interfaces import DeviceCommand
from nkloop.errors import PlanError
from nkloop.labware import Catalogue
from nkloop.records.models import JournalEvent, StepEvent, StepRuling
from nkloop.runs.follow_up import continued, repaired
from nkloop.runs.outcomes import SKIPPED, WENT_ON, step_outcomes
from nkloop.runs.possible import possible_wells, replay
from nkloop.runs.ways import MOST_WAYS, fates_of, n_ways, ways_of
from nkloop.worklists.contents import Ledger
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Target, Worklist

from .conftest import ROOT

AT = datetime(2026, 11, 23, tzinfo=UTC)
CATALOGUE = Catalogue.load(ROOT / "labware")
WELLS = [f"{row}{column}" for column in range(1, 7) for row in "ABCD"]
FORGOTTEN = "flex no longer knows the run"
LEFT_BEHIND = f"aspirate: overpressure; {WENT_ON}, in which somebody may have mended it by hand"


def worklist(n: int, **more: Any) -> Worklist:
    """The n-th step gives 100 µL of a tube into the n-th well."""
    steps = [
        Step(
            number=number, action="transfer", labware="tubes", well="A1", to_labware="plate", to_well=well,
            volume_ul=100, tip=f"tips:A{number}" if number < 13 else "", **more,
        )
        for number, well in zip(range(1, n + 1), WELLS, strict=False)
    ]  # fmt: skip
    stock = Liquid(name="IL-15", per_ul={"base": 1.0, "IL-15": 0.4})
    return Worklist(
        name="w", procedure="cytokine_dosing", pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="plate", slot="D2", load_name="corning_24_wellplate_3.4ml_flat"),
            DeckItem(nickname="tubes", slot="D3", load_name="opentrons_24_tuberack_nest_2ml_snapcap"),
            DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul"),
        ),
        fillings=(Filling(labware="tubes", well="A1", volume_ul=1800, liquid=stock),), steps=tuple(steps),
    )  # fmt: skip


def events(*told: StepEvent | str) -> list[JournalEvent]:
    """One event per step; what is no event is the detail of an unknown one."""
    known = {"done", "failed", "intended"}
    return [
        JournalEvent(number=n, event=e if e in known else "unknown", at=AT, detail="" if e in known else e)
        for n, e in enumerate(told, start=1)
    ]


def happened(made: Worklist, told: list[JournalEvent]) -> set[tuple[int, ...]]:
    """Which of the unknown steps happened, in each way."""
    ways = ways_of(fates_of(made, told), with_drawn=True)
    return {tuple(number for number, how in way.how.items() if how == "done") for way in ways}


def test_what_a_device_forgot_happened_in_its_order() -> None:
    told = events("done", FORGOTTEN, FORGOTTEN, FORGOTTEN)
    assert happened(worklist(4), told) == {(), (2,), (2, 3), (2, 3, 4)}


def test_steps_a_device_went_on_behind_are_independent_of_each_other() -> None:
    told = events(LEFT_BEHIND, "done", LEFT_BEHIND, "done")
    assert happened(worklist(4), told) == {(), (1,), (3,), (1, 3)}


def test_recovered_steps_are_independent_also_where_nothing_came_after_them() -> None:
    assert happened(worklist(2), events(LEFT_BEHIND, LEFT_BEHIND)) == {(), (1,), (2,), (1, 2)}


def test_steps_before_a_recovered_one_were_passed_over_too_and_those_after_it_keep_their_order() -> None:
    told = events(FORGOTTEN, LEFT_BEHIND, FORGOTTEN, FORGOTTEN)
    found = happened(worklist(4), told)
    assert {ways for ways in found if 1 not in ways and 2 not in ways} == {(), (3,), (3, 4)}
    assert (2,) in found
    assert (1, 3, 4) in found
    assert not any(4 in ways and 3 not in ways for ways in found)


def test_only_one_step_is_cut_of_those_in_order() -> None:
    ways = list(ways_of(fates_of(worklist(3), events(FORGOTTEN, FORGOTTEN, FORGOTTEN)), with_drawn=True))
    assert len(ways) == n_ways(fates_of(worklist(3), events(FORGOTTEN, FORGOTTEN, FORGOTTEN))) == 7
    for way in ways:
        hows = [way.how[number] for number in (1, 2, 3)]
        assert sum(how == "drawn" for how in hows) <= 1
        assert all(one == "done" or other == "not" for one, other in pairwise(hows))


def test_a_mix_that_was_cut_takes_its_liquid_along() -> None:
    made = worklist(1, mix_before=2, mix_after=3, mix_volume_ul=80)
    held = {(w.labware, w.well): w for w in possible_wells(made, fates_of(made, events(FORGOTTEN)), CATALOGUE)}
    assert {one.when: one.volume_ul for one in held["plate", "A1"].contents} == {
        "step 1 did not happen": 0,
        "step 1 was cut while it mixed its target": 20,
        "step 1 happened": 100,
    }
    assert held["tubes", "A1"].volumes_ul == (1700, 1800)
    assert [one.volume_ul for one in held["tubes", "A1"].contents] == [1800, 1720, 1700]


def test_what_was_given_is_told_so_and_only_mixed_again() -> None:
    """The tip had given its liquid when the run was cut: who says that the step did not happen means the mixing."""
    made = worklist(2, mix_after=3, mix_volume_ul=80)
    given = JournalEvent(number=1, event="unknown", at=AT, moved_ul=(100,))
    told = [given, JournalEvent(number=2, event="intended", at=AT)]
    ways = [way.when for way in ways_of(fates_of(made, told))]
    assert ways == [
        "step 1 gave its liquid and did nothing more",
        "step 1 was cut while it mixed its target",
        "step 1 happened",
    ]
    part = given.model_copy(update={"moved_ul": (40.0,)})
    assert next(iter(ways_of(fates_of(made, [part])))).when == "step 1 gave 40 µL of 100 µL and did nothing more"
    ruled = fates_of(made, told, [StepRuling(number=1, happened=False)])
    rest = continued("run-1", made, ruled, CATALOGUE)
    mix, dose = rest.steps
    assert (mix.action, mix.labware, mix.well, mix.volume_ul, mix.mix_before) == ("mix", "plate", "A1", 80, 3)
    assert mix.tip not in {"", "tips:A1", "tips:A2"}
    assert (dose.action, dose.to_well, dose.volume_ul) == ("transfer", "B1", 100)
    assert Ledger.of(rest, CATALOGUE).volume_ul("plate", "A1") == 100


def test_each_well_shows_every_possibility_of_steps_passed_over() -> None:
    made = worklist(4)
    told = events(LEFT_BEHIND, "done", LEFT_BEHIND, "done")
    held = {(w.labware, w.well): w for w in possible_wells(made, fates_of(made, told), CATALOGUE)}
    assert [one.when for one in held["plate", "C1"].contents] == [
        "step 1 did not happen, step 3 did not happen",
        "step 1 did not happen, step 3 happened",
    ]
    assert sorted(one.volume_ul for one in held["tubes", "A1"].contents) == [1400, 1500, 1600]


def test_what_is_done_with_the_tip_of_a_step_passed_over_counts() -> None:
    first, second = worklist(2).steps
    made = worklist(2).model_copy(update={"steps": (first, second.model_copy(update={"tip": ""}))})
    fates = fates_of(made, events(LEFT_BEHIND, "done"))
    assert replay(made, fates, CATALOGUE).volume_ul("plate", WELLS[1]) == 100
    (shown,) = [w for w in possible_wells(made, fates, CATALOGUE) if w.labware == "tubes"]
    assert [one.volume_ul for one in shown.contents] == [1700, 1600]


def test_of_very_many_ways_those_that_fill_and_empty_a_well_most_are_kept() -> None:
    made = worklist(12)
    one_well = tuple(step.model_copy(update={"to_well": "A1"}) for step in made.steps[:6])
    into_a1_and_out = [
        step.model_copy(update={"labware": "plate", "well": "A1", "to_well": "B1"}) for step in made.steps[6:]
    ]
    made = made.model_copy(
        update={
            "steps": (*one_well, *into_a1_and_out),
            "fillings": (
                *made.fillings,
                Filling(labware="plate", well="A1", volume_ul=1000, liquid=Liquid(name="m", per_ul={"base": 1.0})),
            ),
        }
    )
    fates = fates_of(made, events(*[LEFT_BEHIND] * 12))
    assert n_ways(fates) > MOST_WAYS
    held = {(w.labware, w.well): w for w in possible_wells(made, fates, CATALOGUE)}
    assert held["plate", "A1"].volumes_ul == (400, 1600)
    assert held["plate", "B1"].volumes_ul == (0, 600)
    with pytest.raises(PlanError, match=rf"may have gone in {3**12} ways, at most {MOST_WAYS} are corrected together"):
        repaired("run-7", made, fates, CATALOGUE)


def test_what_fits_only_steps_in_their_order_is_no_repair_of_steps_passed_over() -> None:
    """Medium, then cytokine: cytokine without medium comes out strongest, and cannot be where the order is certain."""
    made = worklist(2)
    first, second = (step.model_copy(update={"to_well": "A1"}) for step in made.steps)
    medium = Liquid(name="medium", per_ul={"base": 1.0})
    filled = [
        Filling(labware=name, well=well, volume_ul=300, liquid=medium)
        for name, well in (("plate", "A1"), ("tubes", "B1"))
    ]
    target = Target(labware="plate", well="A1", component="IL-15", per_ul=0.4 * 0.18, tolerance_percent=45)
    steps = (first.model_copy(update={"well": "B1"}), second)
    made = made.model_copy(update={"steps": steps, "targets": (target,), "fillings": (*made.fillings, *filled)})
    follow_up = repaired("run-7", made, fates_of(made, events(FORGOTTEN, FORGOTTEN)), CATALOGUE)
    assert [step.volume_ul for step in follow_up.steps] == [50, 50]
    with pytest.raises(PlanError, match="no addition is right in every possibility"):
        repaired("run-7", made, fates_of(made, events(LEFT_BEHIND, LEFT_BEHIND)), CATALOGUE)


def test_the_details_of_a_device_that_went_on_say_so() -> None:
    """What `fates_of` looks for is what `step_outcomes` writes."""
    commands = [
        *_commands(1, "failed"),
        *_commands(2, "succeeded"),
        *_commands(3, "failed"),
    ]
    told = step_outcomes(worklist(3), commands, succeeded=True, at=AT, device="flex")
    assert [event.event for event in told] == ["unknown", "done", "unknown"]
    assert [fate.is_passed for fate in fates_of(worklist(3), told)] == [True, False, True]
    silent = step_outcomes(worklist(3), [], succeeded=True, at=AT, device="flex")
    assert all(fate.is_passed for fate in fates_of(worklist(3), silent))


def _commands(step: int, status: str) -> list[DeviceCommand]:
    announced = DeviceCommand(
        id=f"{step}a", command_type="comment", status="succeeded", params={"message": f"step {step}: transfer"}
    )
    drawn = DeviceCommand(
        id=f"{step}b", command_type="aspirate", status=status, params={"volume": 100, "wellName": "A1"},
        error="overpressure" if status == "failed" else None,
    )  # fmt: skip
    return [announced, drawn]


def test_a_step_that_a_person_had_skipped_tells_nothing_of_those_before_it() -> None:
    skipped = f"tip_not_found of pickUpTip; Ada chose 'skip': {SKIPPED}, so whether its wells got it is unknown"
    told = events(FORGOTTEN, skipped, FORGOTTEN)
    assert [fate.is_passed for fate in fates_of(worklist(3), told)] == [True, True, False]


def test_a_ledger_carried_on_from_way_to_way_holds_what_a_full_replay_holds() -> None:
    made = worklist(5)
    steps = [
        step.model_copy(update={"mix_after": 2, "mix_volume_ul": 50.0}) if step.number == 3 else step
        for step in made.steps
    ]
    made = made.model_copy(update={"steps": tuple(steps)})
    fates = fates_of(made, events("done", FORGOTTEN, FORGOTTEN, FORGOTTEN, FORGOTTEN))
    shown = {
        (w.labware, w.well): {one.when: one.volume_ul for one in w.contents}
        for w in possible_wells(made, fates, CATALOGUE)
    }
    n_shown = 0
    for way in ways_of(fates):
        ledger = replay(made, fates, CATALOGUE, how=way.how)
        for (nickname, well), volumes in shown.items():
            if way.when in volumes:
                assert volumes[way.when] == pytest.approx(ledger.volume_ul(nickname, well))
                n_shown += 1
            else:
                assert ledger.volume_ul(nickname, well) in [pytest.approx(volume) for volume in volumes.values()]
    assert n_shown == sum(len(volumes) for volumes in shown.values())
    assert set(shown) == {("tubes", "A1"), *(("plate", well) for well in WELLS[1:5])}


def test_hundreds_of_forgotten_steps_are_told_in_seconds() -> None:
    first = worklist(1).steps[0]
    steps = [
        first.model_copy(update={"number": n, "tip": "tips:A1" if n == 1 else "", "volume_ul": 2.0})
        for n in range(1, 601)
    ]
    made = worklist(1).model_copy(update={"steps": tuple(steps)})
    started = time.process_time()
    held = {(w.labware, w.well): w for w in possible_wells(made, fates_of(made, events(*[FORGOTTEN] * 600)), CATALOGUE)}
    assert time.process_time() - started < 5.0
    assert len(held["tubes", "A1"].contents) == 601
    assert held["plate", "A1"].volumes_ul == (0, 1200)


@pytest.mark.parametrize(
    ("told", "said", "spent"),
    [
        (("done", "cut", "failed"), {2: "drawn"}, {2}),
        (("done", "cut", "failed"), {2: "not"}, {2}),
        ((FORGOTTEN,) * 3, {1: "done", 2: "not", 3: "not"}, {2}),
        ((LEFT_BEHIND, "done", LEFT_BEHIND, LEFT_BEHIND), {1: "not", 3: "not", 4: "not"}, {1, 3, 4}),
    ],
)
def test_a_step_takes_no_tip_from_a_place_that_its_device_may_have_emptied(
    told: tuple[str, ...], said: dict[int, str], spent: set[int]
) -> None:
    """An OT-2 notices nothing when it picks up from an empty place: it doses with the bare nozzle."""
    made = worklist(len(told))
    rulings = [StepRuling(number=n, happened=how == "done", is_drawn=how == "drawn") for n, how in said.items()]
    rest = continued("run-1", made, fates_of(made, events(*told), rulings), CATALOGUE)
    of_well = {step.to_well: step.tip for step in rest.steps}
    kept = {step.number for step in made.steps if of_well.get(step.to_well) == step.tip}
    assert {n for n, well in enumerate(WELLS[: len(told)], start=1) if well in of_well} - kept == spent


def test_a_correction_takes_no_tip_that_any_of_its_unknown_steps_may_have_taken() -> None:
    made = worklist(3)
    targets = tuple(
        Target(labware="plate", well=well, component="IL-15", per_ul=0.4, tolerance_percent=5) for well in WELLS[:3]
    )
    aimed = made.model_copy(update={"targets": targets})
    correction = repaired("run-1", aimed, fates_of(aimed, events(*(FORGOTTEN,) * 3)), CATALOGUE)
    assert len(correction.steps) == 3
    assert not {step.tip for step in correction.steps} & {step.tip for step in made.steps}
