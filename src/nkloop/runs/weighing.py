"""What a person would have to say about an interrupted run, weighed: the worklist that would follow, or why none can.

Nothing is written here. What is recorded (`deciding`) and what is offered beforehand (`offers`) go through the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from nkloop.errors import PlanError, Problem, RecordError
from nkloop.records import Records
from nkloop.records.decisions import refuse_discarded
from nkloop.records.models import DecisionKind, JournalEvent, RunRecord, StepRuling
from nkloop.runs.enough import require_enough
from nkloop.runs.follow_up import continued, repaired
from nkloop.runs.foreign import require_foreign
from nkloop.runs.inherited import starts_of
from nkloop.runs.possible import doubtful_wells, options_for, possible_wells, reached_wells
from nkloop.runs.rulings import rulings_of
from nkloop.runs.unmixed import Spot
from nkloop.runs.vessels import require_said
from nkloop.runs.ways import LIQUID, Fate, fates_of
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, WellContents
from nkloop.worklists.models import Step, Worklist

_NAMED = 8
"""Wells named in a remedy."""


class Said(NamedTuple):
    """What a person says of the unknown steps of a run and of its wells."""

    steps: Mapping[str, Collection[int]] = MappingProxyType({})
    """What became of steps (`happened`, `not_happened`, `drawn`, ...), to their numbers."""
    moved: Mapping[int, float] = MappingProxyType({})
    """Steps that people did in part, with the µL moved in all."""
    wells: Collection[Spot] = ()
    """Nickname and well of those that are discarded."""
    apart: Collection[str] = ()
    """Later runs whose closed vessels are others of the same names."""
    skipped: Collection[int] = ()
    """Steps that somebody skipped at the device's own screen."""


class RunPlace(NamedTuple):
    """Where a run was: its records, and the labware and deck of its bench."""

    records: Records
    catalogue: LabwareLookup
    deck: BenchDeck


class Case(NamedTuple):
    """A run that is decided about, and what became of its steps by all that is known."""

    run_id: str
    worklist: Worklist
    fates: tuple[Fate, ...]
    catalogue: LabwareLookup
    deck: BenchDeck
    earlier: tuple[Step, ...] = ()
    """Steps of the runs it continues, done with tips of the same racks."""
    starts: tuple[Worklist, ...] = ()
    """Its worklist with each contents it may have started from, for a correction; empty where nobody asked."""

    def wells_in_doubt(self) -> tuple[Spot, ...]:
        """Nickname and well of all whose contents nobody knows."""
        wells = possible_wells(self.worklist, self.fates, self.catalogue, self.deck)
        return tuple((well.labware, well.well) for well in wells)

    def rest(self, kind: DecisionKind, gone: Collection[Spot]) -> Worklist | None:
        """What the robot has still to do as the run left it; None when nothing is left to it.

        Raises:
            PlanError: no worklist can follow; the reason is told.
        """
        if not any(fate.what != "done" and fate.step.action in LIQUID for fate in self.fates):
            return None
        _require_mixed(self.run_id, doubtful_wells(self.worklist, self.fates, self.catalogue), gone)
        case = (self.run_id, self.worklist, self.fates, self.catalogue, self.deck)
        if kind == "continue":
            return continued(*case, without=gone, earlier=self.earlier)
        return repaired(*case, without=gone, earlier=self.earlier, starts=self.starts)


class Weighed(NamedTuple):
    """What follows from what was said."""

    case: Case
    rulings: tuple[StepRuling, ...]
    gone: tuple[Spot, ...]
    """Wells that are discarded."""
    left: Worklist | None
    """What the run left to the robot; None when nothing is left to it."""
    follow_up: Worklist | None
    """The same with what others have drawn since taken off: enough is there, and it is to be verified."""
    of_events: int
    """How many events of the run it was made from."""


def weighed(run: RunRecord, kind: DecisionKind, said: Said, place: RunPlace) -> Weighed:
    """What would follow if this were decided about a run.

    Raises:
        RecordError: another run has changed or discarded what would follow.
        PlanError: a step named is not unknown, or no worklist can follow; the reason is told.
    """
    worklist, events = place.records.journal.worklist(run.worklist_hash), place.records.journal.events(run.id)

    def reaches(step: Step, is_target: bool) -> Iterator[Spot]:
        return reached_wells(step, worklist, place.catalogue, is_target=is_target)

    if run.is_foreign:
        require_foreign(run, kind, said.steps)
    fates = fates_of(worklist, events)
    rulings = rulings_of(run, fates, said.steps, said.moved, reaches, skipped=said.skipped)
    fates = fates_of(worklist, events, rulings)
    starts = starts_of(run, place.records, place.catalogue, place.deck) if kind == "repair" else ()
    case = Case(run.id, worklist, fates, place.catalogue, place.deck, _steps_before(run, place.records), starts)
    gone, left = _spots(worklist, place.catalogue, said.wells), None
    if kind == "discard":
        gone = gone or case.wells_in_doubt()
    elif not run.is_foreign:  # of that nothing was ever due
        require_said(run.id, case.fates)
        left = case.rest(kind, gone)
    follow_up = _as_it_stands(case, left, said.apart, place.records) if left is not None else None
    return Weighed(case, rulings, gone, left, follow_up, len(events))


def _steps_before(run: RunRecord, records: Records) -> tuple[Step, ...]:
    """All steps of the runs that a run continues, the newest first."""
    found = list[Step]()
    while run.parent is not None:
        run = records.journal.run(run.parent)
        found += records.journal.worklist(run.worklist_hash).steps
    return tuple(found)


def to_be_decided(
    run_id: str, kind: DecisionKind, apart: Collection[str], instead_of: int, records: Records
) -> RunRecord:
    """The run, where it may be decided about; the other runs named must be there as well.

    Raises:
        RecordError: it is not over, its wells were discarded, somebody has decided since, or what it left is gone.
    """
    run = records.journal.run(run_id)
    refuse_discarded(run)
    _require_open(run, records, kind, instead_of)
    for other in apart:
        records.journal.run(other)  # a slip of the keyboard would say nothing
    return run


def fates_told(worklist: Worklist, events: Collection[JournalEvent], run: RunRecord) -> tuple[Fate, ...]:
    """What became of each step as a person is told it: what the device was held back from did not happen."""
    fates = fates_of(worklist, events, run.decision.rulings if run.decision else ())
    return tuple(fate._replace(what="not", is_held=False) if fate.is_held else fate for fate in fates)


def _as_it_stands(case: Case, left: Worklist, apart: Collection[str], records: Records) -> Worklist:
    now = records.decisions.as_it_stands(case.run_id, left, apart)
    if now is not left:
        held = {(one.labware, one.well): WellContents(one.volume_ul, {}) for one in now.fillings}
        require_enough(case.run_id, now.steps, held, now, case.catalogue)
    return now


def _require_mixed(run_id: str, doubtful: Mapping[Spot, str], gone: Collection[Spot]) -> None:
    """Refuse to go on with wells whose concentration nobody knows: no addition brings them to a target."""
    left = {spot: why for spot, why in doubtful.items() if spot not in set(gone)}
    if not left:
        return
    # without any named, all wells in doubt are thrown away
    wells = f" {options_for(left)}" if len(left) <= _NAMED else ""
    raise PlanError.from_problems(
        Problem(
            f"the concentration of {nickname} {well} is not known: {why}",
            f"run {run_id}",
            "if somebody saw that it was mixed before, say so with --happened; "
            f"else throw the wells away: --decide discard{wells}",
        )
        for (nickname, well), why in left.items()
    )


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
