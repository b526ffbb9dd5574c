"""The story of what was reserved of a lot: who, for what, until when, and how each reservation ended."""

from __future__ import annotations

import sqlalchemy as sa

from nkloop.records import schema
from nkloop.records.stock_balances import microlitres
from nkloop.records.stock_models import HoldEvent


def story(connection: sa.Connection, bench: str, lot: str) -> tuple[HoldEvent, ...]:
    """Everything that happened to reservations of a lot, oldest first; what still holds has no end."""
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
    told: list[tuple[int, HoldEvent]] = []
    for row in rows:
        amount = microlitres(int(row["volume_nl"]))
        why = f"until {row['until']:%Y-%m-%d %H:%M} UTC"
        begun = HoldEvent(at=row["at"], by=row["by"], name=row["name"], what="reserved", volume_ul=amount, why=why)
        told.append((row["number"], begun))
        over = ended.get(row["number"])
        if over is not None:
            what = {"name": row["name"], "what": over["outcome"], "volume_ul": amount, "why": over["why"]}
            told.append((row["number"], HoldEvent(at=over["at"], by=over["by"], **what)))
    return tuple(event for _, event in sorted(told, key=lambda one: (one[1].at, one[0])))
