"""What the containers of a bench hold: the sum of their postings, carried on from the last look instead of replayed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from nkloop.inventory import Container
from nkloop.quantities import Amount
from nkloop.records import schema
from nkloop.records.stock_models import ContainerDetail

NL_PER_UL = 1000

Key = tuple[str, str]
"""Lot and barcode."""


def nanolitres(volume_ul: float) -> int:
    """µL as whole nanolitres, the unit stock is counted in."""
    return round(volume_ul * NL_PER_UL)


def microlitres(volume_nl: int) -> float:
    """Whole nanolitres as µL."""
    return volume_nl / NL_PER_UL


def whole_nanolitres(volume_ul: float) -> float:
    """µL as stock counts them: the nearest whole nanolitre, in µL."""
    return microlitres(nanolitres(volume_ul))


@dataclass(frozen=True)
class Balance:
    """Containers of one bench after a number of its postings. Never changed: what is newer makes another one."""

    last: int = 0
    """Id of the newest posting counted in."""
    n_postings: int = 0
    """Postings counted in."""
    held: dict[Key, dict[str, Any]] = field(default_factory=dict)
    """Sums and details by container, as the postings tell them."""
    containers: dict[str, dict[str, Container]] = field(default_factory=dict)
    """Containers by lot and barcode."""


EMPTY = Balance()


def balance(connection: sa.Connection, bench: str, known: Balance = EMPTY) -> Balance:
    """The containers as they stand, from a balance that is known and the postings after it.

    Postings are appended in the order of their ids and never changed, so the result is that of a full replay. Where
    fewer or more postings lie at or before `known` than it has counted, the database is another one (brought back from
    a copy), and everything is replayed.
    """
    table = schema.stock_postings
    if known.n_postings:
        before = sa.select(sa.func.count()).where(table.c.bench == bench, table.c.id <= known.last)
        if connection.execute(before).scalar_one() != known.n_postings:
            known = EMPTY
    columns = (
        table.c.id,
        table.c.lot,
        table.c.container,
        table.c.kind,
        table.c.volume_nl,
        table.c.thaws,
        table.c.detail,
    )
    newer = sa.select(*columns).where(table.c.bench == bench, table.c.id > known.last).order_by(table.c.id)
    return _carried_on(known, connection.execute(newer).all())


def _carried_on(known: Balance, rows: Iterable[Any]) -> Balance:
    held, touched, last, number = dict(known.held), dict[Key, None](), known.last, known.n_postings
    for row in rows:
        key = (row.lot, row.container)
        if key not in touched:
            touched[key] = None
            held[key] = dict(held.get(key, {"nl": 0, "thaws": 0}))
        _count_in(held[key], row)
        last, number = row.id, number + 1
    if last == known.last:
        return known
    containers = dict(known.containers)
    for lot in dict.fromkeys(lot for lot, _ in touched):
        containers[lot] = dict(containers.get(lot, {}))
    for lot, barcode in touched:
        containers[lot][barcode] = _container(barcode, held[lot, barcode])
    return Balance(last, number, held, containers)


def _count_in(held: dict[str, Any], row: Any) -> None:
    held["nl"] += row.volume_nl
    held["thaws"] += row.thaws
    if row.detail != "{}":
        held |= ContainerDetail.model_validate_json(row.detail).model_dump(exclude_none=True)
    if row.kind == "refrozen":
        held["thawed"] = None


def _container(barcode: str, held: dict[str, Any]) -> Container:
    # every part was validated when it was posted, and a stock has a thousand containers
    dead = held.get("dead_volume")
    return Container.model_construct(
        barcode=barcode,
        kind=held.get("kind") or "unspecified",
        volume=Amount(microlitres(held["nl"]), "µL"),
        dead_volume=None if dead is None else Amount.parse(dead),
        opened=held.get("opened"),
        thawed=held.get("thawed"),
        freeze_thaws=held["thaws"],
    )
