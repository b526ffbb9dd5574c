"""Tasks that a run left to people: a terminal and a flow know of each other, and nothing is poured twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.drivers.operators import request_key
from nkloop.errors import OperatorRefusedError, RecordError
from nkloop.records import Records
from nkloop.records.models import JournalEvent, OperatorAction
from nkloop.runs import people
from nkloop.runs.deciding import follow_up_of
from nkloop.runs.reconcile import reconcile_run
from nkloop.runs.recovery import recover
from nkloop.runs.resuming import rest_of
from nkloop.runs.run_facts import run_facts
from nkloop.runs.session import Session
from nkloop.virtual.operator import PREFERRED
from nkloop.worklists.models import Worklist

from .conftest import AT, FakeOperator
from .test_listed import Page
from .test_vessels import CATALOGUE, RINSE, WELD, Answers, Passing, asked_by, bag_day, decided, journalled_run


class Listed(Answers):
    """Says that nothing was done before, puts the task on the list, and its program is killed."""

    number = 0

    def __init__(self, records: Records) -> None:
        super().__init__(begun="undone")
        self.records = records

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        if request.choices:
            return await super().perform(request)
        key = request_key(request)
        self.number = self.records.requests.ask("virtual", key, request.title, "{}", run_id=request.run_id).id
        raise OperatorRefusedError("killed")


@pytest.fixture
def cut_run(session: Session, journalled: Callable[..., str]) -> str:
    """Everything is done but the rinse, in which the run was cut, and the weld."""
    return left(session, journalled, bag_day(), "done", "done", "done", "unknown", "failed")


def left(session: Session, journalled: Callable[..., str], worklist: Worklist, *events: str) -> str:
    session.verifier = Passing()  # type: ignore[assignment]
    run_id = journalled(worklist, "planned")
    told = [JournalEvent(number=n, event=e, at=AT) for n, e in enumerate(events, start=1)]  # type: ignore[arg-type]
    session.records.journal.append_events(run_id, told)
    session.records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    return run_id


@pytest.mark.parametrize(("begun", "asked"), [("done", []), ("undone", ["weld"]), ("part", ["weld"])])
async def test_what_a_person_was_told_to_do_by_hand_is_asked_about_before_it_is_asked_for(
    session: Session, cut_run: str, begun: str, asked: list[str]
) -> None:
    made = await decided(session.records, cut_run, "continue", happened=[RINSE])
    assert [told[:12] for told in made.by_hand] == ["step 5: Weld"]
    person = Answers(begun=begun)
    assert await rest_of(asked_by(session, person), journalled_run(session)) is None
    question, *tasks = person.asked
    assert question.task.instruction.startswith("Who decided about the run was told that this is to be done by hand: ")
    assert [request.task.kind for request in tasks] == asked
    assert [step.event for step in journalled_run(session).steps][-1] == "done"


async def test_so_is_a_task_in_which_nothing_is_moved(
    session: Session, worklist: Worklist, journalled: Callable[..., str]
) -> None:
    run_id = left(session, journalled, worklist, "done", "failed", "done")
    await decided(session.records, run_id, "continue")
    person = Answers()
    assert await rest_of(asked_by(session, person), journalled_run(session)) is None
    assert [[choice.key for choice in request.choices] for request in person.asked] == [
        ["undone", "part", "done", "stop"]
    ]


async def test_what_was_confirmed_after_the_end_of_its_run_is_done_everywhere(session: Session, cut_run: str) -> None:
    await decided(session.records, cut_run, "continue", happened=[RINSE])
    assert await rest_of(asked_by(session, Answers(begun="undone")), journalled_run(session)) is None
    again = await decided(session.records, cut_run, "continue", happened=[RINSE], instead_of=1)
    assert again.by_hand == ()
    facts = run_facts(cut_run, session.records, CATALOGUE)
    assert {one.labware: one.sentence for one in facts.wells}["bag-1"] == "35.9 mL"
    assert session.records.journal.events(cut_run)[-1].detail == "confirmed by Ada"


@pytest.fixture
async def confirmed_run(session: Session, cut_run: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The weld was left to people and confirmed; the program that asked was killed before it wrote that it is done."""
    await decided(session.records, cut_run, "continue", happened=[RINSE])
    with monkeypatch.context() as killed:
        killed.setattr("nkloop.runs.people.close_confirmed", lambda *args: None)
        await rest_of(asked_by(session, Answers()), journalled_run(session))
    assert journalled_run(session).steps[WELD - 1].event == "failed"
    return cut_run


async def test_what_was_confirmed_before_its_outcome_was_written_is_written_when_it_is_taken_up(
    session: Session, confirmed_run: str
) -> None:
    person = FakeOperator()
    await rest_of(asked_by(session, person), journalled_run(session))
    assert (person.asked, journalled_run(session).steps[WELD - 1].event) == ([], "done")


