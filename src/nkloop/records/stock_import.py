"""What a lot list changes in the stock: new lots and containers are added, amounts of known ones never overwritten."""

from __future__ import annotations

from collections.abc import Mapping

from nkloop.errors import Problem
from nkloop.inventory import Inventory, Lot
from nkloop.inventory.picking import shown
from nkloop.records.stock_models import ImportReport, LotImport

IDENTITY = (
    "component",
    "lot_number",
    "concentration",
    "specific_activity",
    "carrier",
    "buffer",
    "expires",
)
"""Fields that make a lot the lot it is; another value is a conflict unless the import is a correction."""
_STOCK_OWNS = {"id", "volume", "containers", "freeze_thaws", "state", "state_reason"}
"""After the first import the stock knows these, the list only its past."""
_SAME_UL = 1e-3


def compare(known: Mapping[str, Lot], stock: Inventory | None, listed: Inventory, *, correct: bool) -> ImportReport:
    """What importing a list does with every lot of it.

    Args:
        known: What every lot is, as saved.
        stock: The lots as they stand, None before the first import.
        correct: Identity fields may change.
    """
    places = {one.barcode: lot.id for lot in (stock.lots if stock else ()) for one in lot.vessels}
    return ImportReport(lots=tuple(_one(known, stock, lot, places, correct=correct) for lot in listed.lots))


def changed_fields(saved: Lot, listed: Lot) -> dict[str, tuple[object, object]]:
    """Fields of a lot (amounts aside) that the list gives another value: name to saved and listed value."""
    names = [name for name in Lot.model_fields if name not in _STOCK_OWNS]
    if listed.state != "released":  # a list may hold a lot back, but never release one that a person holds back
        names += ["state", "state_reason"]
    pairs = {name: (getattr(saved, name), getattr(listed, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def merged(saved: Lot, listed: Lot) -> Lot:
    """What a known lot is after an import: as listed, except for what the stock owns."""
    update: dict[str, object] = {}
    if listed.state == "released":
        update = {"state": saved.state, "state_reason": saved.state_reason}
    if listed.price_eur == saved.price_eur:  # the price belongs to the volume it was given for
        update["volume"] = saved.volume
    return listed.model_copy(update=update)


def conflict_problems(report: ImportReport) -> tuple[Problem, ...]:
    """Every conflict as a problem with its remedy."""
    remedy = "give the new delivery its own lot id, or correct the saved lot with --correct and a --reason"
    return tuple(
        Problem(detail, f"lot {one.lot}", remedy if "barcode" not in detail else "give every container its own barcode")
        for one in report.conflicts
        for detail in one.details
    )


def _one(
    known: Mapping[str, Lot], stock: Inventory | None, lot: Lot, places: Mapping[str, str], *, correct: bool
) -> LotImport:
    elsewhere = [
        f"barcode {one.barcode} belongs to lot {places[one.barcode]} already"
        for one in lot.vessels
        if places.get(one.barcode, lot.id) != lot.id
    ]
    if elsewhere:
        return LotImport(lot=lot.id, action="conflict", details=tuple(elsewhere))
    if lot.id not in known or stock is None:
        number = len(lot.vessels)
        told = f"{lot.component}, {shown(lot.volume_ul)} in {number} container{'s' if number > 1 else ''}"
        return LotImport(lot=lot.id, action="new", details=(told,))
    return _known(known[lot.id], stock.lot(lot.id), lot, correct=correct)


def _known(saved: Lot, now: Lot, listed: Lot, *, correct: bool) -> LotImport:
    changes = changed_fields(saved, listed)
    told = {
        name: f"{name} is {_word(old)} in the stock, {_word(new)} in the list" for name, (old, new) in changes.items()
    }
    clash = [text for name, text in told.items() if name in IDENTITY]
    if clash and not correct:
        return LotImport(lot=listed.id, action="conflict", details=tuple(clash))
    there = {one.barcode: one for one in now.vessels}
    added = [f"container {o.barcode} with {shown(o.volume_ul)}" for o in listed.vessels if o.barcode not in there]
    kept = [
        f"container {one.barcode} keeps {shown(there[one.barcode].volume_ul)}, the list says {shown(one.volume_ul)}"
        for one in listed.vessels
        if one.barcode in there and abs(there[one.barcode].volume_ul - one.volume_ul) > _SAME_UL
    ]
    details = (*told.values(), *added, *kept)
    action = "changed" if changes else "containers added" if added else "unchanged"
    return LotImport.model_validate({"lot": listed.id, "action": action, "details": details})


def _word(value: object) -> str:
    if value is None or value == "" or value == {}:
        return "not given"
    if isinstance(value, dict):
        return ", ".join(f"{name} {amount}" for name, amount in value.items())
    return str(value)
