"""A flow that is resumed after one of its runs was cut: the rest of that run, never its whole again."""

from __future__ import annotations

import logging

from nkloop.errors import StepUnknownError
from nkloop.records.models import RunDecision, RunRecord
from nkloop.runs.deciding import decide, follow_up_of, steps_by_hand
from nkloop.runs.people import do_left_task
from nkloop.runs.possible import sentence
from nkloop.runs.reconcile import decision_needed
from nkloop.runs.session import Session
from nkloop.runs.ways import fates_of
from nkloop.worklists.models import Verdict, Worklist

SOFTWARE = "nkloop"
logger = logging.getLogger(__name__)


async def rest_of(session: Session, last: RunRecord) -> tuple[Worklist, Verdict] | None:
    """What a run of this launch left to be done, verified; None when the robot has nothing to do any more.

    Where the outcome of every step is known, the rest follows from the journal and is continued; where it is not, a
    person has decided or must. Tasks of people that the run was cut before are asked for where the robot has nothing
    left to do.

    Raises:
        OperatorRefusedError: a person declined a task that was left.
        StepUnknownError: a person must decide, or has decided to discard, so that nothing can be continued.
        PlanError: what is left cannot be run; the reason is told.
        VerificationError: a check refused the rest.
    """
    if last.needs_decision:
        raise decision_needed(last, session.records)
    if last.decision is None:
        await decide(
            last.id,
            "continue",
            by=SOFTWARE,
            reason="the flow was resumed and the outcome of every step is known",
            at=await session.bench.clock.now(),
            records=session.records,
            catalogue=session.catalogue,
            deck=session.bench_file.deck,
            verify=session.verifier.verify,
        )
    elif last.decision.decision == "discard":
        raise StepUnknownError(
            f"wells of run {last.id} were discarded by {last.decision.by}, so this launch cannot go on with them",
            where=f"run {last.id}",
            remedy="launch the flow anew, without those wells or with a new plate",
        )
    decision = session.records.journal.run(last.id).decision
    if decision is not None and decision.follow_up is None:
        await _finish_by_hand(session, last, decision)
        return None
    worklist, _ = follow_up_of(last.id, session.records)
    return worklist, await session.verifier.verify(worklist)


async def _finish_by_hand(session: Session, last: RunRecord, decision: RunDecision) -> None:
    """Have done what people still had to do in a run of which the robot has nothing left.

    A person who has decided was told to do it by hand, so that it may be done.
    """
    was_told = decision.by != SOFTWARE
    worklist = session.records.journal.worklist(last.worklist_hash)
    for step in steps_by_hand(fates_of(worklist, session.records.journal.events(last.id), decision.rulings)):
        if step.action == "pause":
            await do_left_task(step, worklist, session.bench, session.records, last.id, was_told=was_told)
        else:
            told = "%s was cut before this was done, and nothing asks for it again: step %d: %s"
            logger.warning(told, last.id, step.number, sentence(step))
