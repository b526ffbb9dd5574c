"""Closed vessels have names, not barcodes, and names recur from batch to batch: which others have used is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from nkloop.errors import first_of
from nkloop.records.journal_rows import rows_with_labware, worklist_of
from nkloop.records.since import moved_of
from nkloop.records.touched import touched
from nkloop.worklists.models import Worklist

_SHOWN = 6
"""Most vessels that are named in one sentence."""


def used_names(connection: sa.Connection, worklists: Sequence[Worklist], batch: str | None) -> Iterator[str]:
    """One sentence for each run that was the last to use the name of a closed vessel of these worklists in another
    batch, or perhaps in another.

    Args:
        connection: to read with.
        worklists: of one plan.
        batch: what it is planned for; None where nobody said.
    """
    vessels = [one for worklist in worklists for one in worklist.vessels if not one.is_of_this_run]
    begin_empty = {one.name: one.volume_ul == 0 for one in reversed(vessels)}
    names, by_run = set(begin_empty), defaultdict[str, list[str]](list)
    rows = rows_with_labware(connection, names)
    for row in reversed(rows):
        if not names:
            break  # spares reading the worklists of all runs before
        steps = moved_of(connection, row["id"])
        used = {one.well for one in touched(worklist_of(connection, row["worklist_hash"]), steps) if not one.barcode}
        found = sorted(used & names)
        names -= used
        by_run[row["id"]] += [name for name in found if _may_be_another(row, batch, is_new=begin_empty[name])]
    yield from (_told(row, by_run[row["id"]], batch) for row in rows if by_run[row["id"]])


def _may_be_another(row: Any, batch: str | None, *, is_new: bool) -> bool:
    return row["batch"] != batch or (batch is None and is_new)


def _told(row: Any, names: Sequence[str], batch: str | None) -> str:
    some = first_of(names, _SHOWN)
    of = f" of batch {row['batch']}" if row["batch"] else ", which names no batch"
    told = f"{some} {'was' if len(names) == 1 else 'were'} used by {row['id']} ({row['name']}){of}"
    if batch is None:
        return f"{told}: where these are other vessels of the same names, say --batch, and write it on their labels"
    return f"{told}; this plan is for batch {batch}: write the batch on the labels"
