"""Tasks that a run left to people: a terminal and a flow know of each other, and nothing is poured twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nkloop.errors import OperatorRefusedError
from nkloop.records.models import JournalEvent
from nkloop.runs.resuming import rest_of
from nkloop.runs.run_facts import run_facts
from nkloop.runs.session import Session
from nkloop.virtual.operator import PREFERRED
from nkloop.worklists.models import Worklist

from .conftest import AT, FakeOperator
from .test_vessels import CATALOGUE, RINSE, WELD, Answers, Passing, asked_by, bag_day, decided, journalled_run


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


async def test_what_was_confirmed_before_its_outcome_was_written_is_written_when_it_is_taken_up(
    session: Session, cut_run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await decided(session.records, cut_run, "continue", happened=[RINSE])
    monkeypatch.setattr("nkloop.runs.people.confirmed_since", lambda *args: ())
    await rest_of(asked_by(session, Answers()), journalled_run(session))
    assert journalled_run(session).steps[WELD - 1].event == "failed"
    monkeypatch.undo()
    person = FakeOperator()
    await rest_of(asked_by(session, person), journalled_run(session))
    assert (person.asked, journalled_run(session).steps[WELD - 1].event) == ([], "done")


async def test_who_cannot_tell_is_told_what_gets_on(session: Session, cut_run: str) -> None:
    await decided(session.records, cut_run, "continue", happened=[RINSE])
    with pytest.raises(OperatorRefusedError, match="start the same again and choose what you found: nothing, a part"):
        await rest_of(asked_by(session, Answers(begun="stop")), journalled_run(session))
    person = Answers(begun="part")
    assert await rest_of(asked_by(session, person), journalled_run(session)) is None
    assert person.asked[1].task.instruction.startswith("Part of this was done before (weighed it).")


def test_a_simulated_person_who_was_never_asked_has_done_nothing() -> None:
    assert PREFERRED.index("undone") < PREFERRED.index("stop")
