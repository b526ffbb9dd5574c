"""Stock rows: read into lots with what they hold now, and written with their audit entries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from nkloop.frozen import canonical_json
from nkloop.inventory import Container, Held, Inventory, Lot
from nkloop.quantities import Amount
from nkloop.records import schema
from nkloop.records.audit import write, write_all
from nkloop.records.stock_balances import Balance, balance, microlitres, nanolitres
from nkloop.records.stock_models import ContainerDetail, Posting, Reservation, ReservedPart


def save_lot(connection: sa.Connection, bench: str, lot: Lot, *, at: datetime, by: str, reason: str) -> None:
    """Append a version of what a lot is."""
    row = {"bench": bench, "lot": lot.id, "document": _lot_document(lot), "at": at, "by": by, "reason": reason}
    write(connection, schema.stock_lots, row, who=by, action="lot saved")


def save_postings(connection: sa.Connection, bench: str, made: Sequence[Posting]) -> None:
    """Append what happened to containers, in this order."""
    for (by, kind), group in groupby(made, key=lambda one: (one.by, one.kind)):
        rows = [_posting_row(bench, one) for one in group]
        write_all(connection, schema.stock_postings, rows, who=by, action=f"stock {kind}")


def _posting_row(bench: str, posting: Posting) -> dict[str, Any]:
    row = posting.model_dump(exclude={"volume_ul", "detail"})
    detail = json.dumps(posting.detail.model_dump(mode="json", exclude_none=True), sort_keys=True)
    return row | {"bench": bench, "volume_nl": nanolitres(posting.volume_ul), "detail": detail}


def postings(connection: sa.Connection, bench: str, lot: str | None = None) -> tuple[Posting, ...]:
    """What happened to the containers of a bench, or of one lot, oldest first."""
    table = schema.stock_postings
    query = sa.select(table).where(table.c.bench == bench).order_by(table.c.id)
    query = query if lot is None else query.where(table.c.lot == lot)
    return tuple(_posting(row) for row in connection.execute(query).mappings())


def postings_of_run(connection: sa.Connection, bench: str, run_id: str) -> tuple[Posting, ...]:
    """What was posted of a run, oldest first."""
    table = schema.stock_postings
    query = sa.select(table).where(table.c.bench == bench, table.c.run_id == run_id).order_by(table.c.id)
    return tuple(_posting(row) for row in connection.execute(query).mappings())


def lots(connection: sa.Connection, bench: str) -> dict[str, Lot]:
    """What every lot is, in the order they were first imported, without what it holds."""
    table = schema.stock_lots
    rows = connection.execute(
        sa.select(table.c.lot, table.c.document).where(table.c.bench == bench).order_by(table.c.id)
    )
    return {row.lot: _lot(row.document) for row in rows}


def reservations(connection: sa.Connection, bench: str, at: datetime | None) -> tuple[Reservation, ...]:
    """Reservations that still hold at a time; all that have not ended when no time is given."""
    table, ends, parts = schema.stock_reservations, schema.stock_reservation_ends, schema.stock_reserved
    query = (
        sa.select(table)
        .outerjoin(ends, ends.c.number == table.c.number)
        .where(table.c.bench == bench, ends.c.number.is_(None))
        .order_by(table.c.number)
    )
    if at is not None:
        query = query.where(table.c.until >= at)
    found = []
    for row in connection.execute(query).mappings().all():
        of_one = sa.select(parts).where(parts.c.number == row["number"]).order_by(parts.c.id)
        volumes: dict[str, float] = {}
        for part in connection.execute(of_one).mappings():
            volumes[part["container"]] = volumes.get(part["container"], 0.0) + microlitres(part["volume_nl"])
        fields = {name: row[name] for name in ("number", "name", "until", "at", "by")}
        more = {"parts": _parts(connection, row["number"]), "origin": _origin(connection, row["number"])}
        found.append(Reservation(**fields, volumes=volumes, **more))
    return tuple(found)


def _parts(connection: sa.Connection, number: int) -> tuple[ReservedPart, ...]:
    table = schema.stock_reserved_parts
    rows = connection.execute(sa.select(table).where(table.c.number == number).order_by(table.c.part)).mappings()
    return tuple(
        ReservedPart(
            part=row["part"],
            worklist_hash=row["worklist_hash"],
            csv_sha256=row["csv_sha256"],
            volumes={lot: microlitres(volume) for lot, volume in json.loads(row["volumes"]).items()},
        )
        for row in rows
    )


def _origin(connection: sa.Connection, number: int) -> int | None:
    table = schema.stock_reservation_origins
    return connection.execute(sa.select(table.c.origin).where(table.c.number == number)).scalar()


def inventory(
    connection: sa.Connection, bench: str, at: datetime | None, now: Balance | None = None
) -> Inventory | None:
    """The lots of a bench as they stand with what is reserved, or None when none was ever imported.

    `now` is the balance of the containers where it is known; else every posting is replayed.
    """
    known = lots(connection, bench)
    if not known:
        return None
    containers = (now or balance(connection, bench)).containers
    held = tuple(
        Held(container=container, volume_ul=volume, plan=one.name, until=one.until)
        for one in reservations(connection, bench, at)
        for container, volume in one.volumes.items()
    )
    standing = (_as_it_stands(lot, containers.get(lot.id, {})) for lot in known.values())
    return Inventory(title=f"Stock of bench {bench}", lots=tuple(standing), held=held)


def _posting(row: Any) -> Posting:
    fields = {name: row[name] for name in ("lot", "container", "kind", "thaws", "run_id", "at", "by", "why")}
    detail = ContainerDetail.model_validate_json(row["detail"])
    return Posting(**fields, volume_ul=microlitres(row["volume_nl"]), detail=detail)


def _lot_document(lot: Lot) -> str:
    """What a lot is, with the volume its price was given for."""
    return canonical_json(lot.model_copy(update={"containers": (), "freeze_thaws": 0}))


@lru_cache(maxsize=1000)
def _lot(document: str) -> Lot:
    return Lot.model_validate_json(document)


def _as_it_stands(lot: Lot, containers: Mapping[str, Container]) -> Lot:
    total = sum(nanolitres(one.volume_ul) for one in containers.values())
    volume = Amount(microlitres(total), "µL")
    price = lot.price_eur
    if price is not None:
        price = price * volume.canonical / lot.volume_ul if lot.volume_ul > 0 else None
    update = {"volume": volume, "containers": tuple(containers.values()), "price_eur": price}
    return lot.model_copy(update=update)
