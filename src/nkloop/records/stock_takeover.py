"""A run takes over what its plan has reserved: split in one transaction, so that nothing is ever held twice or free."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime

import sqlalchemy as sa

from nkloop.inventory import Inventory, Lot, Pick
from nkloop.inventory.picking import NOTHING_UL
from nkloop.records import schema, stock_rows
from nkloop.records.stock_holds import Signed, end, picked, portions_of, required, save
from nkloop.records.stock_models import Reservation, ReservedPart


def take_over(
    connection: sa.Connection,
    bench: str,
    number: int,
    name: str,
    volumes_ul: Mapping[str, float],
    *,
    part: int | None,
    use_until: date,
    until: datetime,
    signed: Signed,
) -> tuple[Pick, ...] | None:
    """Turn a share of a reservation into one of a run; what later parts of the plan need stays reserved for them.

    Args:
        number: the plan's reservation.
        name: of the run's own reservation.
        volumes_ul: lot id to what the run puts on the deck.
        part: which part of the plan the run is; None when it is none of them, then all that is left stays reserved.
        until: how long the run keeps what it reserves.

    Returns:
        Containers of the run; None when the reservation has ended or run out meanwhile.

    Raises:
        ShortageError: a lot cannot give that much, not even with what the plan holds.
    """
    held = stock_rows.reservations(connection, bench, signed.at)
    plan = next((one for one in held if one.number == number), None)
    if plan is None:
        return None
    stock = without(required(stock_rows.inventory(connection, bench, signed.at), bench), plan.name, name)
    picks = picked(stock, volumes_ul, use_until)
    taken = portions_of(picks)
    rest_parts = tuple(one for one in plan.parts if part is None or one.part != part)
    rest = _left(plan, taken, stock, None if part is None else rest_parts)
    end(connection, bench, name, "released", signed, "planned again")
    if plan.name != name:
        end(connection, bench, plan.name, "taken over", signed, f"by {name}")
    own = tuple(one for one in plan.parts if one.part == part)
    origin = plan.origin if plan.name == name else plan.number
    save(connection, bench, name, taken, until, signed, parts=own, origin=origin)
    if rest and plan.name != name:
        keeper = Signed(plan.by, signed.at)
        save(connection, bench, plan.name, rest, plan.until, keeper, parts=rest_parts, origin=plan.number)
    return picks


def give_back(connection: sa.Connection, bench: str, name: str, signed: Signed, why: str) -> bool:
    """End the reservation of a run that took nothing; what it had taken over is its plan's again.

    A plan whose reservation has run out or was released by a person meanwhile gets nothing back.

    Returns:
        False when the run holds nothing.
    """
    own = end(connection, bench, name, "released", signed, why)
    if own is None:
        return False
    if own.origin is None:
        return True
    plan = (
        connection.execute(sa.select(schema.stock_reservations).where(schema.stock_reservations.c.number == own.origin))
        .mappings()
        .one()
    )
    rest = next((r for r in stock_rows.reservations(connection, bench, None) if r.name == plan["name"]), None)
    if plan["until"] < signed.at or (rest is None and _was_released(connection, bench, plan["name"], own)):
        return True
    stock = required(stock_rows.inventory(connection, bench, None), bench)
    volumes = dict(own.volumes)
    parts = list(own.parts)
    if rest is not None:
        for container, volume in rest.volumes.items():
            volumes[container] = volumes.get(container, 0.0) + volume
        parts += rest.parts
        end(connection, bench, rest.name, "taken over", signed, f"joined with what {name} gave back")
    portions = {(stock.container(barcode)[0].id, barcode): volume for barcode, volume in volumes.items()}
    keeper = Signed(plan["by"], signed.at)
    in_order = sorted(parts, key=lambda one: one.part)
    save(connection, bench, plan["name"], portions, plan["until"], keeper, parts=in_order, origin=own.number)
    return True


def move_to(
    connection: sa.Connection, bench: str, name: str, scanned: Collection[str], stock: Inventory, signed: Signed
) -> bool:
    """Move the reservation of a run to the containers that really stand on the deck; what it held else is free again.

    A scanned container gives what can be got out of it, unless so much of it was reserved anyway, in the order they
    were scanned; what they cannot give comes of those that were reserved. What others have reserved of them is found
    anew when they take it.

    Args:
        scanned: codes a person scanned, in their order; only those of containers of the reserved lots count.
        stock: as it stands.

    Returns:
        False when nothing changes: nothing is reserved under this name, or it holds these containers already.
    """
    own = next((one for one in reversed(stock_rows.reservations(connection, bench, None)) if one.name == name), None)
    if own is None:
        return False
    lots = {stock.container(barcode)[0].id: stock.container(barcode)[0] for barcode in own.volumes}
    found = {
        (lot.id, barcode): volume
        for lot in lots.values()
        for barcode, volume in _as_scanned(lot, own.volumes, scanned).items()
    }
    if {barcode: volume for (_, barcode), volume in found.items()} == dict(own.volumes):
        return False
    end(connection, bench, name, "taken over", signed, "by other containers of the same lot, which were scanned")
    save(connection, bench, name, found, own.until, signed, parts=own.parts, origin=own.origin)
    return True


def _as_scanned(lot: Lot, reserved: Mapping[str, float], scanned: Collection[str]) -> dict[str, float]:
    """µL per container of a lot: what was scanned in the order it was, then what was reserved only."""
    left = sum(reserved.get(one.barcode, 0.0) for one in lot.vessels)
    rank = {code: number for number, code in enumerate(scanned)}
    order = sorted(lot.vessels, key=lambda one: (rank.get(one.barcode, len(rank)), one.barcode not in reserved))
    found: dict[str, float] = {}
    for one in order:
        free = max(0.0, one.volume_ul - one.dead_ul) if one.barcode in scanned else 0.0
        volume = min(left, reserved.get(one.barcode, free))
        if volume > NOTHING_UL:
            found[one.barcode] = volume
            left -= volume
    return found


def without(stock: Inventory, *names: str) -> Inventory:
    """The stock as if these plans had reserved nothing."""
    return stock.model_copy(update={"held": tuple(one for one in stock.held if one.plan not in names)})


def _left(
    plan: Reservation,
    taken: Mapping[tuple[str, str], float],
    stock: Inventory,
    later: tuple[ReservedPart, ...] | None,
) -> dict[tuple[str, str], float]:
    """What stays reserved per lot and container: what later parts need, or everything when nobody knows."""
    needs: dict[str, float] = {}
    for one in later or ():
        for lot, volume in one.volumes.items():
            needs[lot] = needs.get(lot, 0.0) + volume
    left: dict[tuple[str, str], float] = {}
    for barcode, volume in plan.volumes.items():
        lot = stock.container(barcode)[0].id
        rest = max(0.0, volume - taken.get((lot, barcode), 0.0))
        if later is not None:
            rest = min(rest, needs.get(lot, 0.0))
            needs[lot] = needs.get(lot, 0.0) - rest
        if rest > NOTHING_UL:
            left[lot, barcode] = rest
    return left


def _was_released(connection: sa.Connection, bench: str, name: str, own: Reservation) -> bool:
    """Whether somebody gave back what was left of a plan after this run took its share over."""
    table, ends = schema.stock_reservations, schema.stock_reservation_ends
    query = (
        sa.select(ends.c.outcome)
        .join(table, table.c.number == ends.c.number)
        .where(table.c.bench == bench, table.c.name == name, table.c.number > (own.origin or own.number))
    )
    return "released" in connection.execute(query).scalars()
