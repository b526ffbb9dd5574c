"""Rules of handling: cells in suspension and drawn gently, dilutions mixed, liquids in their order.

The ledger asks these with the state of a well before liquid leaves or enters it; each breach is a rule id, the well
it is about, the sentence and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from nkloop.worklists import rules
from nkloop.worklists.ledger_state import CELLS, LYSIS, STOP, SUBSTRATE, HeldTip, Place, WellState
from nkloop.worklists.models import Step

COLD_C = 8.0
"""Warmest set point of a cold block."""
WARM_C = 15.0
"""Coldest labware cells may stand on."""
SETTLING_STEPS = 8
"""Steps after which mixed cells have settled: about 2 min, at some 15 s a step."""
CELLS_FLOW = 0.5
"""Largest share of the default flow at which cells are drawn."""
WASTE = "waste"
"""Nickname of the labware that takes what is thrown away."""

Breach = tuple[str, str, str, str]
"""Rule id, well, sentence, remedy."""


def source_breaches(step: Step, place: Place, n_steps: int) -> Iterator[Breach]:
    """What is wrong with drawing from the wells of a step; what goes to waste may be uneven or settled."""
    to_waste = step.to_labware == WASTE
    for name in place.reached.get((step.well, step.channels), ()):
        well = place.wells.get(name)
        if well is None or not (well.is_uneven or well.marks & CELLS):
            continue
        where = f"{step.labware} {name}"
        if well.is_uneven and not to_waste:
            told = f"{where} was added to and not mixed since, drawing from it gives no known concentration"
            yield rules.UNEVEN, where, told, "mix after the addition or before the draw"
        if not well.marks & CELLS or well.marks & LYSIS:
            continue
        if n_steps - well.mixed_at > SETTLING_STEPS and not place.is_rested and not to_waste:
            told = f"cells in {where} are drawn without being mixed in this step or the {SETTLING_STEPS} before it"
            yield rules.CELLS_NOT_MIXED, where, told, "mix before the draw"
        if step.flow_factor > CELLS_FLOW:
            told = f"cells in {where} are drawn at {step.flow_factor:g} of the default flow, at most {CELLS_FLOW:g}"
            yield rules.CELLS_TOO_FAST, where, told, "lower the flow factor to 0.4"


def may_not_arrive(held: HeldTip, target: WellState) -> bool:
    """Whether there can be `arrival_breaches` at all; asked first, because it is so for few arrivals."""
    if target.volume <= 0:
        return held.is_cold or _are_donors(held.lots)
    return target.lot is not None or bool(target.marks and held.marks)


def arrival_breaches(
    place: Place, name: str, held: HeldTip, target: WellState, with_targets: frozenset[tuple[str, str]]
) -> Iterator[Breach]:
    """What may not come into a well because of what is, or is not yet, in it."""
    nickname = place.item.nickname
    where = f"{nickname} {name}"
    if target.volume <= 0:
        if held.is_cold and (nickname, name) in with_targets:
            told = f"a cold stock is the first liquid in {where}"
            yield rules.ADDITIVE_FIRST, where, told, "put the base medium before the additives"
        if place.item.barcode is not None and _are_donors(held.lots):
            told = f"cells are the first liquid in {where}"
            yield rules.CELLS_INTO_DRY, where, told, "give the medium first, then the cells"
        return
    foreign = held.per_ul.keys() - target.per_ul.keys() or held.lots - target.lots
    if foreign and target.lot is not None and ":" not in target.lot:
        told = f"{', '.join(sorted(foreign))} would be dispensed into stock {target.lot} in {where}"
        yield rules.STOCK_RECEIVES, where, told, "dispense into another well"
    if target.marks and held.marks and nickname != WASTE:
        yield from _order_breaches(where, held, target)
        yield from _pause_breaches(place, where, held, target)


@lru_cache(maxsize=1024)
def _are_donors(lots: frozenset[str]) -> bool:
    """Whether a liquid is of donors' cells alone."""
    return bool(lots) and all(lot.startswith("donor:") for lot in lots)


def _order_breaches(where: str, held: HeldTip, target: WellState) -> Iterator[Breach]:
    here, comes = target.marks, held.marks
    if comes & CELLS and not comes & LYSIS and here & LYSIS:
        told = f"cells would come into {where}, which holds lysis buffer"
        yield rules.CELLS_AFTER_LYSIS, where, told, "add the lysis buffer after the cells"
    if here & STOP and comes & (SUBSTRATE | CELLS):
        told = f"{where} already holds stop solution"
        yield rules.STOP_BEFORE_SUBSTRATE, where, told, "add the stop solution last"
    if comes & here & CELLS:
        yield from _owner_breaches(where, held.per_ul, target.per_ul)


def _pause_breaches(place: Place, where: str, held: HeldTip, target: WellState) -> Iterator[Breach]:
    here, comes, remedy = target.marks, held.marks, "put the pause back"
    if comes & LYSIS and not comes & CELLS and here & CELLS and not place.is_rested:
        told = f"lysis buffer would come into {where} without an incubation since the cells"
        yield rules.PAUSE_MISSING, place.item.nickname, told, remedy
    if comes & STOP and here & SUBSTRATE and not place.is_rested:
        told = f"stop solution would come into {where} without an incubation since the substrate"
        yield rules.PAUSE_MISSING, place.item.nickname, told, remedy
    if comes & CELLS and here & SUBSTRATE and not held.is_spun:
        told = f"supernatant would come into {where} without a centrifugation since the last addition"
        yield rules.PAUSE_MISSING, place.item.nickname, told, remedy


def _owner_breaches(where: str, held: Mapping[str, float], target: Mapping[str, float]) -> Iterator[Breach]:
    for kind in ("donor:", "effector:"):
        comes = {name for name in held if name.startswith(kind)}
        here = {name for name in target if name.startswith(kind)}
        if comes and here and comes != here:
            owners = " and ".join(sorted(name.removeprefix(kind) for name in comes | here))
            told = f"cells of {owners} meet in {where}"
            yield rules.DONORS_MIXED, where, told, "correct the source or the destination"
