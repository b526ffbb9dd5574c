"""A resumed flow does the rest of a run that was cut, never its whole again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nkloop.errors import StepUnknownError
from nkloop.records.models import JournalEvent, RunDecision, RunRecord, StepRuling
from nkloop.runs.resuming import rest_of
from nkloop.runs.session import Session
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import DeckItem, Verdict, Worklist

from .conftest import AT


class Ledger:
    """Verifies by the ledger alone."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def verify(self, made: Worklist) -> Verdict:
        check = check_ledger(made, self._session.catalogue, self._session.bench_file.deck)
        return Verdict(worklist=made.name, worklist_hash=made.content_hash, checks=(check,))


@pytest.fixture
def cut(
    session: Session,
    worklist: Worklist,
    journalled: Callable[..., str],
) -> Callable[..., RunRecord]:
    """`cut("done", "failed", "failed")`: a run that ended so, step by step."""
    session.verifier = Ledger(session)  # type: ignore[assignment]
    tips = DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul")
    steps = tuple(
        step.model_copy(update={"tip": f"tips:A{step.number}"}) if step.action == "transfer" else step
        for step in worklist.steps
    )
    whole = worklist.model_copy(update={"deck": (*worklist.deck, tips), "steps": steps})

    def make(*events: Any) -> RunRecord:
        run_id = journalled(whole, "planned")
        told = [JournalEvent(number=n, event=event, at=AT) for n, event in enumerate(events, start=1)]
        session.records.journal.append_events(run_id, told)
        session.records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
        return session.records.journal.run(run_id)

    return make


async def test_the_rest_of_a_run_whose_steps_are_known_is_continued(
    session: Session,
    cut: Callable[..., RunRecord],
) -> None:
    last = cut("done", "failed", "failed")
    rest = await rest_of(session, last)
    assert rest is not None
    made, verdict = rest
    assert verdict.passed
    assert [(step.action, step.to_well) for step in made.steps] == [("pause", ""), ("transfer", "C1")]
    decision = session.records.journal.run(last.id).decision
    assert decision is not None
    assert (decision.by, decision.decision) == ("nkloop", "continue")
    again = await rest_of(session, session.records.journal.run(last.id))
    assert again is not None
    assert again[0] == made


async def test_what_people_still_have_to_do_is_asked_for_once_when_the_robot_has_nothing_left(
    session: Session,
    cut: Callable[..., RunRecord],
) -> None:
    last = cut("done", "failed", "done")
    assert await rest_of(session, last) is None
    (action,) = session.records.journal.actions(last.id)
    assert (action.step, action.instruction) == (2, "4 h at 37 °C")
    assert "step 2, left by run-0001: " in action.title
    assert await rest_of(session, session.records.journal.run(last.id)) is None
    assert session.records.journal.actions(last.id) == (action,)


async def test_what_somebody_says_has_happened_is_not_asked_for_again(
    session: Session, cut: Callable[..., RunRecord]
) -> None:
    last = cut("done", "unknown", "done")
    seen = StepRuling(number=2, happened=True)
    made = RunDecision(
        run_id=last.id, decision="continue", by="Ada", reason="was in until 14:00", at=AT, rulings=(seen,)
    )
    session.records.decisions.add(made)
    assert await rest_of(session, session.records.journal.run(last.id)) is None
    assert session.records.journal.actions(last.id) == ()


async def test_unknown_steps_and_discarded_wells_stop_the_flow(
    session: Session,
    cut: Callable[..., RunRecord],
) -> None:
    last = cut("done", "failed", "unknown")
    with pytest.raises(StepUnknownError, match=f"nkloop reconcile {last.id}"):
        await rest_of(session, last)
    session.records.decisions.add(
        RunDecision(run_id=last.id, decision="discard", by="Ada", reason="spilled", at=AT, wells=(("plate", "C1"),))
    )
    with pytest.raises(StepUnknownError, match=r"discarded by Ada.*launch the flow anew"):
        await rest_of(session, session.records.journal.run(last.id))
