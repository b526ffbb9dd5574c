"""Reservations as rows: made, ended, taken over by a run, given back; each inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from nkloop.errors import InventoryError, NkloopError, Problem
from nkloop.frozen import canonical_json
from nkloop.inventory import Inventory, Pick
from nkloop.records import schema, stock_rows
from nkloop.records.audit import SOFTWARE, write
from nkloop.records.stock_balances import nanolitres
from nkloop.records.stock_models import Outcome, Reservation, ReservedPart
from nkloop.worklists.models import Worklist


@dataclass(frozen=True)
class Signed:
    """Who does something to a reservation, and when."""

    by: str
    at: datetime


def required(stock: Inventory | None, bench: str) -> Inventory:
    """The stock of a bench.

    Raises:
        InventoryError: no lot list was ever imported for it.
    """
    if stock is None:
        raise InventoryError(
            "no lot list was imported yet, so nothing can be reserved, posted or corrected",
            where=f"bench {bench}",
            remedy="run `nkloop lots import FILE --by NAME` once",
        )
    return stock


def picked(stock: Inventory, volumes_ul: Mapping[str, float], use_until: date) -> tuple[Pick, ...]:
    """Containers that give the volumes (lot id to µL).

    Raises:
        InventoryError: a lot is not in the stock.
        ShortageError: lots cannot give that much; every one is named.
    """
    picks: list[Pick] = []
    problems: list[Problem] = []
    failure: NkloopError | None = None
    for lot_id, volume in volumes_ul.items():
        try:
            picks.append(stock.pick_from(lot_id, volume, use_until))
        except InventoryError as error:
            failure = failure or error
            problems += error.problems
    if failure is not None:
        raise type(failure).from_problems(problems)
    return tuple(picks)


def portions_of(picks: Iterable[Pick]) -> dict[tuple[str, str], float]:
    """µL per lot and container of what was picked."""
    found: dict[tuple[str, str], float] = {}
    for pick in picks:
        for one in pick.portions:
            key = pick.lot.id, one.container
            found[key] = found.get(key, 0.0) + one.volume_ul
    return found


def save(
    connection: sa.Connection,
    bench: str,
    name: str,
    portions: Mapping[tuple[str, str], float],
    until: datetime,
    signed: Signed,
    *,
    parts: Sequence[ReservedPart] = (),
    origin: int | None = None,
) -> int:
    """Write a reservation and return its number.

    Args:
        portions: lot and container to µL.
        parts: runs it is for; their worklists must be saved.
        origin: reservation it is split off from.
    """
    row = {"bench": bench, "name": name, "until": until, "at": signed.at, "by": signed.by}
    number = int(write(connection, schema.stock_reservations, row, who=signed.by, action="stock reserved"))
    for (lot, container), volume in portions.items():
        part = {"number": number, "lot": lot, "container": container, "volume_nl": nanolitres(volume)}
        write(connection, schema.stock_reserved, part, who=signed.by, action="stock reserved")
    for one in parts:
        volumes = {lot: nanolitres(volume) for lot, volume in one.volumes.items()}
        told = {"number": number, "part": one.part, "worklist_hash": one.worklist_hash, "csv_sha256": one.csv_sha256}
        told["volumes"] = json.dumps(volumes, sort_keys=True)
        write(connection, schema.stock_reserved_parts, told, who=signed.by, action="stock reserved for a plan")
    if origin is not None:
        link = {"number": number, "origin": origin}
        write(connection, schema.stock_reservation_origins, link, who=signed.by, action="reservation split")
    return number


def save_worklist(connection: sa.Connection, worklist: Worklist, at: datetime) -> None:
    """Keep the worklist a reservation is made for; one that is kept already stays as it is."""
    table, digest = schema.worklists, worklist.content_hash
    known = sa.select(table.c.hash).where(table.c.hash == digest)
    if connection.execute(known).first() is None:
        row = {"hash": digest, "name": worklist.name, "procedure": worklist.procedure, "saved_at": at}
        write(
            connection,
            table,
            {**row, "document": canonical_json(worklist)},
            who=SOFTWARE,
            action="worklist reserved for",
        )


def end(
    connection: sa.Connection, bench: str, name: str, outcome: Outcome, signed: Signed, why: str
) -> Reservation | None:
    """End the open reservations of a name, also one whose time is over; the newest of them, or None."""
    open_ones = [one for one in stock_rows.reservations(connection, bench, None) if one.name == name]
    for one in open_ones:
        row = {"number": one.number, "outcome": outcome, "at": signed.at, "by": signed.by, "why": why}
        write(connection, schema.stock_reservation_ends, row, who=signed.by, action=f"reservation {outcome}")
    return open_ones[-1] if open_ones else None
