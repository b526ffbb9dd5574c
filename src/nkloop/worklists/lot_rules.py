"""Rules of lots: valid to the end of use, known, enough of them, cold where they must be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from nkloop.errors import Problem
from nkloop.worklists import rules
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.handling_rules import COLD_C
from nkloop.worklists.models import LotFacts, Worklist

_COLD_MODULE = "temperatureModuleV2"
_COLD_TUBE_UL = 1400.0
"""Working volume of the tubes of the cold block; more than that stands elsewhere."""


def lot_problems(worklist: Worklist, deck: BenchDeck | None) -> Iterator[Problem]:
    """What is wrong with the lots of a worklist; one that was read from a CSV lists none and has nothing to check."""
    known = {lot.id: lot for lot in worklist.lots}
    if not known:
        return
    on_deck: defaultdict[str, float] = defaultdict(float)
    unknown: dict[str, str] = {}
    for filling in worklist.fillings:
        lot = filling.liquid.lot
        if lot is None or ":" in lot:  # cells and preparations of earlier runs are no lots of the inventory
            continue
        on_deck[lot] += filling.volume_ul
        if lot not in known:
            unknown.setdefault(lot, f"filling {filling.labware} {filling.well}")
    for lot, where in unknown.items():
        told = f"{lot} is not among the lots of the worklist"
        yield Problem(told, where, "plan again with the present lot list", rules.LOT_UNKNOWN)
    for lot, facts in known.items():
        yield from _of_lot(worklist, facts, on_deck[lot])
    yield from _off_the_cold(worklist, known, deck)


def _of_lot(worklist: Worklist, lot: LotFacts, on_deck_ul: float) -> Iterator[Problem]:
    where = f"lot {lot.id}"
    if worklist.use_until is not None and lot.expires < worklist.use_until:
        told = f"{lot.component} expires on {lot.expires}, the end of use is {worklist.use_until}"
        yield Problem(told, where, "take another lot or shorten the use", rules.LOT_EXPIRED)
    if on_deck_ul > lot.on_hand_ul + 1e-3:
        told = f"{on_deck_ul:g} µL of {lot.component} are put on deck, the lot holds {lot.on_hand_ul:g} µL"
        yield Problem(told, where, "take another lot or plan a smaller run", rules.LOT_SHORT)


def _off_the_cold(worklist: Worklist, lots: dict[str, LotFacts], deck: BenchDeck | None) -> Iterator[Problem]:
    if deck is None or deck.module_slot(_COLD_MODULE) is None:
        return
    items = {item.nickname: item for item in worklist.deck}
    for filling in worklist.fillings:
        lot, item = lots.get(filling.liquid.lot or ""), items.get(filling.labware)
        if lot is None or item is None or not lot.keep_cold or filling.volume_ul > _COLD_TUBE_UL:
            continue
        if item.temperature_c is None or item.temperature_c > COLD_C:
            told = f"{lot.component} ({lot.storage}) stands on {item.nickname}, which is not cooled"
            where = f"filling {filling.labware} {filling.well}"
            yield Problem(told, where, "put the tube on the cold block", rules.OFF_THE_COLD)
