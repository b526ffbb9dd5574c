"""A flow that is resumed after one of its runs was cut: the rest of that run, never its whole again."""

from __future__ import annotations

import logging

from nkloop.errors import StepUnknownError
from nkloop.records.models import RunRecord
from nkloop.runs.deciding import decide, follow_up_of
from nkloop.runs.reconcile import decision_needed
from nkloop.runs.session import Session
from nkloop.worklists.models import Verdict, Worklist

SOFTWARE = "nkloop"
logger = logging.getLogger(__name__)


async def rest_of(session: Session, last: RunRecord) -> tuple[Worklist, Verdict] | None:
    """What a run of this launch left to be done, verified; None when every transfer and mix was done.

    Where the outcome of every step is known, the rest follows from the journal and is continued; where it is not, a
    person has decided or must. Tasks that no worklist asks for any more are told in the log.

    Raises:
        StepUnknownError: a person must decide, or has decided to discard, so that nothing can be continued.
        PlanError: what is left cannot be run; the reason is told.
        VerificationError: a check refused the rest.
    """
    if last.needs_decision:
        raise decision_needed(last, session.records)
    if last.decision is None:
        made = await decide(
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
        for task in made.by_hand:
            logger.warning("%s was cut before this was done, and nothing asks for it again: %s", last.id, task)
    elif last.decision.decision == "discard":
        raise StepUnknownError(
            f"wells of run {last.id} were discarded by {last.decision.by}, so this launch cannot go on with them",
            where=f"run {last.id}",
            remedy="launch the flow anew, without those wells or with a new plate",
        )
    decision = session.records.journal.run(last.id).decision
    if decision is not None and decision.follow_up is None:
        return None
    worklist, _ = follow_up_of(last.id, session.records)
    return worklist, await session.verifier.verify(worklist)
