"""Which lots a bench has: the file a person names, else the stock in the database, else the bench's own list."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from nkloop.drivers.bench import load_bench_file
from nkloop.errors import ShortageError
from nkloop.inventory import Inventory
from nkloop.records import Records
from nkloop.records.database import URL_VARIABLE
from nkloop.runs.lot_files import load_lots
from nkloop.runs.session import bench_path
from nkloop.workspace import Workspace


def seed_path(workspace: Workspace, bench: str) -> Path:
    """Lot list a bench starts with.

    Raises:
        BenchError: there is no such bench, or its file is wrong.
    """
    path = bench_path(workspace, bench)
    return (path.parent / load_bench_file(path).lots).resolve()


def stock_of(workspace: Workspace, bench: str, *, at: datetime | None = None) -> Inventory | None:
    """The stock of a bench in the database, or None when no lot list was ever imported; makes no database.

    Raises:
        RecordError: the database cannot be reached.
    """
    if not is_recorded(workspace):
        return None
    with opened(workspace) as records:
        return records.stock.inventory(bench, at=at)


def lots_for(workspace: Workspace, bench: str, *, lots: Path | None = None, at: datetime | None = None) -> Inventory:
    """The lots a plan may use: of the file when one is named, else the bench's stock, else its own list.

    Args:
        at: Reservations that have ended by then no longer count; now when not given.

    Raises:
        InventoryError: the list is wrong.
        BenchError: there is no such bench.
        RecordError: the database cannot be reached.
    """
    seed = seed_path(workspace, bench)
    if lots is not None:
        return load_lots(lots)
    return stock_of(workspace, bench, at=at or datetime.now(UTC)) or load_lots(seed)


def planning_lots(
    workspace: Workspace, bench: str, *, lots: Path | None = None, at: datetime | None = None
) -> Inventory:
    """The lots a plan takes from, as `lots_for` gives them; there must be some.

    Raises:
        ShortageError: there is no lot at all, as on a bench that nobody has filled yet.
        InventoryError: the list is wrong.
        BenchError: there is no such bench.
        RecordError: the database cannot be reached.
    """
    found = lots_for(workspace, bench, lots=lots, at=at)
    if not found.lots:
        where, invented = lots or seed_path(workspace, bench), workspace.devices / "lots" / "virtual.yaml"
        raise ShortageError(
            f"bench {bench} has no lots yet, so nothing can be planned with them" if lots is None else "has no lots",
            where=f"{where}",
            remedy=f"write the lots of your fridge into it (docs/reference/lot-list.md), or nkloop lots import FILE "
            f"--bench {bench}; to try a plan only, --lots {invented} takes invented ones",
        )
    return found


def is_recorded(workspace: Workspace) -> bool:
    """Whether there are records; looking makes no database."""
    return URL_VARIABLE in os.environ or (workspace.state / "records.db").is_file()


@contextmanager
def opened(workspace: Workspace) -> Iterator[Records]:
    """The records of a workspace, closed at the end."""
    records = Records.open(workspace.state)
    try:
        yield records
    finally:
        records.close()
