"""A person's decision about an interrupted run: what is still to be done, what is thrown away, and the record of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from nkloop.errors import PlanError, Problem, RecordError
from nkloop.frozen import FrozenModel
from nkloop.quantities.display import volume_told
from nkloop.records import Records
from nkloop.records.decisions import refuse_discarded
from nkloop.records.models import Context, DecisionKind, RunDecision, RunRecord, StepRuling
from nkloop.runs.enough import require_enough
from nkloop.runs.eyesight import level_change_mm
from nkloop.runs.follow_up import continued, repaired
from nkloop.runs.possible import PossibleWell, doubtful_wells, possible_wells, sentence
from nkloop.runs.typed_steps import spans
from nkloop.runs.unfinished import Unfinished, unfinished_vessels
from nkloop.runs.unmixed import Spot
from nkloop.runs.vessels import (
    HeldVessel,
    in_doubt,
    left_of,
    moved_in,
    require_part,
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
_SAID = {
    "happened": "happened",
    "not happened": "not happened",
    "drawn": "drawn its liquid and lost it",
    "given": "given its liquid and not been mixed",
    "cut in its mix": "given its liquid and been cut in its mix",
    "moved in part": "been done in part",
}


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
    run = records.journal.run(run_id)
    refuse_discarded(run)
    _require_open(run, records, kind, instead_of)
    for other in apart:
        records.journal.run(other)  # a slip of the keyboard would say nothing
    worklist = records.journal.worklist(run.worklist_hash)
    events = records.journal.events(run_id)
    said = {"happened": happened, "not happened": not_happened, "drawn": drawn}
    said |= {"given": given, "cut in its mix": cut_in_mix, "moved in part": tuple(moved)}
    rulings = _rulings(run, fates_of(worklist, events), said, moved)
    fates = fates_of(worklist, events, rulings)
    gone = _spots(worklist, catalogue, wells)
    left: Worklist | None = None
    follow_up: Worklist | None = None
    unfinished: tuple[Unfinished, ...] = ()
    vessels: tuple[str, ...] = ()
    if kind != "discard":
        require_said(run_id, fates)
    if kind == "discard":
        gone = gone or tuple((well.labware, well.well) for well in possible_wells(worklist, fates, catalogue, deck))
        unfinished = unfinished_vessels(worklist, fates, gone, catalogue, deck)
        vessels = short_vessels(worklist, vessels_after(worklist, fates, catalogue, deck))
    elif any(fate.what != "done" and fate.step.action in LIQUID for fate in fates):
        _require_mixed(run_id, doubtful_wells(worklist, fates, catalogue), gone)
        make = continued if kind == "continue" else repaired
        left = make(run_id, worklist, fates, catalogue, deck, without=gone)
        follow_up = records.decisions.as_it_stands(run_id, left, apart)
        if follow_up is not left:
            held = {(one.labware, one.well): WellContents(one.volume_ul, {}) for one in follow_up.fillings}
            require_enough(run_id, follow_up.steps, held, follow_up, catalogue)
        require(await verify(follow_up), follow_up)
    decision = RunDecision(
        run_id=run_id, decision=kind, by=by, reason=reason, at=at, rulings=rulings, wells=gone, apart=tuple(apart),
        carried_to=carried_to,
    )  # fmt: skip
    # what others have drawn is taken off anew when it is begun
    records.decisions.add(decision, follow_up=left, of_events=len(events), instead_of=instead_of)
    saved = records.journal.run(run_id).decision
    # a reading is done again as a whole
    has_rest = kind != "discard" and follow_up is None and worklist.procedure != PLATE_READING
    by_hand = tuple(f"step {step.number}: {sentence(step)}" for step in steps_by_hand(fates)) if has_rest else ()
    return Decided(
        decision=saved or decision, follow_up=follow_up, unfinished=unfinished, by_hand=by_hand, vessels=vessels
    )


def _require_mixed(run_id: str, doubtful: Mapping[Spot, str], gone: Collection[Spot]) -> None:
    """Refuse to go on with wells whose concentration nobody knows: no addition brings them to a target."""
    left = {spot: why for spot, why in doubtful.items() if spot not in set(gone)}
    if not left:
        return
    wells = " ".join(f"--well {nickname}:{well}" for nickname, well in left)
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
    context = Context(campaign=run.campaign, round=run.round, parent=run_id)
    return records.decisions.left_of(run_id), context


def _require_open(run: RunRecord, records: Records, kind: DecisionKind, instead_of: int) -> None:
    if not run.is_over:
        raise RecordError(
            f"run {run.id} is {run.state} in the records: its device may still move and has to be asked first",
            remedy=f"nkloop reconcile {run.id}; with --lost if the device will never answer again",
        )
    records.decisions.require_open(run.id, kind, instead_of)


def _rulings(
    run: RunRecord, fates: Sequence[Fate], said: Mapping[str, Collection[int]], moved: Mapping[int, float]
) -> tuple[StepRuling, ...]:
    """What a person said of every unknown step; neither a slip of the keyboard nor what the device contradicts may
    become a ruling."""
    told = [(number, what) for what, numbers in said.items() for number in dict.fromkeys(numbers)]
    of_step: dict[int, str] = {}
    for number, what in told:
        if number in of_step:
            raise PlanError(
                f"step {number} is said to have {_SAID[of_step[number]]} and {_SAID[what]}", remedy="say it once"
            )
        of_step[number] = what
    strange = sorted(set(of_step) - set(run.unknown_steps))
    if strange:
        known = spans(sorted(run.unknown_steps)) or "none"
        raise PlanError(
            f"step {strange[0]} of {run.id} is not unknown",
            where=f"run {run.id}",
            remedy=f"steps of unknown outcome: {known}",
        )
    for fate in fates:
        step, ruled = fate.step, of_step.get(fate.step.number)
        if ruled == "not happened" and fate.is_drawn and fate.given_ul < step.volume_ul:
            raise PlanError(
                f"step {step.number} ({sentence(step)}) drew its liquid, the device says so: it cannot be that nothing "
                "happened",
                where=f"run {run.id}",
                remedy=f"a dry tip means that the liquid was given: --happened {step.number}; liquid still in the tip, "
                f"or lost with it: --drawn {step.number}; if you cannot tell: --decide repair or discard",
            )
        if ruled == "drawn" and step.action not in LIQUID:
            no_tip = "is done without a tip" if step.moves else "moves no liquid"
            raise PlanError(
                f"step {step.number} ({sentence(step)}) {no_tip}, so none of it was drawn and lost",
                where=f"run {run.id}",
                remedy=f"say whether it happened: --happened {step.number} or --not-happened {step.number}",
            )
        if ruled == "moved in part":
            require_part(run.id, step, moved[step.number])
        if ruled in {"given", "cut in its mix"} and not mixes_after(step):
            raise PlanError(
                f"step {step.number} ({sentence(step)}) mixes nothing after it has given, so it was not cut there",
                where=f"run {run.id}",
                remedy=f"when its liquid was given, it happened: --happened {step.number}",
            )
    return tuple(_ruling(n, of_step.get(n), moved.get(n, 0.0)) for n in sorted(run.unknown_steps))


def _ruling(number: int, said: str | None, moved_ul: float) -> StepRuling:
    if said in {None, "happened"}:
        return StepRuling(number=number, happened=True if said else None)
    return StepRuling(
        number=number,
        happened=False,
        is_drawn=said in {"drawn", "cut in its mix"},
        is_given=said in {"given", "cut in its mix"},
        moved_ul=moved_ul,
    )


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
