"""What a run may have started from that corrects another one, or does the rest of such a run.

A correction is right whatever was unknown, and starts by its worklist from the middle of what its wells may have held.
Where it is cut itself, what they may hold now counts from everything they may have held before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.runs.follow_up import left_in_wells
from nkloop.runs.possible import replay
from nkloop.runs.unmixed import Spot
from nkloop.runs.ways import LIQUID, MOST_WAYS, Fate, fates_in, ways_of
from nkloop.worklists.arrivals import left_by
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, WellContents
from nkloop.worklists.models import Filling, Worklist

_SMALLEST_UL = 1e-3


def starts_of(run: RunRecord, records: Records, catalogue: LabwareLookup, deck: BenchDeck) -> tuple[Worklist, ...]:
    """The worklist of a run with each contents that it may have started from; the worklist alone where they are known.

    There are at most one more than `MOST_WAYS`: more are too many to be followed.
    """
    worklist = records.journal.worklist(run.worklist_hash)
    if run.parent is None:
        return (worklist,)
    before = records.journal.run(run.parent)
    if before.decision is None or before.decision.follow_up is None:
        return (worklist,)
    starts = starts_of(before, records, catalogue, deck)
    fates = fates_in(before, starts[0], records)
    if len(starts) == 1 and not any(fate.what == "unknown" and fate.step.action in LIQUID for fate in fates):
        return (worklist,)
    told = {
        (one.labware, one.well): one.volume_ul for one in records.journal.worklist(before.decision.follow_up).fillings
    }
    found = dict[tuple[object, ...], Worklist]()
    for held in _left(starts, fates, catalogue, deck):
        made = worklist.model_copy(update={"fillings": tuple(_filled(worklist, told, held))})
        found.setdefault(tuple(_key(one) for one in made.fillings), made)
        if len(found) > MOST_WAYS:
            break
    return tuple(found.values())


def _left(
    starts: Sequence[Worklist], fates: Sequence[Fate], catalogue: LabwareLookup, deck: BenchDeck
) -> Iterator[Mapping[Spot, WellContents]]:
    """What a run may have left in the wells, from each start in each way."""
    for start in starts:
        for way in ways_of(fates, with_drawn=True):
            yield left_in_wells(replay(start, fates, catalogue, deck, how=way.how), fates)


def _filled(worklist: Worklist, told: Mapping[Spot, float], held: Mapping[Spot, WellContents]) -> Iterator[Filling]:
    """The fillings of a worklist when the run before left this; what others have drawn since is gone all the same."""
    for filling in worklist.fillings:
        spot = (filling.labware, filling.well)
        if not left_by(filling) or spot not in told:
            yield filling
            continue
        contents = held.get(spot, WellContents(0.0, {}))
        volume = round(filling.volume_ul + contents.volume_ul - told[spot], 3)
        if volume > _SMALLEST_UL:
            liquid = filling.liquid.model_copy(
                update={"per_ul": {name: value for name, value in contents.per_ul.items() if value}}
            )
            yield filling.model_copy(update={"volume_ul": volume, "liquid": liquid})


def _key(filling: Filling) -> tuple[object, ...]:
    amounts = ((name, f"{value:.6g}") for name, value in filling.liquid.per_ul.items())
    return filling.labware, filling.well, filling.volume_ul, tuple(sorted(amounts))
