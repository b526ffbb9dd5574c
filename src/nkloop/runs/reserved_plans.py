"""Which reservation a run or a plan belongs to: the same work, told by what the robot gets and by the lots it takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from nkloop.errors import InventoryError, NkloopError
from nkloop.inventory import Inventory
from nkloop.records import Records
from nkloop.records.stock_models import Reservation, ReservedPart
from nkloop.runs.session import Session
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.models import Worklist
from nkloop.worklists.parts import PlanInParts, with_worklists, worklists_of

Planned = TypeVar("Planned")
Plan = TypeVar("Plan", bound=PlanInParts)


@dataclass(frozen=True)
class OwnShare:
    """What a plan has reserved for one run."""

    reservation: Reservation
    part: ReservedPart | None
    """The part of the plan the run is; None when a person named the reservation and the run is another plan."""


def reservation_name(worklist: Worklist) -> str:
    """Name under which a worklist reserves; the same worklist always has the same."""
    return f"{worklist.name} ({worklist.content_hash[:8]})"


def csv_sha256(worklist: Worklist) -> str:
    """Hash of the table the robot gets; name, dates and recipe revision are not in it."""
    return hashlib.sha256(to_csv(worklist).encode()).hexdigest()


def on_deck(worklist: Worklist, stock: Inventory) -> dict[str, float]:
    """µL a worklist puts on the deck of every lot of the stock; cells and earlier preparations are no lots."""
    known = {lot.id for lot in stock.lots}
    volumes: dict[str, float] = {}
    for filling in worklist.fillings:
        lot = filling.liquid.lot
        if lot in known:
            volumes[lot] = volumes.get(lot, 0.0) + filling.volume_ul
    return volumes


def reserved_parts(worklists: Iterable[Worklist], stock: Inventory) -> tuple[tuple[Worklist, ReservedPart], ...]:
    """The runs of a plan as a reservation keeps them."""
    return tuple(
        (
            one,
            ReservedPart(
                part=number,
                worklist_hash=one.content_hash,
                csv_sha256=csv_sha256(one),
                volumes=on_deck(one, stock),
            ),
        )
        for number, one in enumerate(worklists, start=1)
    )


def own_share(reservations: Iterable[Reservation], worklist: Worklist) -> OwnShare | None:
    """The reservation made for this very work, the newest first; None when there is none.

    The same worklist is the same work, and so is one that gives the robot the same table and takes the same lots. A
    worklist read from a CSV knows no lots: the table alone tells it.
    """
    digest, table = worklist.content_hash, csv_sha256(worklist)
    lots = {facts.id for facts in worklist.lots}
    for one in sorted(reservations, key=lambda held: -held.number):
        for part in one.parts:
            same_table = part.csv_sha256 == table and (not lots or set(part.volumes) <= lots)
            if part.worklist_hash == digest or same_table:
                return OwnShare(one, part)
    return None


def as_planned(records: Records, bench: str, worklist: Worklist, at: datetime | None = None) -> Worklist:
    """The whole worklist (lots, targets, barcodes) that a table read from a CSV was planned and reserved as.

    Args:
        records: where reservations and their worklists are kept.
        bench: whose stock.
        worklist: with or without lots.
        at: reservations that have run out by then do not count; all that have not ended count when None.

    Returns:
        The worklist itself when it knows its lots, or when no plan has reserved for it.
    """
    if worklist.lots:
        return worklist
    share = own_share(records.stock.reservations(bench, at=at), worklist)
    if share is None or share.part is None:
        return worklist
    # planned again it may count on what a later run left
    return records.stock.reserved_worklist(share.part).model_copy(update={"planned_on": worklist.planned_on})


def named(records: Records, bench: str, name: str, at: datetime) -> Reservation:
    """The reservation of a name, as a person gives it.

    Raises:
        InventoryError: it holds nothing: never made, ended, or its time is over.
    """
    every = records.stock.reservations(bench)
    found = next((one for one in every if one.name == name), None)
    if found is None:
        known = ", ".join(one.name for one in every) or "nobody"
        raise InventoryError(f"'{name}' has reserved nothing", where=f"bench {bench}", remedy=f"reserved by: {known}")
    if found.until < at:
        raise InventoryError(
            f"what '{name}' had reserved was kept until {found.until:%Y-%m-%d %H:%M} UTC, now it is free for all",
            where=f"bench {bench}",
            remedy="run without naming it, or plan and reserve again",
        )
    return found


def plan_on_stock(
    session: Session,
    at: datetime,
    plan: Callable[[Inventory], Plan],
    *,
    reservation: str = "",
) -> Plan:
    """Plan with the lots as they stand; what this very plan has reserved itself counts as free.

    Its worklists tell which runs had changed what they give into by now.

    Args:
        at: reservations that have run out by then do not count.
        plan: plans with the lots it gets.
        reservation: name a person says the plan was reserved under; found by itself when the plan is the same.

    Raises:
        InventoryError: the named reservation holds nothing.
        NkloopError: whatever `plan` raises.
    """

    def worklists(made: Plan) -> tuple[Worklist, ...]:
        return worklists_of(made.parts)

    stock = session.stocks(at)
    records, bench = session.records, session.bench_file.name
    if reservation:
        made = plan(given_back(stock, named(records, bench, reservation, at)))
    else:
        made = plan_with_own(records.stock.reservations(bench, at=at), stock, plan, worklists)[0]
    return with_worklists(made, records.vessels.planned_on(worklists(made), bench))


def plan_with_own(
    reservations: Iterable[Reservation],
    stock: Inventory,
    plan: Callable[[Inventory], Planned],
    worklists: Callable[[Planned], Sequence[Worklist]],
) -> tuple[Planned, Inventory, Reservation | None]:
    """Plan with each reservation given back in turn, until a plan is the reserved one; else with the stock as it is.

    Args:
        reservations: that hold now.
        stock: lots with everything that is reserved.
        plan: plans with the lots it gets.
        worklists: of a finished plan.

    Returns:
        The plan, the lots it was made with, and its own reservation.

    Raises:
        NkloopError: whatever `plan` raises.
    """
    for one in sorted(reservations, key=lambda held: -held.number):
        if not one.parts:
            continue
        own = given_back(stock, one)
        try:
            made = plan(own)
        except NkloopError:
            continue  # not this plan's: what is wrong is told by the plan on the stock as it stands
        if all(own_share((one,), worklist) for worklist in worklists(made)):
            return made, own, one
    return plan(stock), stock, None


def given_back(stock: Inventory, reservation: Reservation) -> Inventory:
    """The stock as if a reservation held nothing."""
    return stock.model_copy(update={"held": tuple(one for one in stock.held if one.plan != reservation.name)})
