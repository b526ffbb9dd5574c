"""Tasks in which people move liquid: one that was cut is unknown, weighed and said, and never asked for as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.drivers.bench import Bench, load_bench_file
from nkloop.drivers.interfaces import DeviceCommand, OperatorAnswer, OperatorRequest
from nkloop.drivers.operators import request_key
from nkloop.errors import OperatorRefusedError, PlanError, RecordError, StepUnknownError
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.records.models import JournalEvent, OperatorAction, StepRuling
from nkloop.runs.answers import with_answers
from nkloop.runs.asking import question
from nkloop.runs.deciding import Decided, decide
from nkloop.runs.execution import play_run, prepare_run
from nkloop.runs.follow_up import continued, repaired
from nkloop.runs.outcomes import step_outcomes
from nkloop.runs.people import answer_pause
from nkloop.runs.reconcile import decision_needed, reconcile_run
from nkloop.runs.resuming import rest_of
from nkloop.runs.run_facts import run_facts
from nkloop.runs.session import Session
from nkloop.runs.typed_steps import volumes_of
from nkloop.runs.vessels import held_vessels, in_doubt, left_of, moved_in, vessels_now
from nkloop.runs.ways import Fate, fates_of
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import (
    CheckResult,
    DeckItem,
    Filling,
    Liquid,
    OperatorTask,
    Step,
    Verdict,
    Vessel,
    VesselMove,
    Worklist,
)

from .conftest import AT, ROOT, FakeHandler, FakeOperator

CATALOGUE = Catalogue.load(ROOT / "labware")
DECK = load_bench_file(ROOT / "devices" / "virtual.yaml").deck
FILL, RINSE, WELD = 3, 4, 5


def task(number: int, kind: Any, told: str, *moves: tuple[str, str, float]) -> Step:
    made = tuple(VesselMove(from_vessel=a, to_vessel=b, volume_ul=ul) for a, b, ul in moves)
    return Step(number=number, action="pause", operator=OperatorTask(kind=kind, instruction=told, moves=made))


def bag_day() -> Worklist:
    """A dose tube filled by the robot; base medium run into a bag, an old bag rinsed into it, the tube welded on."""
    dose = {"action": "transfer", "labware": "tubes", "well": "A1", "to_labware": "tubes", "to_well": "B1"}
    stock = Liquid(name="IL-15", per_ul={"base": 1.0, "IL-15": 0.4}, lot="IL15-A")
    return Worklist(
        name="bags day 7",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="tubes", slot="D3", load_name="opentrons_24_tuberack_nest_2ml_snapcap"),
            DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_1000ul"),
        ),
        fillings=(Filling(labware="tubes", well="A1", volume_ul=1800, liquid=stock),),
        steps=(
            Step(number=1, volume_ul=500, tip="tips:A1", **dose),
            Step(number=2, volume_ul=500, **dose),
            task(FILL, "fill", "Run 20 mL of base medium into bag-1.", ("", "bag-1", 20_000)),
            task(RINSE, "rinse", "Rinse bag-0.", ("", "bag-0", 5_000), ("bag-0", "bag-1", 5_000)),
            task(WELD, "weld", "Weld the tube in B1 on, run it in.", ("tubes:B1", "bag-1", 900)),
        ),
        vessels=(
            Vessel(name="bag-1", title="culture bag", lowest_ul=10_000, capacity_ul=60_000, volume_ul=10_000,
                   cells_per_ul=100, end_ul=35_900),
            Vessel(name="bag-0", title="old bag", lowest_ul=1, capacity_ul=60_000, volume_ul=0, end_ul=0,
                   is_emptied=True),
        ),
    )  # fmt: skip


def fates(*events: Any, rulings: tuple[StepRuling, ...] = ()) -> tuple[Fate, ...]:
    told = [JournalEvent(number=n, event=event, at=AT) for n, event in enumerate(events, start=1)]
    return fates_of(bag_day(), told, rulings)


def held(*events: Any, rulings: tuple[StepRuling, ...] = ()) -> dict[str, list[float]]:
    found = held_vessels(bag_day(), fates(*events, rulings=rulings), {"tubes:B1": 1000})
    return {one.name: [way.volume_ul for way in one.volumes] for one in found}


# -- what is told of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["running", "failed", "succeeded"])
def test_a_pause_in_which_people_move_liquid_is_unknown_when_the_run_ends_in_it(status: str) -> None:
    """However the device calls the pause that was cut: it only waited."""
    assert cut_in_pause(("comment", "succeeded"), ("waitForResume", status)) == "unknown"


def test_it_is_failed_when_the_run_ended_before_anybody_was_asked() -> None:
    assert cut_in_pause(("comment", "succeeded"), ("dropTip", "failed")) == "failed"


def cut_in_pause(*commands: tuple[str, str]) -> str:
    told = [
        DeviceCommand.model_validate(
            {"id": str(n), "command_type": kind, "status": status, "params": {"message": f"step {FILL}: Run it in."}}
        )
        for n, (kind, status) in enumerate(commands)
    ]
    return step_outcomes(bag_day(), told, succeeded=False, at=AT, device="flex")[FILL - 1].event


def test_a_vessel_may_hold_both_and_of_a_task_with_two_moves_what_is_between_them() -> None:
    assert held("done", "done", "unknown", "failed", "failed") == {"bag-1": [10_000, 30_000]}
    assert held("done", "done", "done", "unknown", "failed") == {"bag-1": [30_000, 35_000], "bag-0": [0, 5_000]}
    assert held("done", "done", "done", "done", "unknown") == {
        "bag-1": [35_000, 35_900],
        "bag-0": [0],
        "tubes:B1": [1000, 100],
    }


def test_a_device_that_forgot_everything_leaves_every_length_of_the_work_open() -> None:
    volumes = held("unknown", "unknown", "unknown", "unknown", "unknown")["bag-1"]
    assert volumes == [10_000, 30_000, 35_000, 35_900]


def test_what_somebody_said_was_moved_in_part_counts() -> None:
    said = StepRuling(number=RINSE, happened=False, moved_ul=7_000)
    assert held("done", "done", "done", "unknown", "failed", rulings=(said,)) == {"bag-1": [32_000], "bag-0": [3_000]}
    assert said.word == "was done in part: 7 mL were moved"
    with pytest.raises(ValueError, match="moved in part has not happened whole"):
        StepRuling(number=RINSE, happened=True, moved_ul=7_000)


@given(share=st.floats(0.001, 0.999), number=st.sampled_from([FILL, RINSE, WELD]))
def test_what_was_done_and_the_rest_of_it_are_the_whole(share: float, number: int) -> None:
    worklist = bag_day()
    step = worklist.steps[number - 1]
    moved = share * moved_in(step)
    left = left_of(step, moved)
    assert left is not None
    assert moved_in(left) == pytest.approx(moved_in(step) - moved)
    before = [Fate(one, "done") for one in worklist.steps[: number - 1]]
    after = [Fate(one, "done") for one in worklist.steps[number:]]
    parts = [*before, Fate(step, "partly", moved), Fate(left, "done"), *after]
    volumes = {vessel.name: vessel.volume_ul for vessel in vessels_now(worklist, parts)}
    assert volumes == pytest.approx({"bag-1": 35_900, "bag-0": 0}, abs=1e-3)


# -- what follows -------------------------------------------------------------------------------------------------


def test_no_rest_and_no_correction_is_made_before_it_is_said_what_people_moved() -> None:
    cut = fates("done", "failed", "unknown", "failed", "failed")
    for make in (continued, repaired):
        with pytest.raises(PlanError, match="step 3"):
            make("run-7", bag_day(), cut, CATALOGUE, DECK)


def test_the_rest_starts_from_what_the_vessels_hold_and_asks_for_the_rest_of_the_task() -> None:
    """Cut in the rinse, after a robot's step that was not done."""
    said = StepRuling(number=RINSE, happened=False, moved_ul=7_000)
    cut = fates("done", "failed", "done", "unknown", "failed", rulings=(said,))
    made = continued("run-7", bag_day(), cut, CATALOGUE, DECK)
    assert [step.number for step in made.steps if step.action == "transfer"] == [1]
    (rinse,) = [step.operator for step in made.steps if step.operator is not None and step.operator.kind == "rinse"]
    assert rinse.instruction.startswith("7 mL of this were moved before it was interrupted: Rinse bag-0. Do only the")
    assert "3 mL from bag-0 to bag-1" in rinse.instruction
    assert {vessel.name: vessel.volume_ul for vessel in made.vessels} == {"bag-1": 32_000, "bag-0": 3_000}
    assert check_ledger(made, CATALOGUE, DECK).problems == ()


