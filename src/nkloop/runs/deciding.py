"""A person's decision about an interrupted run: what is still to be done, what is thrown away, and the record of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from nkloop.errors import PlanError, Problem, RecordError
from nkloop.frozen import FrozenModel
from nkloop.quantities.display import volume_told
from nkloop.records import Records
from nkloop.records.decisions import refuse_discarded
from nkloop.records.models import Context, DecisionKind, RunDecision, RunRecord, StepRuling
from nkloop.runs.answers import close_confirmed
from nkloop.runs.enough import require_enough
from nkloop.runs.eyesight import level_change_mm
from nkloop.runs.follow_up import continued, repaired
from nkloop.runs.possible import PossibleWell, doubtful_wells, options_for, possible_wells, sentence
from nkloop.runs.rulings import rulings_of
from nkloop.runs.unfinished import Unfinished, unfinished_vessels
from nkloop.runs.unmixed import Spot
from nkloop.runs.vessels import (
    HeldVessel,
    in_doubt,
    left_of,
    moved_in,
    require_said,
    short_vessels,
    vessels_after,
)
from nkloop.runs.ways import LIQUID, Fate, fates_of, mixes_after
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, WellContents
from nkloop.worklists.models import PLATE_READING, Step, Verdict, Worklist
from nkloop.worklists.verification import require

Verify = Callable[[Worklist], Awaitable[Verdict]]


class OpenStep(FrozenModel):
    """A step of unknown outcome, in words."""

    number: int
    sentence: str
    alike: str
    """The same without its target, for telling steps together that differ in it only."""
    target: str
    """`plate B1`; empty where nothing is given."""
    why: str
    """Why nobody knows."""
    tip: str
    """Where its tip came from; it may still be on the pipette, or hold liquid in the trash."""
    is_drawn: bool
    """Whether its liquid certainly left its source."""
    level_mm: float | None = None
    """Change of the level of its source or target, whichever is more, in mm; None where it is not known."""
    is_given: bool = False
    """Whether all of its liquid certainly arrived, so that only its mix may be missing."""
    mixes: bool = False
    """Whether it mixes after it has given, so that it may have been cut there."""
    by_hand_ul: float = 0.0
    """What people move in it, in all; they may have moved any part of it."""


class Question(FrozenModel):
    """What a person is shown before deciding."""

    run: RunRecord
    steps: tuple[OpenStep, ...]
    wells: tuple[PossibleWell, ...]
    left: tuple[int, ...]
    """Numbers of the steps that certainly were not done."""
    vessels: tuple[HeldVessel, ...] = ()
    """Closed vessels, and tubes that people empty, of which nobody knows what they hold."""
    no_repair: str = ""
    """Why no correction is right whatever the unknown steps did; empty where one is, or where nothing is unknown."""
    no_drawn: str = ""
    """Why the rest cannot be done as a whole when the first unknown step lost its liquid; empty where it can."""


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


def question(
    run_id: str, records: Records, catalogue: LabwareLookup, deck: BenchDeck, rulings: Sequence[StepRuling] = ()
) -> Question:
    """What is unknown of a run, and what its wells may hold.

    Raises:
        RecordError: the run is not recorded.
    """
    run = records.journal.run(run_id)
    worklist = records.journal.worklist(run.worklist_hash)
    said = rulings or (run.decision.rulings if run.decision else ())
    fates = fates_of(worklist, records.journal.events(run_id), said)
    why = {step.number: step.detail for step in run.steps}
    unknown = [fate for fate in fates if fate.what == "unknown"]
    return Question(
        run=run,
        steps=tuple(_open_step(fate, worklist, catalogue, why.get(fate.step.number, "")) for fate in unknown),
        wells=possible_wells(worklist, fates, catalogue, deck),
        left=tuple(fate.step.number for fate in fates if fate.what in {"not", "partly"}),
        vessels=in_doubt(vessels_after(worklist, fates, catalogue, deck)),
        no_repair=_no_repair(run_id, worklist, fates, catalogue, deck) if unknown and run.needs_decision else "",
        no_drawn=_no_drawn(run_id, worklist, fates, catalogue, deck) if unknown and run.needs_decision else "",
    )


def _no_drawn(run_id: str, worklist: Worklist, fates: Sequence[Fate], catalogue: LabwareLookup, deck: BenchDeck) -> str:
    first = next((fate for fate in fates if fate.what == "unknown" and fate.step.action in LIQUID), None)
    if first is None:
        return ""
    supposed = [fate._replace(what="not") if fate.what == "unknown" else fate for fate in fates]
    supposed[fates.index(first)] = first._replace(what="partly", is_drawn=True)
    try:
        continued(run_id, worklist, supposed, catalogue, deck)
    except PlanError as error:
        return "; ".join(f"{one.message}: {one.remedy}" for one in error.problems)
    return ""


def _no_repair(
    run_id: str, worklist: Worklist, fates: Sequence[Fate], catalogue: LabwareLookup, deck: BenchDeck
) -> str:
    try:
        repaired(run_id, worklist, fates, catalogue, deck)
    except PlanError as error:
        first = error.problems[0]
        more = f"; {len(error.problems) - 1} more like it" if len(error.problems) > 1 else ""
        where = "" if first.where.startswith("run ") else f"{first.where}: "
        return f"{where}{first.message}{more}"
    return ""


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
    given: Collection[int] = (),
    cut_in_mix: Collection[int] = (),
    moved: Mapping[int, float] = MappingProxyType({}),
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
        given: unknown transfers that gave their liquid and whose mix after it was not done, with nothing in the tip.
        cut_in_mix: the same with liquid of that mix in the tip: it is missing in the well.
        moved: unknown steps in which people move liquid and that were done in part, with the µL moved in all.
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
        PlanError: a step named is not unknown, or no worklist can follow; the reason is told.
        VerificationError: the worklist that follows was refused by a check.
    """
    close_confirmed(run_id, records)
    run = _to_be_decided(run_id, kind, apart, instead_of, records)
    worklist = records.journal.worklist(run.worklist_hash)
    events = records.journal.events(run_id)
    said = {"happened": happened, "not happened": not_happened, "drawn": drawn}
    said |= {"given": given, "cut in its mix": cut_in_mix, "moved in part": tuple(moved)}
    rulings = rulings_of(run, fates_of(worklist, events), said, moved)
    case = _Case(run_id, worklist, fates_of(worklist, events, rulings), catalogue, deck)
    gone = _spots(worklist, catalogue, wells)
    left: Worklist | None = None
    follow_up: Worklist | None = None
    if kind == "discard":
        gone = gone or case.wells_in_doubt()
    else:
        require_said(run_id, case.fates)
        left = case.rest(kind, gone)
    if left is not None:
        follow_up = await _as_it_stands(case, left, apart, records, verify)
    decision = RunDecision(
        run_id=run_id, decision=kind, by=by, reason=reason, at=at, rulings=rulings, wells=gone, apart=tuple(apart),
        carried_to=carried_to,
    )  # fmt: skip
    decided = case.decided(decision, follow_up)
    # what others have drawn is taken off anew when it is begun
    records.decisions.add(decision, follow_up=left, of_events=len(events), instead_of=instead_of)
    saved = records.journal.run(run_id).decision
    return decided if saved is None else decided.model_copy(update={"decision": saved})


