"""What is left in a vessel that a run has filled and others have drawn from since, whatever their plans believed."""

from __future__ import annotations

from collections import defaultdict

from nkloop.drivers.bench import Bench
from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.records.touched import DRAWN, touched
from nkloop.runs.possible import replay
from nkloop.runs.ways import Fate, fates_of
from nkloop.worklists.arrivals import left_by
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, WellContents
from nkloop.worklists.models import PLATE_READING, Worklist

_SLACK_UL = 1.0
_MOVED = frozenset({"done", "partly"})


def left_in(
    records: Records, catalogue: LabwareLookup, deck: BenchDeck, barcode: str, well: str
) -> WellContents | None:
    """What the last run that gave into a well left there, less what later runs drew.

    A plan may have been made before the vessel was filled, or beside another that draws from it, too: what it says of
    the vessel is what was wanted.

    Returns:
        None when no run gave into it, or when nobody knows what one of these runs did there.
    """
    drawn_ul = 0.0
    for run in reversed(records.journal.with_labware((barcode,))):
        if run.procedure == PLATE_READING:
            continue
        worklist = records.journal.worklist(run.worklist_hash)
        fates = _fates(run, worklist, records)
        if run.is_foreign or _reaches(worklist, fates, {"unknown"}, barcode, well):
            return None
        changes = _reaches(worklist, fates, _MOVED, barcode, well)
        if any(how != DRAWN for how, _ in changes):
            nickname = next(item.nickname for item in worklist.deck if item.barcode == barcode)
            wells = {(name, spot): held for name, spot, held in replay(worklist, fates, catalogue, deck).wells()}
            held = wells.get((nickname, well))
            return None if held is None else _less(held, drawn_ul)
        drawn_ul += sum(volume for _, volume in changes)
    return None


def require_sources(worklist: Worklist, bench: Bench, records: Records) -> None:
    """Refuse a worklist that draws more from a vessel than the runs before have left in it.

    The rest of a run is judged when it is decided.

    Raises:
        RecordError: with the vessel, what is left in it and what is needed.
    """
    if bench.catalogue is None or any(left_by(filling) for filling in worklist.fillings):
        return
    needs: dict[tuple[str, str], float] = defaultdict(float)
    given = {(one.barcode, one.well) for one in touched(worklist) if one.is_given}
    for one in touched(worklist):
        if one.barcode and one.how == DRAWN and (one.barcode, one.well) not in given:
            needs[one.barcode, one.well] += one.volume_ul
    for (barcode, well), need in needs.items():
        left = left_in(records, bench.catalogue, bench.file.deck, barcode, well)
        if left is not None and need > left.volume_ul + _SLACK_UL:
            raise RecordError(
                f"draws {need:g} µL from {barcode} {well}, in which {left.volume_ul:g} µL are left by "
                "what runs have given and drawn: another run has drawn from it since this was planned, or less was "
                "made",
                where=worklist.name,
                remedy=f"plan anew on what {barcode} holds now, or prepare more in a vessel of its own",
            )


def _fates(run: RunRecord, worklist: Worklist, records: Records) -> tuple[Fate, ...]:
    return fates_of(worklist, records.journal.events(run.id), run.decision.rulings if run.decision else ())


def _reaches(
    worklist: Worklist, fates: tuple[Fate, ...], what: set[str] | frozenset[str], barcode: str, well: str
) -> list[tuple[str, float]]:
    """How the steps that went so have changed a well, and what left it."""
    numbers = {fate.step.number for fate in fates if fate.what in what}
    changes = touched(worklist, numbers)
    return [(one.how, one.volume_ul) for one in changes if (one.barcode, one.well) == (barcode, well)]


def _less(held: WellContents, drawn_ul: float) -> WellContents:
    left_ul = max(0.0, held.volume_ul - drawn_ul)
    share = left_ul / held.volume_ul if held.volume_ul else 0.0
    return WellContents(left_ul, {name: amount * share for name, amount in held.amounts.items()}, held.lots)