def test_a_tube_that_was_emptied_stands_in_the_rest_as_it_is() -> None:
    mixing = bag_day()
    more = Step(number=6, action="transfer", labware="tubes", well="A1", to_labware="tubes", to_well="C1",
                volume_ul=100, tip="tips:B1")  # fmt: skip
    mixing = mixing.model_copy(update={"steps": (*mixing.steps, more)})
    events = [JournalEvent(number=n, event="done", at=AT) for n in range(1, 6)]
    made = continued("run-7", mixing, fates_of(mixing, events), CATALOGUE, DECK)
    assert {f.well: f.volume_ul for f in made.fillings} == {"A1": 800, "B1": 100}
    assert check_ledger(made, CATALOGUE, DECK).problems == ()


async def passes(worklist: Worklist) -> Verdict:
    check = CheckResult(check="ledger", passed=True, seconds=0)
    return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(check,))


class Passing:
    verify = staticmethod(passes)


@pytest.fixture
def cut_run(records: Records, journalled: Callable[..., str]) -> str:
    """Everything is done but the rinse, in which the run was cut, and the weld."""
    run_id = journalled(bag_day(), "planned")
    events = ("done", "done", "done", "unknown", "failed")
    told = [JournalEvent(number=n, event=e, at=AT) for n, e in enumerate(events, start=1)]  # type: ignore[arg-type]
    records.journal.append_events(run_id, told)
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    return run_id