def _to_be_decided(
    run_id: str, kind: DecisionKind, apart: Collection[str], instead_of: int, records: Records
) -> RunRecord:
    """The run, where it may be decided about; the other runs named must be there as well."""
    run = records.journal.run(run_id)
    refuse_discarded(run)
    _require_open(run, records, kind, instead_of)
    for other in apart:
        records.journal.run(other)  # a slip of the keyboard would say nothing
    return run


class _Case(NamedTuple):
    """A run that is decided about, and what became of its steps by all that is known."""

    run_id: str
    worklist: Worklist
    fates: tuple[Fate, ...]
    catalogue: LabwareLookup
    deck: BenchDeck

    def wells_in_doubt(self) -> tuple[Spot, ...]:
        wells = possible_wells(self.worklist, self.fates, self.catalogue, self.deck)
        return tuple((well.labware, well.well) for well in wells)

    def rest(self, kind: DecisionKind, gone: Collection[Spot]) -> Worklist | None:
        """What the robot has still to do as the run left it; None when nothing is left to it."""
        if not any(fate.what != "done" and fate.step.action in LIQUID for fate in self.fates):
            return None
        _require_mixed(self.run_id, doubtful_wells(self.worklist, self.fates, self.catalogue), gone)
        make = continued if kind == "continue" else repaired
        return make(self.run_id, self.worklist, self.fates, self.catalogue, self.deck, without=gone)

    def decided(self, decision: RunDecision, follow_up: Worklist | None) -> Decided:
        """What follows from a decision besides the worklist: vessels that stay unfinished, and work left to people."""
        if decision.decision == "discard":
            where = (self.catalogue, self.deck)
            held = vessels_after(self.worklist, self.fates, *where)
            return Decided(
                decision=decision,
                follow_up=None,
                unfinished=unfinished_vessels(self.worklist, self.fates, decision.wells, *where),
                vessels=short_vessels(self.worklist, held),
            )
        # a reading is done again as a whole
        has_rest = follow_up is None and self.worklist.procedure != PLATE_READING
        left = steps_by_hand(self.fates) if has_rest else ()
        by_hand = tuple(f"step {step.number}: {sentence(step)}" for step in left)
        return Decided(decision=decision, follow_up=follow_up, by_hand=by_hand)


