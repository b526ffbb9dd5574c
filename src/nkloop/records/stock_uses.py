"""What a run took, read back from its postings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from nkloop.records import schema
from nkloop.records.stock_balances import microlitres
from nkloop.records.stock_models import ContainerUse
from nkloop.records.stock_rows import lots
from nkloop.records.stock_takings import PARTED_ANEW


def used_by(connection: sa.Connection, run_id: str) -> tuple[ContainerUse, ...]:
    """Containers a run took from, with what was left in them right after it."""
    table = schema.stock_postings
    rows = connection.execute(sa.select(table).where(table.c.run_id == run_id).order_by(table.c.id)).mappings().all()
    return tuple(_uses(connection, rows)) if rows else ()


def _uses(connection: sa.Connection, rows: Any) -> Iterator[ContainerUse]:
    table = schema.stock_postings
    bench = rows[0]["bench"]
    known = lots(connection, bench)
    for barcode in dict.fromkeys(row["container"] for row in rows):
        mine = [row for row in rows if row["container"] == barcode]
        last = [row["id"] for row in mine if not row["why"].endswith(PARTED_ANEW)][-1]
        until_then = sa.select(sa.func.sum(table.c.volume_nl)).where(
            table.c.bench == bench, table.c.container == barcode, table.c.id <= last
        )
        left = connection.execute(until_then).scalar_one()
        lot = known[mine[0]["lot"]]
        yield ContainerUse(
            lot=lot.id,
            component=lot.component,
            container=barcode,
            expires=lot.expires,
            taken_ul=_gone(mine, "taken"),
            discarded_ul=_gone(mine, "discarded"),
            left_ul=microlitres(int(left)),
            thaws=sum(row["thaws"] for row in mine),
        )


def _gone(rows: list[Any], kind: str) -> float:
    return -microlitres(sum(row["volume_nl"] for row in rows if row["kind"] == kind))