async def decided(records: Records, run_id: str, kind: Any, **more: Any) -> Decided:
    return await decide(
        run_id, kind, by="Ada", reason="weighed bag-1", at=AT, records=records, catalogue=CATALOGUE, deck=DECK,
        verify=passes, **more,
    )  # fmt: skip


async def test_the_question_and_the_refusals_name_the_vessels(records: Records, cut_run: str) -> None:
    asked = question(cut_run, records, CATALOGUE, DECK)
    assert [vessel.name for vessel in asked.vessels] == ["bag-1", "bag-0"]
    assert asked.vessels[0].sentence == (
        "30 mL if step 4 did not happen; or 35 mL if step 4 happened; or anything between"
    )
    assert (asked.steps[0].by_hand_ul, asked.wells) == (10_000, ())
    assert [one.kind for one in asked.offers] == ["continue"] * 3
    refusal = decision_needed(records.journal.run(cut_run), records).problems[0].message
    assert "its wells and vessels (bag-0, bag-1)" in refusal


@pytest.mark.parametrize("kind", ["continue", "repair"])
async def test_nothing_is_decided_without_a_word_about_it(records: Records, cut_run: str, kind: str) -> None:
    with pytest.raises(PlanError, match=r"step 4.*weigh the vessels.*--moved '4=10 mL'"):
        await decided(records, cut_run, kind)
    assert records.journal.run(cut_run).needs_decision


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ({"happened": [RINSE]}, ["step 5: Weld the tube"]),
        ({"not_happened": [RINSE]}, ["step 4: Rinse bag-0.", "step 5: Weld the tube"]),
        ({"moved": {RINSE: 7_000}}, ["step 4: 7 mL of this were moved", "step 5: Weld the tube"]),
    ],
)
async def test_what_is_said_tells_what_is_left_to_people(
    records: Records, cut_run: str, said: dict[str, Any], left: list[str]
) -> None:
    made = await decided(records, cut_run, "continue", **said)
    assert made.follow_up is None
    assert [told[: len(start)] for told, start in zip(made.by_hand, left, strict=True)] == left


@pytest.mark.parametrize(
    ("moved", "told"),
    [
        (
            {RINSE: 10_000.0},
            "10 mL is no part of step 4, in which 10 mL are moved in all. Remedy: all of it: --happened 4",
        ),
        ({RINSE: 0.0}, "0 µL is no part of step 4"),
        ({1: 50.0}, "step 1 of run-0001 is not unknown"),
    ],
)
async def test_a_volume_that_cannot_be_is_refused(
    records: Records, cut_run: str, moved: dict[int, float], told: str
) -> None:
    with pytest.raises(PlanError) as refused:
        await decided(records, cut_run, "continue", moved=moved)
    assert told in str(refused.value)


