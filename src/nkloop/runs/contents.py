"""What labware with an identity holds now, told from the worklists that were run on it."""

from __future__ import annotations

from dataclasses import dataclass

from nkloop.errors import RecordError, StepUnknownError
from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.records.touched import DRAWN, touched
from nkloop.runs.left_in import left_in
from nkloop.runs.possible import doubtful_wells, reached_wells, replay
from nkloop.runs.ways import Fate, fates_in
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, WellContents
from nkloop.worklists.models import PLATE_READING, Worklist


@dataclass(frozen=True)
class KnownLabware:
    """A labware with an identity and what its wells hold."""

    barcode: str
    load_name: str
    wells: dict[str, WellContents]
    """Without those that were discarded."""
    discarded: frozenset[str] = frozenset()
    """Wells that must not be used any more."""


def known_contents(records: Records, catalogue: LabwareLookup, deck: BenchDeck, barcode: str) -> KnownLabware:
    """A labware as it stands after the last run that moved something with it on the deck.

    A run that was interrupted counts with the steps that were done, and with what people said of the unknown ones.

    Raises:
        RecordError: no run had it on the deck.
        StepUnknownError: that run left steps of which nobody knows or has said what they did, or it is not over; or
            every well was discarded.
    """
    gone = frozenset(well.well for well in records.decisions.discarded(barcode))
    for run in reversed(records.journal.with_labware((barcode,))):
        if run.procedure == PLATE_READING:
            continue  # nothing in its wells changes
        worklist = records.journal.worklist(run.worklist_hash)
        item = next((item for item in worklist.deck if item.barcode == barcode), None)
        if item is None or _is_only_planned(run):
            continue
        if run.is_foreign:  # what it gave went on other contents than its worklist tells
            _require_decided(run, barcode)
            continue
        fates = fates_in(run, worklist, records)
        if run.is_over and not any(fate.what in {"done", "unknown", "partly"} for fate in fates):
            continue  # it ended before anything was moved
        ledger = replay(worklist, fates, catalogue, deck)
        wells = {well: held for nickname, well, held in ledger.wells() if nickname == item.nickname}
        _require_known(run, fates, _touched(worklist, fates, catalogue, barcode) - gone, barcode)
        left = left_in(records, catalogue, deck, barcode, _not_filled(worklist, fates, barcode) - gone)
        kept = {well: left.get(well, held) for well, held in wells.items() if well not in gone}
        if wells and not kept:
            raise StepUnknownError(
                f"every well of {barcode} was discarded", where=barcode, remedy="take another one, with its own barcode"
            )
        return KnownLabware(barcode, item.load_name, kept, gone)
    raise RecordError(f"no run had a labware '{barcode}' on the deck", remedy="prepare it first, or check the barcode")


def _not_filled(worklist: Worklist, fates: tuple[Fate, ...], barcode: str) -> set[str]:
    """Wells of which a run tells what its plan wanted to be there: it has drawn from them and given nothing."""
    moved = {fate.step.number for fate in fates if fate.what in {"done", "partly"}}
    changes = [one for one in touched(worklist, moved) if one.barcode == barcode]
    return {one.well for one in changes if one.how == DRAWN} - {one.well for one in changes if one.is_given}


def _is_only_planned(run: RunRecord) -> bool:
    """Whether the device has not been told of a run, and nobody can have started it there."""
    return run.state == "planned" and all(step.event == "intended" for step in run.steps)


def _require_decided(run: RunRecord, barcode: str) -> None:
    if run.needs_decision:
        raise StepUnknownError(
            f"{run.error}, so nobody knows what {barcode} holds",
            remedy=f"look at the labware, then `nkloop reconcile {run.id}`",
        )


def _touched(worklist: Worklist, fates: tuple[Fate, ...], catalogue: LabwareLookup, barcode: str) -> set[str]:
    """Wells of a labware that steps nobody knows of give into or draw from, or of unknown concentration."""
    nicknames = {item.nickname for item in worklist.deck if item.barcode == barcode}
    doubtful = {well for nickname, well in doubtful_wells(worklist, fates, catalogue) if nickname in nicknames}
    return doubtful | {
        well
        for fate in fates
        if fate.what == "unknown"
        for is_target in (True, False)
        for nickname, well in reached_wells(fate.step, worklist, catalogue, is_target=is_target)
        if nickname in nicknames
    }


def _require_known(run: RunRecord, fates: tuple[Fate, ...], unclear: set[str], barcode: str) -> None:
    """Refuse while a well that was not discarded may have been reached by a step nobody knows of."""
    unknown = any(fate.what == "unknown" for fate in fates)
    if run.is_over and not unclear and (run.decision is not None or not unknown):
        return
    how = "ended as" if run.is_over else "is"
    wells = f" in {', '.join(sorted(unclear))}" if unclear else ""
    raise StepUnknownError(
        f"run {run.id} {how} {run.state} with {len(run.unknown_steps)} steps of unknown outcome, "
        f"so nobody knows what {barcode} holds{wells}",
        remedy=f"look at the labware, then `nkloop reconcile {run.id}`",
    )
