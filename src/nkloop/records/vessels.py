"""Vessels that outlive a run: barcodes that no other one has, and that what is new on paper was never filled."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from itertools import count

import sqlalchemy as sa

from nkloop.errors import RecordError
from nkloop.records import schema
from nkloop.records.audit import write
from nkloop.records.database import Database
from nkloop.records.journal_rows import rows_with_labware, worklist_of
from nkloop.records.lineage import has_moved, is_near, line_of, origin_of, tree_of
from nkloop.records.since import moved_of
from nkloop.records.touched import touched
from nkloop.worklists.models import Worklist


class Vessels:
    """Barcodes of vessels, as plans give them and as runs have used them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def give(self, wanted: str) -> str:
        """The barcode wanted, or the first of `WANTED.2`, `WANTED.3`… that nobody was given and no run has used.

        It is nobody else's when this returns, also of plans that are made at the same moment and run later.
        """
        with self._database.writing() as connection:
            barcode = next(name for name in series(wanted) if not _is_taken(connection, name))
            write(connection, schema.given_barcodes, {"barcode": barcode, "given_at": datetime.now(UTC)})
        return barcode

    def of_series(self, wanted: str) -> tuple[str, ...]:
        """Barcodes `WANTED`, `WANTED.2`… up to the first that is free, which stands last."""
        with self._database.reading() as connection:
            names = []
            for name in series(wanted):
                names.append(name)
                if not _is_taken(connection, name):
                    return tuple(names)
        raise AssertionError("a series of barcodes never ends")

    def require_unused(
        self, worklist: Worklist, bench: str, devices: Collection[str] = (), known: Collection[str] = ()
    ) -> None:
        """Refuse a worklist that `Journal.create_run` would refuse because of a used vessel; it asks once more.

        Raises:
            RecordError: a vessel that is empty on paper was filled by an earlier run here.
        """
        with self._database.reading() as connection:
            require_unused(connection, worklist, bench, devices, known, origin_of(connection, worklist.content_hash))


def series(wanted: str) -> Iterator[str]:
    """A barcode and those that are taken in its place, one after another."""
    yield wanted
    yield from (f"{wanted}.{number}" for number in count(2))


def require_unused(
    connection: sa.Connection,
    worklist: Worklist,
    bench: str,
    devices: Collection[str],
    known: Collection[str] | None,
    parent: str | None,
) -> None:
    """Refuse a worklist that fills a vessel as a new one which a run of another tree has filled here before.

    New is a labware with a barcode of which the worklist says that nothing is in it; a step of which somebody said that
    it did not happen has not filled it. Who means to do the same worklist once more (`known` holds a run of it) has
    fresh labware for it.

    Raises:
        RecordError: each such vessel with the run that filled it and the remedy.
    """
    fresh = _filled_as_new(worklist)
    if not fresh:
        return
    own = {row["id"] for row in tree_of(connection, line_of(connection, parent)[0]["id"])} if parent else set()
    rows = [
        row
        for row in rows_with_labware(connection, {barcode for barcode, _ in fresh})
        if row["id"] not in own and is_near(row, bench, devices)
    ]
    again = [row for row in rows if row["id"] in (known or ()) and row["worklist_hash"] == worklist.content_hash]
    if any(has_moved(connection, row["id"]) for row in again):
        return
    for row in reversed(rows):
        earlier = worklist_of(connection, row["worklist_hash"])
        for one in touched(earlier, moved_of(connection, row["id"])):
            if one.is_given and (one.barcode, one.well) in fresh:
                raise _used(worklist, one.barcode, row["id"], row["name"])


def _filled_as_new(worklist: Worklist) -> frozenset[tuple[str, str]]:
    """Barcode and well of what the worklist gives into labware that it says nothing is in."""
    held = {filling.labware for filling in worklist.fillings}
    new = {item.barcode for item in worklist.deck if item.barcode and item.nickname not in held}
    return frozenset((one.barcode, one.well) for one in touched(worklist) if one.is_given and one.barcode in new)


def _used(worklist: Worklist, barcode: str, run_id: str, run_name: str) -> RecordError:
    item = next(item for item in worklist.deck if item.barcode == barcode)
    return RecordError(
        f"{barcode} ({item.label or item.nickname}) was filled before, by {run_id} ({run_name}): what is given now "
        "would go into what it holds",
        where=worklist.name,
        remedy="take a fresh one with a barcode of its own and plan with that (--barcode for a medium, --plate for a "
        "culture plate, in a form the field for its barcode)",
    )


def _is_taken(connection: sa.Connection, barcode: str) -> bool:
    table = schema.given_barcodes
    if connection.execute(sa.select(table.c.barcode).where(table.c.barcode == barcode)).first() is not None:
        return True
    return any(
        has_moved(connection, row["id"])
        and any(item.barcode == barcode for item in worklist_of(connection, row["worklist_hash"]).deck)
        for row in rows_with_labware(connection, (barcode,))
    )