async def test_a_run_shows_what_its_vessels_hold_before_and_after_the_decision(records: Records, cut_run: str) -> None:
    def shown() -> dict[str, str]:
        return {
            f"{one.labware} {one.well}".strip(): one.sentence for one in run_facts(cut_run, records, CATALOGUE).wells
        }

    assert shown()["bag-1"].startswith("30 mL if step 4 did not happen; or 35 mL")
    await decided(records, cut_run, "continue", moved={RINSE: 7_000})
    assert (shown()["bag-1"], shown()["bag-0"], shown()["tubes B1"]) == ("32 mL", "3 mL", "1 mL")
    assert "step 4 was done in part: 7 mL were moved" in run_facts(cut_run, records, CATALOGUE).decisions[0]


async def test_discarding_names_the_vessels_that_nothing_finishes(records: Records, cut_run: str) -> None:
    made = await decided(records, cut_run, "discard")
    assert [told.partition(";")[0] for told in made.vessels] == [
        "bag-1 (culture bag): 30 mL if step 4 did not happen",
        "bag-0 (old bag): 0 µL if step 4 did not happen",
    ]
    assert in_doubt(held_vessels(bag_day(), fates("done", "done", "done", "done", "done"), {})) == ()


def test_volumes_are_typed_with_their_step_and_unit() -> None:
    assert volumes_of(["12=10 mL, 14=500 µL", "3=2mL"]) == pytest.approx({12: 10_000, 14: 500, 3: 2_000})
    for wrong in ("12", "12=10", "x=10 mL", "12=5 ng"):
        with pytest.raises(RecordError, match="write step and volume, as 12=10 mL"):
            volumes_of([wrong])
    with pytest.raises(RecordError, match="step 12 has two volumes"):
        volumes_of(["12=10 mL,12=5 mL"])


# -- asked for again ----------------------------------------------------------------------------------------------


@dataclass
class Answers(FakeOperator):
    """Confirms everything; tells of what was asked before what `begun` says."""

    begun: str = "done"

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        answer = await super().perform(request)
        return answer.model_copy(update={"choice": self.begun, "note": "weighed it"}) if request.choices else answer


class Busy(Answers):
    """Says what was done before, and then works for hours."""

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        answer = await super().perform(request)
        await asyncio.sleep(0 if request.choices else 3600)
        return answer


async def test_a_resumed_flow_asks_only_for_the_rest_of_a_task_that_was_done_in_part(
    session: Session, cut_run: str
) -> None:
    session.verifier = Passing()  # type: ignore[assignment]
    with pytest.raises(StepUnknownError):
        await rest_of(session, session.records.journal.run(cut_run))
    await decided(session.records, cut_run, "continue", moved={RINSE: 7_000})
    person = Answers(begun="undone")
    assert await rest_of(asked_by(session, person), journalled_run(session)) is None
    asked = [request.task for request in person.asked if not request.choices]
    assert asked[0].instruction.startswith("7 mL of this were moved")
    assert [move.volume_ul for move in asked[0].moves] == [3_000]
    assert asked[1].kind == "weld"


@pytest.mark.parametrize(
    ("begun", "weighed"), [("done", []), ("nothing", ["Weld the tube"]), ("part", ["Part of this was done before"])]
)
async def test_a_task_left_by_a_run_that_is_cut_itself_is_not_simply_asked_for_again(
    session: Session, cut_run: str, begun: str, weighed: list[str]
) -> None:
    session.verifier = Passing()  # type: ignore[assignment]
    await decided(session.records, cut_run, "continue", happened=[RINSE])
    first = asyncio.create_task(rest_of(asked_by(session, Busy(begun="undone")), journalled_run(session)))
    while session.records.plans.last("task left by a run", "run-0001, step 5", OperatorTask) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    person = Answers(begun=begun)
    assert await rest_of(asked_by(session, person), journalled_run(session)) is None
    asked = [request for request in person.asked if not request.choices]
    assert [request.task.instruction[: len(told)] for request, told in zip(asked, weighed, strict=True)] == weighed
    assert [action.step for action in session.records.journal.actions(cut_run) if action.step] == [WELD]


def asked_by(session: Session, person: FakeOperator) -> Session:
    session.bench = replace(session.bench, operator=person)
    return session


def journalled_run(session: Session) -> Any:
    return session.records.journal.run("run-0001")