async def test_a_new_decision_takes_it_as_done(session: Session, confirmed_run: str) -> None:
    again = await decided(session.records, confirmed_run, "continue", happened=[RINSE], instead_of=1)
    assert (again.by_hand, journalled_run(session).steps[WELD - 1].detail) == ((), "confirmed by Ada")


def test_so_does_one_in_another_process_when_that_which_asked_was_killed_in_between(
    session: Session, cut_run: str, tmp_path: Path
) -> None:
    """Killed for good, holding the bench, between the confirmation and the line in the journal."""
    asyncio.run(decided(session.records, cut_run, "continue", happened=[RINSE]))
    if (asking := os.fork()) == 0:
        people.close_confirmed = lambda *args: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        session.records = Records(f"sqlite:///{tmp_path / 'records.db'}")
        try:
            asyncio.run(rest_of(asked_by(session, Answers()), journalled_run(session)))  # type: ignore[arg-type]
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(asking, 0)[1]) == -signal.SIGKILL
    assert [action.step for action in session.records.journal.actions(cut_run)][-1:] == [WELD]
    assert journalled_run(session).steps[WELD - 1].event == "failed"
    again = asyncio.run(decided(session.records, cut_run, "continue", happened=[RINSE], instead_of=1))
    assert (again.by_hand, journalled_run(session).steps[WELD - 1].event) == ((), "done")


async def test_so_does_whoever_asks_what_became_of_the_run(session: Session, confirmed_run: str) -> None:
    facts = run_facts(confirmed_run, session.records, CATALOGUE)
    assert {one.labware: one.sentence for one in facts.wells}["bag-1"] == "35.9 mL"


async def test_so_does_whoever_uses_the_bench_next(session: Session, confirmed_run: str) -> None:
    await recover(session)
    await recover(session)
    events = [event for event in session.records.journal.events(confirmed_run) if event.number == WELD]
    assert [event.event for event in events] == ["failed", "done"]


@pytest.mark.parametrize("answered", ["confirmed", "declined"])
async def test_what_was_confirmed_on_the_list_while_nobody_asked_is_done_in_a_new_decision(
    session: Session, cut_run: str, answered: Any
) -> None:
    await decided(session.records, cut_run, "continue", happened=[RINSE])
    desk = Listed(session.records)
    with pytest.raises(OperatorRefusedError, match="killed"):
        await rest_of(asked_by(session, desk), journalled_run(session))
    session.records.requests.answer(desk.number, answered, by="Bo", at=AT)
    page = Page()
    await reconcile_run(cut_run, replace(session.bench, operator=page), session.records)
    again = await decided(session.records, cut_run, "continue", happened=[RINSE], instead_of=1)
    is_done = answered == "confirmed"
    assert (len(again.by_hand), len(page.happened), page.asked) == (not is_done, is_done, [])
    assert journalled_run(session).steps[WELD - 1].event == ("done" if is_done else "failed")


async def test_a_rest_that_asks_for_what_was_confirmed_since_is_not_begun(
    session: Session, journalled: Callable[..., str]
) -> None:
    """The pour of bag-1 was confirmed on the list after the run was closed and decided about."""
    run_id = left(session, journalled, bag_day(), "done", "failed", "failed", "failed", "failed")
    assert (await decided(session.records, run_id, "continue")).follow_up is not None
    action = OperatorAction(run_id=run_id, step=3, at=AT, confirmed_by="Bo", title="pour", instruction="pour")
    session.records.journal.add_action(action)
    await recover(session)
    assert session.records.decisions.rests()[0].blocked is not None
    with pytest.raises(RecordError, match=r"step 3 of it has been confirmed since.*--instead-of 1"):
        follow_up_of(run_id, session.records)
    await decided(session.records, run_id, "continue", instead_of=1)
    assert [step.action for step in follow_up_of(run_id, session.records)[0].steps].count("pause") == 2


async def test_who_cannot_tell_is_told_what_gets_on(session: Session, cut_run: str) -> None:
    await decided(session.records, cut_run, "continue", happened=[RINSE])
    with pytest.raises(OperatorRefusedError, match="start the same again and choose what you found: nothing, a part"):
        await rest_of(asked_by(session, Answers(begun="stop")), journalled_run(session))
    person = Answers(begun="part")
    assert await rest_of(asked_by(session, person), journalled_run(session)) is None
    assert person.asked[1].task.instruction.startswith("Part of this was done before (weighed it).")


def test_a_simulated_person_who_was_never_asked_has_done_nothing() -> None:
    assert PREFERRED.index("undone") < PREFERRED.index("stop")
