"""What is left in a vessel that a run has filled and others have drawn from since, whatever their plans believed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from nkloop.drivers.bench import Bench
from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.records.touched import DRAWN, Touched, touched
from nkloop.runs.possible import replay
from nkloop.runs.ways import Fate, fates_in
from nkloop.worklists.arrivals import left_by
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, WellContents
from nkloop.worklists.models import PLATE_READING, Worklist

_SLACK_UL = 1.0


def left_in(
    records: Records, catalogue: LabwareLookup, deck: BenchDeck, barcode: str, wells: Collection[str]
) -> dict[str, WellContents]:
    """What the last run that gave into each of these wells left there, less what later runs drew.

    A plan may have been made before the vessel was filled, or beside another that draws from it, too: what it says of
    the vessel is what was wanted.

    Returns:
        Well to its contents; without wells into which no run gave, and those of which nobody knows what one of these
        runs did there.
    """
    asked, found = set(wells), dict[str, WellContents]()
    drawn_ul: dict[str, float] = defaultdict(float)
    for run in reversed(records.journal.with_labware((barcode,))) if asked else ():
        if run.procedure == PLATE_READING:
            continue
        if run.is_foreign or not asked:
            break
        worklist = records.journal.worklist(run.worklist_hash)
        fates = fates_in(run, worklist, records)
        asked -= {one.well for one in _changes(worklist, fates, {"unknown"}, barcode)}
        changes = [one for one in _changes(worklist, fates, {"done", "partly"}, barcode) if one.well in asked]
        filled = {one.well for one in changes if one.is_given}
        for one in changes:
            if one.well not in filled:
                drawn_ul[one.well] += one.volume_ul
        if filled:
            nickname = next(item.nickname for item in worklist.deck if item.barcode == barcode)
            ledger = replay(worklist, fates, catalogue, deck)
            stood = {well: held for name, well, held in ledger.wells() if name == nickname and well in filled}
            found |= {well: _less(held, drawn_ul[well]) for well, held in stood.items()}
            asked -= filled
    return found


def require_sources(worklist: Worklist, bench: Bench, records: Records) -> None:
    """Refuse a worklist that draws more from a vessel than the runs before have left in it.

    The rest of a run is judged when it is decided.

    Raises:
        RecordError: with the vessel, what is left in it and what is needed.
    """
    if bench.catalogue is None or any(left_by(filling) for filling in worklist.fillings):
        return
    changes = tuple(touched(worklist))
    given = {(one.barcode, one.well) for one in changes if one.is_given}
    needs: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for one in changes:
        if one.barcode and one.how == DRAWN and (one.barcode, one.well) not in given:
            needs[one.barcode][one.well] += one.volume_ul
    for barcode, of_wells in needs.items():
        for well, left in left_in(records, bench.catalogue, bench.file.deck, barcode, of_wells).items():
            if of_wells[well] > left.volume_ul + _SLACK_UL:
                raise _short(worklist, f"{barcode} {well}", of_wells[well], left.volume_ul)


def _short(worklist: Worklist, place: str, need_ul: float, left_ul: float) -> RecordError:
    return RecordError(
        f"draws {need_ul:g} µL from {place}, in which {left_ul:g} µL are left by what runs have given and drawn: "
        "another run has drawn from it since this was planned, or less was made",
        where=worklist.name,
        remedy=f"plan anew on what {place.rpartition(' ')[0]} holds now, or prepare more in a vessel of its own",
    )


def _changes(worklist: Worklist, fates: Iterable[Fate], what: Collection[str], barcode: str) -> list[Touched]:
    """How the steps that went so have changed the wells of a labware."""
    numbers = {fate.step.number for fate in fates if fate.what in what}
    return [one for one in touched(worklist, numbers) if one.barcode == barcode]


def _less(held: WellContents, drawn_ul: float) -> WellContents:
    left_ul = max(0.0, held.volume_ul - drawn_ul)
    share = left_ul / held.volume_ul if held.volume_ul else 0.0
    return WellContents(left_ul, {name: amount * share for name, amount in held.amounts.items()}, held.lots)
