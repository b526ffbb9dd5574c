"""A person's decision about an interrupted run: what is still to be done, what is thrown away, and the record of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from nkloop.errors import PlanError, RecordError, VerificationError
from nkloop.frozen import FrozenModel
from nkloop.records import Records
from nkloop.records.decisions import refuse_discarded
from nkloop.records.models import Context, DecisionKind, RunDecision
from nkloop.runs.answers import close_confirmed
from nkloop.runs.leaving_out import with_wells_to_leave_out
from nkloop.runs.possible import sentence
from nkloop.runs.unfinished import Unfinished, unfinished_vessels
from nkloop.runs.unmixed import Spot
from nkloop.runs.vessels import left_of, short_vessels, vessels_after
from nkloop.runs.ways import Fate
from nkloop.runs.weighing import Case, RunPlace, Said, to_be_decided, weighed
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import PLATE_READING, Step, Verdict, Worklist
from nkloop.worklists.verification import require

Verify = Callable[[Worklist], Awaitable[Verdict]]


class Decided(FrozenModel):
    """A decision and what follows from it."""

    decision: RunDecision
    follow_up: Worklist | None
    """Verified worklist to be run next; None when nothing is left to be done."""
    unfinished: tuple[Unfinished, ...] = ()
    """Vessels that nothing of this run will finish any more, because something else was discarded."""
    by_hand: tuple[str, ...] = ()
    """Tasks and movements that were not done and that no worklist follows to ask for, one sentence each."""
    vessels: tuple[str, ...] = ()
    """Closed vessels that nothing of this run will finish any more, because wells were discarded, one sentence each."""


async def decide(
    run_id: str,
    kind: DecisionKind,
    *,
    by: str,
    reason: str,
    at: datetime,
    records: Records,
    catalogue: LabwareLookup,
    deck: BenchDeck,
    verify: Verify,
    happened: Collection[int] = (),
    not_happened: Collection[int] = (),
    drawn: Collection[int] = (),
    cut_in_first_mix: Collection[int] = (),
    given: Collection[int] = (),
    cut_in_mix: Collection[int] = (),
    moved: Mapping[int, float] = MappingProxyType({}),
    skipped_at_screen: Collection[int] = (),
    wells: Collection[Spot] = (),
    apart: Collection[str] = (),
    carried_to: str | None = None,
    instead_of: int = 0,
) -> Decided:
    """Record what a person decided; a worklist that follows is computed and verified first, nothing is moved.

    Args:
        run_id: the run, over.
        kind: `continue` does the rest, `repair` does the rest with a correction, `discard` throws the wells away.
        by: name of the person.
        reason: why, in a sentence.
        at: time of the bench.
        records: where it is kept.
        catalogue: labware types by load name.
        deck: the bench's deck.
        verify: checks the worklist that follows.
        happened: unknown steps the person saw to have happened.
        not_happened: unknown steps the person saw not to have happened: nothing was drawn, nothing given.
        drawn: unknown steps whose liquid left its source and was lost with the tip: nothing was given.
        cut_in_first_mix: unknown transfers that were cut in the mix before their draw, with liquid of that mix in the
            tip: it is missing in the source, and nothing was given.
        given: unknown transfers that gave their liquid and whose mix after it was not done, with nothing in the tip.
        cut_in_mix: the same with liquid of that mix in the tip: it is missing in the well.
        moved: unknown steps in which people move liquid and that were done in part, with the µL moved in all.
        skipped_at_screen: of these, steps that somebody skipped at the device's own screen, so that later ones may
            have happened all the same.
        wells: nickname and well of those that are discarded; for `discard`, all wells of unknown contents when none
            is named.
        apart: later runs of which the person says that their closed vessels are others than this run's of the same
            names.
        carried_to: serial number of the device that has replaced the run's own, to which people have carried what
            stood on its deck.
        instead_of: number of the decision about the run that this one replaces, the first one being 1; 0 where nobody
            had decided when the person was asked.

    Raises:
        RecordError: the run is not over, somebody has decided since the person was asked, its wells were discarded,
            what continues it was begun, or another run has changed or discarded what would follow.
        PlanError: a step named is not unknown, what was said contradicts itself or the device, or no worklist can
            follow; the reason is told.
        VerificationError: the worklist that follows was refused by a check.
    """
    close_confirmed(run_id, records)
    run = to_be_decided(run_id, kind, apart, instead_of, records)
    steps = {"happened": happened, "not_happened": not_happened, "drawn": drawn, "given": given}
    steps |= {"cut_in_first_mix": cut_in_first_mix, "cut_in_mix": cut_in_mix, "moved": tuple(moved)}
    said, place = Said(steps, moved, wells, apart, skipped_at_screen), RunPlace(records, catalogue, deck)
    try:
        found = weighed(run, kind, said, place)
        if found.follow_up is not None:
            require(await verify(found.follow_up), found.follow_up)
    except (PlanError, VerificationError) as error:
        if kind != "continue":
            raise
        raise with_wells_to_leave_out(error, run, said, place) from error
    decision = RunDecision(
        run_id=run_id, decision=kind, by=by, reason=reason, at=at, rulings=found.rulings, wells=found.gone,
        apart=tuple(apart), carried_to=carried_to,
    )  # fmt: skip
    decided = Decided(decision=decision, follow_up=None)
    if not run.is_foreign:  # of that nothing was ever due
        decided = _decided(found.case, decision, found.follow_up)
    # what others have drawn is taken off anew when it is begun
    records.decisions.add(decision, follow_up=found.left, of_events=found.of_events, instead_of=instead_of)
    saved = records.journal.run(run_id).decision
    return decided if saved is None else decided.model_copy(update={"decision": saved})


def _decided(case: Case, decision: RunDecision, follow_up: Worklist | None) -> Decided:
    """What follows from a decision besides the worklist: vessels that stay unfinished, and work left to people."""
    if decision.decision == "discard":
        where = (case.catalogue, case.deck)
        held = vessels_after(case.worklist, case.fates, *where)
        return Decided(
            decision=decision,
            follow_up=None,
            unfinished=unfinished_vessels(case.worklist, case.fates, decision.wells, *where),
            vessels=short_vessels(case.worklist, held),
        )
    # a reading is done again as a whole
    has_rest = follow_up is None and case.worklist.procedure != PLATE_READING
    left = steps_by_hand(case.fates) if has_rest else ()
    by_hand = tuple(f"step {step.number}: {sentence(step)}" for step in left)
    return Decided(decision=decision, follow_up=follow_up, by_hand=by_hand)


def steps_by_hand(fates: Sequence[Fate]) -> tuple[Step, ...]:
    """Steps left to people where no worklist follows: whatever was not done, except a wait; of what was done in part,
    the rest."""
    open_steps = [fate for fate in fates if fate.what != "done" and fate.step.action != "delay"]
    left = [
        left_of(one.step, one.given_ul) if one.what == "partly" and one.step.moves else one.step for one in open_steps
    ]
    return tuple(step for step in left if step is not None)


def follow_up_of(run_id: str, records: Records) -> tuple[Worklist, Context]:
    """The worklist a decision left to be run, as it may be run now, with what it belongs to.

    Raises:
        RecordError: nobody decided to continue or repair the run, that has been done, or others have changed what it
            needs since.
    """
    run = records.journal.run(run_id)
    refuse_discarded(run)
    if run.decision is None or run.decision.follow_up is None:
        told, anew = "nobody has decided about it", ""
        if run.decision is not None:
            told = f"it was decided: {run.decision.decision}"
            anew = f" --instead-of {len(records.decisions.of_run(run_id))}"
        # what became of its unknown steps has to be said with it, and the question tells how
        is_to_be_asked = run.decision is None and run.open_steps
        decide = "" if is_to_be_asked else f" --decide continue{anew} --by NAME --reason WHY"
        raise RecordError(
            f"run {run_id} has no worklist that continues it: {told}", remedy=f"nkloop reconcile {run_id}{decide}"
        )
    context = Context(campaign=run.campaign, round=run.round, batch=run.batch, parent=run_id)
    return records.decisions.left_of(run_id), context