async def _as_it_stands(
    case: _Case, left: Worklist, apart: Collection[str], records: Records, verify: Verify
) -> Worklist:
    """What a run left, with what others have drawn since taken off; enough is there and the checks have passed."""
    now = records.decisions.as_it_stands(case.run_id, left, apart)
    if now is not left:
        held = {(one.labware, one.well): WellContents(one.volume_ul, {}) for one in now.fillings}
        require_enough(case.run_id, now.steps, held, now, case.catalogue)
    require(await verify(now), now)
    return now


def _require_mixed(run_id: str, doubtful: Mapping[Spot, str], gone: Collection[Spot]) -> None:
    """Refuse to go on with wells whose concentration nobody knows: no addition brings them to a target."""
    left = {spot: why for spot, why in doubtful.items() if spot not in set(gone)}
    if not left:
        return
    wells = options_for(left)
    raise PlanError.from_problems(
        Problem(
            f"the concentration of {nickname} {well} is not known: {why}",
            f"run {run_id}",
            "if somebody saw that it was mixed before, say so with --happened; "
            f"else throw the wells away: --decide discard {wells}",
        )
        for (nickname, well), why in left.items()
    )


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
        raise RecordError(
            f"run {run_id} has no worklist that continues it: {told}",
            remedy=f"nkloop reconcile {run_id} --decide continue{anew} --by NAME --reason WHY",
        )
    context = Context(campaign=run.campaign, round=run.round, batch=run.batch, parent=run_id)
    return records.decisions.left_of(run_id), context


def _require_open(run: RunRecord, records: Records, kind: DecisionKind, instead_of: int) -> None:
    if not run.is_over:
        raise RecordError(
            f"run {run.id} is {run.state} in the records: its device may still move and has to be asked first",
            remedy=f"nkloop reconcile {run.id}; with --lost if the device will never answer again",
        )
    records.decisions.require_open(run.id, kind, instead_of)


def _spots(worklist: Worklist, catalogue: LabwareLookup, wells: Collection[Spot]) -> tuple[Spot, ...]:
    """The wells named, each of which must be there: a typing error must not discard nothing."""
    items = {item.nickname: item for item in worklist.deck}
    for nickname, well in wells:
        if nickname not in items or well not in catalogue[items[nickname].load_name].wells:
            known = ", ".join(sorted(items))
            raise PlanError(
                f"there is no well {well} of '{nickname}' in {worklist.name}", remedy=f"its labware: {known}"
            )
    return tuple(dict.fromkeys(wells))


def _open_step(fate: Fate, worklist: Worklist, catalogue: LabwareLookup, why: str) -> OpenStep:
    step, tip = fate.step, ""
    for other in worklist.steps:
        if other.number > step.number:
            break
        if other.tip and worklist.mount_of(other) == worklist.mount_of(step):
            tip = other.tip
    liquid = step.action in {"transfer", "mix"}
    gives = step.action == "transfer"
    return OpenStep(
        number=step.number,
        sentence=sentence(step),
        alike=f"{volume_told(step.volume_ul)} from {step.labware} {step.well}" if gives else sentence(step),
        target=f"{step.to_labware} {step.to_well}" if gives else "",
        why=why,
        tip=tip if liquid else "",
        is_drawn=fate.is_drawn,
        is_given=gives and fate.given_ul >= step.volume_ul,
        level_mm=level_change_mm(step, worklist, catalogue),
        mixes=mixes_after(step),
        by_hand_ul=moved_in(step),
    )
