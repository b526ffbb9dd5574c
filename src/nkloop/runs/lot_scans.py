"""Which lots are scanned when, and which of their containers: with the deck, or at the step that brings them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from nkloop.drivers.interfaces import LotToScan, OperatorAnswer
from nkloop.inventory import Lot
from nkloop.inventory.picking import NOTHING_UL, container_fault
from nkloop.quantities.display import volume_told
from nkloop.records import Records
from nkloop.runs.reserved_plans import reservation_name
from nkloop.worklists.arrivals import brought_by
from nkloop.worklists.cell_tubes import cell_tubes, tube_codes
from nkloop.worklists.models import Worklist


def lots_to_scan(worklist: Worklist, records: Records, bench: str, *, step: int | None = None) -> tuple[LotToScan, ...]:
    """Lots of the inventory and tubes of cells that come onto the deck at a step of a person, or else at loading.

    A lot of which a part is loaded at once is scanned at loading, and only then.
    """
    return _lots({lot: at for lot, at in _arrivals(worklist).items() if at == step}, worklist, records, bench)


def later_lots(worklist: Worklist, records: Records, bench: str) -> tuple[LotToScan, ...]:
    """Lots that are not loaded with the rest, each with the step that brings it first."""
    return _lots({lot: at for lot, at in _arrivals(worklist).items() if at is not None}, worklist, records, bench)


def book_scanned(answer: OperatorAnswer, worklist: Worklist, records: Records, bench: str) -> None:
    """Have the run hold the containers that were scanned in the place of those that were reserved."""
    if answer.scanned:
        name = reservation_name(worklist)
        records.stock.move_to(bench, name, answer.scanned, by=answer.confirmed_by, at=answer.at)


def _lots(
    arrivals: Mapping[str, int | None], worklist: Worklist, records: Records, bench: str
) -> tuple[LotToScan, ...]:
    """Those of these lots that the worklist tells of, with their containers where the stock knows them; then cells."""
    return (*_of_stock(arrivals, worklist, records, bench), *_tubes(arrivals, worklist))


def _tubes(arrivals: Mapping[str, int | None], worklist: Worklist) -> Iterator[LotToScan]:
    """Tubes of cells: no stock keeps them, what they are is their code. A plate is shown by its own barcode."""
    names = {f.liquid.lot: f.liquid.name for f in cell_tubes(worklist)}
    for lot, step in arrivals.items():
        if lot in names:
            (code, short), goes_to = tube_codes(lot), "" if step is None else _place(lot, worklist)
            yield LotToScan(lot=code, component=names[lot], codes=(short,), step=step, goes_to=goes_to)


def _of_stock(
    arrivals: Mapping[str, int | None], worklist: Worklist, records: Records, bench: str
) -> tuple[LotToScan, ...]:
    facts = {fact.id: fact for fact in worklist.lots if fact.id in arrivals}
    if not facts:
        return ()  # spares reading the whole stock at every pause
    stock = records.stock.inventory(bench)
    held = {lot.id: lot for lot in stock.lots} if stock is not None else {}
    name = reservation_name(worklist)
    reserved = next((one.volumes for one in records.stock.reservations(bench) if one.name == name), {})
    found = []
    for lot, step in arrivals.items():
        if lot in facts:
            fact, goes_to = facts[lot], "" if step is None else _place(lot, worklist)
            asked = LotToScan(lot=lot, component=fact.component, expires=fact.expires, step=step, goes_to=goes_to)
            found.append(_with_containers(asked, held[lot], reserved, worklist.use_until) if lot in held else asked)
    return tuple(found)


def _arrivals(worklist: Worklist) -> dict[str, int | None]:
    """Lot to the number of the step that brings it first; None for what is loaded with the rest."""
    found: dict[str, int | None] = {}
    for filling in worklist.fillings:
        if lot := filling.liquid.lot:
            step = brought_by(filling, worklist)
            number = None if step is None else step.number
            first = found.get(lot, number)
            found[lot] = None if number is None or first is None else min(first, number)
    return found


def _place(lot: str, worklist: Worklist) -> str:
    """Slot, wells and volumes of a lot: `slot C1: A1 35 µL`."""
    slots: dict[str, list[str]] = {}
    for filling in worklist.fillings:
        if filling.liquid.lot == lot:
            wells = slots.setdefault(worklist.item(filling.labware).slot, [])
            wells.append(f"{filling.well} {volume_told(filling.volume_ul)}")
    return "; ".join(f"slot {slot}: {', '.join(wells)}" for slot, wells in slots.items())


def _with_containers(asked: LotToScan, lot: Lot, reserved: Mapping[str, float], use_until: date | None) -> LotToScan:
    own = {one.barcode: reserved[one.barcode] for one in lot.containers if one.barcode in reserved}
    return asked.model_copy(
        update={
            "codes": tuple(one.barcode for one in lot.containers),
            "unfit": _unfit(lot, use_until),
            "reserved": tuple(own),
            "needs_ul": sum(own.values()),
            "gives_ul": {one.barcode: max(0.0, one.volume_ul - one.dead_ul) for one in lot.containers},
        }
    )


def _unfit(lot: Lot, use_until: date | None) -> dict[str, str]:
    """Containers that were open for too long or have no thaw left; what counts as empty may be on the deck."""
    faults = {
        one.barcode: container_fault(lot, one, use_until or lot.expires)
        for one in lot.containers
        if one.volume_ul > NOTHING_UL
    }
    return {barcode: fault for barcode, fault in faults.items() if fault}