async def test_what_still_stands_on_the_list_of_requests_is_the_same_question(
    session: Session, cut_run: str, operator: FakeOperator
) -> None:
    """It was asked at the desk, and is answered there: nobody is asked whether it was done."""
    session.verifier = Passing()  # type: ignore[assignment]
    await decided(session.records, cut_run, "continue", happened=[RINSE])
    task = bag_day().steps[WELD - 1].operator
    assert task is not None
    session.records.plans.keep("task left by a run", "run-0001, step 5", task)
    title = f"bags day 7, step 5, left by run-0001: {task.instruction}"
    key = request_key(OperatorRequest(title=title, task=task, run_id=cut_run))
    session.records.requests.ask("virtual", key, title, "{}", run_id=cut_run)
    operator.by_list = True  # type: ignore[attr-defined]
    assert await rest_of(session, session.records.journal.run(cut_run)) is None
    assert [bool(request.choices) for request in operator.asked] == [False]


async def prepared(bench: Bench, records: Records) -> str:
    return await prepare_run(bag_day(), await passes(bag_day()), bench, records)


@pytest.mark.parametrize("begun", ["done", "stop"])
async def test_a_robot_found_waiting_in_such_a_task_asks_whether_it_was_done(
    bench: Bench, records: Records, handler: FakeHandler, begun: str
) -> None:
    """The program was killed while people moved liquid; the robot waits on."""
    run_id = await prepared(bench, records)
    dying = replace(bench, operator=FakeOperator(waits_at="step 3"))
    playing = asyncio.create_task(play_run(run_id, dying, records))
    while not is_seen(records, run_id):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await killed(playing, handler)
    person = Answers()
    person.begun = begun
    reborn = replace(bench, operator=person)
    if begun == "stop":
        with pytest.raises(OperatorRefusedError, match="Ada cannot tell whether it was done"):
            await reconcile_run(run_id, reborn, records)
        run = records.journal.run(run_id)
        assert (run.state, run.unknown_steps) == ("interrupted", (FILL,))
        return
    await reconcile_run(run_id, reborn, records)
    assert records.journal.run(run_id).state == "succeeded"
    assert [request.task.kind for request in person.asked] == ["confirm", "rinse", "weld"]


def is_seen(records: Records, run_id: str) -> bool:
    return any(step.number == FILL and step.event == "seen" for step in records.journal.run(run_id).steps)


async def killed(playing: asyncio.Task[None], handler: FakeHandler) -> None:
    """End a program that has no time left to stop its robot."""
    handler.stop_fails = True
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    handler.stop_fails = False


async def test_who_confirmed_it_just_before_the_end_has_done_it(records: Records, cut_run: str) -> None:
    """A device driven step by step has told that the step was cut, before the confirmation was known."""
    done = OperatorAction(run_id=cut_run, step=RINSE, at=AT, confirmed_by="Ada", title="rinse", instruction="Rinse.")
    records.journal.add_action(done)
    (event,) = with_answers(cut_run, (), records)
    assert (event.number, event.event, event.detail) == (RINSE, "done", "confirmed by Ada")


async def test_who_confirmed_it_on_the_list_after_the_program_had_ended_has_done_it(
    records: Records, cut_run: str
) -> None:
    for number, title in ((1, "step 4: Rinse bag-0."), (2, "step 5: Weld it: was it done?")):
        records.requests.ask("virtual", f"key-{number}", f"bags day 7, {title}", "{}", run_id=cut_run)
    records.requests.answer(1, "confirmed", by="Ada", at=AT)
    records.requests.answer(2, "confirmed", by="Ada", at=AT, choice="done", note="by the scale")
    (event,) = with_answers(cut_run, (), records)
    assert (event.number, event.event, event.detail) == (RINSE, "done", "confirmed by Ada")
    records.requests.taken(1)
    assert with_answers(cut_run, (), records) == (), "whoever asked has it, and has noted it himself"


async def test_a_choice_after_an_error_in_a_pause_is_no_confirmation_of_its_task(
    bench: Bench, records: Records, cut_run: str, operator: FakeOperator
) -> None:
    """The tip did not drop, somebody had it dropped again; then the task itself is asked for."""
    again = OperatorAction(
        run_id=cut_run, step=WELD, at=AT, confirmed_by="Ada", title="x", instruction="y", choice="again", note="stuck"
    )
    records.journal.add_action(again)
    cut = JournalEvent(number=WELD, event="unknown", at=AT)
    assert [event.event for event in with_answers(cut_run, (cut,), records)] == []
    await answer_pause("step 5: Weld it.", bag_day(), bench, records, cut_run, moot=settled)
    assert [request.task.kind for request in operator.asked] == ["weld"]


async def settled() -> str:
    return ""
