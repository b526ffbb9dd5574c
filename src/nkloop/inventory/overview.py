"""The stock at a glance: one row per lot, in the order in which lots are used."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, timedelta

from nkloop.frozen import FrozenModel
from nkloop.inventory.models import Lot
from nkloop.inventory.picking import (
    NOTHING_UL,
    container_fault,
    free_ul,
    held_per_container,
    lot_valid_until,
    valid_until,
)
from nkloop.inventory.stock import Inventory

SOON_DAYS = 30
"""A lot that ends within this many days is pointed out."""


class LotRow(FrozenModel):
    """One lot as it stands."""

    lot: str
    """Id (barcode) of the lot."""
    component: str
    concentration: str
    """Of the stock, as text with its unit."""
    expires: date
    use_by: date
    """Day the container ends that is used next: the expiry, or earlier when it is opened or thawed."""
    remaining_ul: float
    """What is in all containers, dead volumes included."""
    reserved_ul: float
    """What plans hold of it."""
    free_ul: float
    """What a plan can get today: without dead volumes, reserved volumes and containers that cannot be used."""
    n_containers: int
    """Containers that hold something."""
    state: str
    storage: str
    price_eur: float | None
    remarks: tuple[str, ...]
    """What a person should notice, the weightiest first."""


def overview(
    inventory: Inventory, today: date, *, component: str | None = None, soon_days: int = SOON_DAYS
) -> tuple[LotRow, ...]:
    """Lots by component, within one in the order they are used: first expired first out."""
    order = {name: number for number, name in enumerate(inventory.components)}
    lots = [lot for lot in inventory.lots if component is None or lot.component == component]
    lots.sort(key=lambda lot: (order[lot.component], lot_valid_until(lot, today), lot.expires))
    held = held_per_container(inventory.held)
    return tuple(_row(lot, today, held, today + timedelta(days=soon_days)) for lot in lots)


def _row(lot: Lot, today: date, held: dict[str, float], soon: date) -> LotRow:
    filled = [one for one in lot.vessels if one.volume_ul > NOTHING_UL]
    usable = [] if lot.state != "released" else [one for one in filled if not container_fault(lot, one, today)]
    usable = usable if lot.expires >= today else []
    use_by = min((valid_until(lot, one) for one in usable), default=lot.expires)
    return LotRow(
        lot=lot.id,
        component=lot.component,
        concentration=str(lot.concentration),
        expires=lot.expires,
        use_by=use_by,
        remaining_ul=math.fsum(one.volume_ul for one in filled),
        reserved_ul=math.fsum(held.get(one.barcode, 0.0) for one in lot.vessels),
        free_ul=math.fsum(free_ul(one, held) for one in usable),
        n_containers=len(filled),
        state=lot.state,
        storage=lot.storage,
        price_eur=lot.price_eur,
        remarks=tuple(_remarks(lot, today, use_by, soon)),
    )


def _remarks(lot: Lot, today: date, use_by: date, soon: date) -> Iterable[str]:
    if lot.state != "released":
        yield f"{lot.state}: {lot.state_reason}" if lot.state_reason else lot.state
    if lot.volume_ul <= NOTHING_UL:
        yield "used up"
    elif lot.expires < today:
        yield f"expired {(today - lot.expires).days} d ago"
    elif use_by <= soon:
        left = (use_by - today).days
        yield f"{'opened, ' if use_by < lot.expires else ''}ends in {left} d" if left else "ends today"
    faults = [one for one in lot.vessels if one.volume_ul > NOTHING_UL and container_fault(lot, one, today)]
    if faults and lot.expires >= today:
        yield f"{len(faults)} unusable"
    if lot.light_sensitive:
        yield "keep dark"
