"""The story of what was reserved of a lot: who, for what, until when, and how each reservation ended."""

from __future__ import annotations

import sqlalchemy as sa

from nkloop.records import schema
from nkloop.records.stock_balances import microlitres
from nkloop.records.stock_models import HoldEvent


def story(connection: sa.Connection, bench: str, lot: str) -> tuple[HoldEvent, ...]:
    """Every reservation of a lot in the order they were made, each followed by how it ended; what holds has no end.

    The order does not go by the clock: a plan is made by the clock of an office, a run by that of its bench.
    """
    held, parts, ends = schema.stock_reservations, schema.stock_reserved, schema.stock_reservation_ends
    volume = sa.func.sum(parts.c.volume_nl).label("volume_nl")
    rows = (
        connection.execute(
            sa.select(held.c.number, held.c.name, held.c.until, held.c.at, held.c.by, volume)
            .join(parts, parts.c.number == held.c.number)
            .where(held.c.bench == bench, parts.c.lot == lot)
            .group_by(held.c.number, held.c.name, held.c.until, held.c.at, held.c.by)
            .order_by(held.c.number)
        )
        .mappings()
        .all()
    )
    numbers = [row["number"] for row in rows]
    ended = {
        row["number"]: row
        for row in connection.execute(sa.select(ends).where(ends.c.number.in_(numbers))).mappings().all()
    }
    told: list[HoldEvent] = []
    for row in rows:
        amount = microlitres(int(row["volume_nl"]))
        why = f"until {row['until']:%Y-%m-%d %H:%M} UTC"
        begun = HoldEvent(at=row["at"], by=row["by"], name=row["name"], what="reserved", volume_ul=amount, why=why)
        told.append(begun)
        over = ended.get(row["number"])
        if over is not None:
            what = {"name": row["name"], "what": over["outcome"], "volume_ul": amount, "why": over["why"]}
            told.append(HoldEvent(at=over["at"], by=over["by"], **what))
    return tuple(told)
