"""Vessels that outlive a run: barcodes that no other one has, and that what is new on paper was never filled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from math import inf
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from nkloop.errors import RecordError, first_of
from nkloop.records import schema
from nkloop.records.audit import write
from nkloop.records.database import Database
from nkloop.records.journal_rows import rows_with_labware, worklist_of
from nkloop.records.lineage import has_moved, is_near, line_of, origin_of, tree_of
from nkloop.records.planned_on import planned_on
from nkloop.records.since import moved_of
from nkloop.records.touched import Place, Touched, given_wells, held_wells, touched
from nkloop.records.vessel_names import used_names
from nkloop.worklists.models import Worklist

_SLACK_UL = 1.0
_SHOWN = 8
"""Most wells that a refusal names."""
_REMEDIES = MappingProxyType(
    {
        "medium_preparation": "take a fresh vessel and plan the medium anew for it: the same `nkloop plan medium` with "
        "--barcode {free}, or without --barcode; in a form another barcode of the vessel, or none",
        "cytokine_dosing": "for what stands in it plan anew: its contents by now are in --present, or in the form what "
        "the plate holds; for a fresh plate the same `nkloop plan dosing` with --plate {free}",
        "cytotoxicity_assay": "take a fresh plate and plan the assay anew for it: the same `nkloop plan cytotoxicity "
        "--arms` with another --plate, such as {free}; of a layout change the barcode in it; in a form the label",
    }
)
"""By procedure, where `free` is a barcode that nobody was given."""


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

    def require_unused(self, worklist: Worklist, bench: str, devices: Collection[str] = ()) -> None:
        """Refuse a worklist that `Journal.create_run` would refuse because of a used vessel; it asks once more.

        Raises:
            RecordError: a vessel or well that is empty on paper was filled by an earlier run here.
        """
        with self._database.reading() as connection:
            require_unused(connection, worklist, bench, devices, origin_of(connection, worklist.content_hash))

    def planned_on(self, worklists: Sequence[Worklist], bench: str) -> tuple[Worklist, ...]:
        """The worklists of a plan with the last runs that changed what they give into, so that it is told when another
        run comes in between."""
        with self._database.reading() as connection:
            return planned_on(connection, worklists, bench)

    def used_names(self, worklists: Sequence[Worklist], batch: str | None) -> tuple[str, ...]:
        """What is to be known of closed vessels of these worklists whose names runs of other batches have used.

        Where neither those nor these name a batch, only vessels that begin empty here are told of: the others may be
        the same.

        Returns:
            One sentence for each run and batch that used some of the names last.
        """
        with self._database.reading() as connection:
            return tuple(used_names(connection, worklists, batch))


def series(wanted: str) -> Iterator[str]:
    """A barcode and those that are taken in its place, one after another."""
    yield wanted
    yield from (f"{wanted}.{number}" for number in count(2))


def require_unused(
    connection: sa.Connection, worklist: Worklist, bench: str, devices: Collection[str], parent: str | None
) -> None:
    """Refuse a worklist that fills a vessel or well as a new one which a run of another tree has filled here before.

    New is a well of a labware with a barcode of which the worklist says that nothing is in it; a step of which somebody
    said that it did not happen has not filled it. What the same worklist gave once is in none of its fillings, so that
    it never gives into the same labware again.

    Raises:
        RecordError: the vessel, or its wells, with the run that filled it and the remedy.
    """
    given = given_wells(worklist)
    if not given:
        return
    new = given - held_wells(worklist).keys()
    own = {row["id"] for row in tree_of(connection, line_of(connection, parent)[0]["id"])} if parent else set()
    for row in reversed(rows_with_labware(connection, {barcode for barcode, _ in given})):
        if row["id"] in own or not is_near(row, bench, devices):
            continue
        asked = given if row["worklist_hash"] == worklist.content_hash else new
        if not asked:
            continue  # spares reading its worklist
        earlier = worklist_of(connection, row["worklist_hash"])
        changes = tuple(touched(earlier, moved_of(connection, row["id"])))
        if found := dict.fromkeys(one.spot for one in changes if one.is_given and one.spot in asked):
            raise _used(connection, worklist, tuple(found), row)
        new -= _emptied(earlier, changes)


def _emptied(worklist: Worklist, changes: Collection[Touched]) -> set[Place]:
    """Wells that a run has drawn empty by what its worklist said was in them."""
    held = {spot: filling.volume_ul for spot, filling in held_wells(worklist).items()}
    drawn: dict[Place, float] = defaultdict(float)
    for one in changes:
        drawn[one.spot] += one.volume_ul
    return {spot for spot, volume in drawn.items() if volume and volume > held.get(spot, inf) - _SLACK_UL}


def _used(connection: sa.Connection, worklist: Worklist, spots: Sequence[Place], row: Any) -> RecordError:
    barcode = spots[0][0]
    item = next(item for item in worklist.deck if item.barcode == barcode)
    held = {well for mark, well in held_wells(worklist) if mark == barcode}
    name, by = f"{barcode} ({item.label or item.nickname})", f"{row['id']} ({row['name']})"
    told = f"{name} was filled before, by {by}: what is given now would go into what it holds"
    if held:
        wells = [well for mark, well in spots if mark == barcode]
        some = first_of(wells, _SHOWN)
        told = f"{name} {some} held something already, given by {by}: the worklist does not know of it"
    free = next(mark for mark in series(barcode) if not _is_taken(connection, mark))
    return RecordError(told, where=worklist.name, remedy=_REMEDIES[worklist.procedure].format(free=free))


def _is_taken(connection: sa.Connection, barcode: str) -> bool:
    table = schema.given_barcodes
    if connection.execute(sa.select(table.c.barcode).where(table.c.barcode == barcode)).first() is not None:
        return True
    return any(
        has_moved(connection, row["id"])
        and any(item.barcode == barcode for item in worklist_of(connection, row["worklist_hash"]).deck)
        for row in rows_with_labware(connection, (barcode,))
    )
