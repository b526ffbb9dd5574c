"""Wells whose contents a person has discarded: no later run gives into them, draws from them or mixes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import sqlalchemy as sa

from nkloop.errors import Problem, RecordError
from nkloop.records import schema
from nkloop.records.journal_rows import last_decision, worklist_of
from nkloop.records.lineage import line_of
from nkloop.records.models import DiscardedWell, RunDecision
from nkloop.records.touched import touched
from nkloop.worklists.models import Worklist

_WELLS = schema.discarded_wells


def discarded_of(connection: sa.Connection, barcode: str) -> tuple[DiscardedWell, ...]:
    """Wells of a labware that were discarded, in the order they were."""
    rows = connection.execute(sa.select(_WELLS).where(_WELLS.c.barcode == barcode).order_by(_WELLS.c.id)).mappings()
    return tuple(DiscardedWell.model_validate({k: v for k, v in row.items() if k != "id"}) for row in rows)


def require_kept(
    connection: sa.Connection, worklists: Iterable[Worklist], spared: Collection[tuple[str, str]] = ()
) -> None:
    """Refuse worklists that give into, draw from or mix wells whose contents a person discarded.

    Args:
        connection: of the transaction.
        worklists: what is to be run.
        spared: barcode and well of those that the worklists were made without; a column may still reach them.

    Raises:
        RecordError: with every such well, who discarded it, when and why.
    """
    problems: list[Problem] = []
    for worklist in worklists:
        used = {one.spot for one in touched(worklist)}
        barcodes = sorted({barcode for barcode, _ in used if barcode})
        gone = [one for barcode in barcodes for one in discarded_of(connection, barcode)]
        problems += [_gone(one) for one in gone if (one.barcode, one.well) in used.difference(spared)]
    if problems:
        raise RecordError.from_problems(list(dict.fromkeys(problems)))


def spared_by(connection: sa.Connection, run_id: str, made: RunDecision | None = None) -> set[tuple[str, str]]:
    """Barcode and well of those discarded by the decisions that the rest of a run follows from.

    Args:
        connection: of the transaction.
        run_id: the run.
        made: the decision about it that is about to be saved; the last one that was, when None.
    """
    found: set[tuple[str, str]] = set()
    for row in line_of(connection, run_id):
        decision = made if made is not None and row["id"] == run_id else last_decision(connection, row["id"])
        if decision is not None:
            found.update(with_barcode(connection, row["worklist_hash"], decision.wells))
    return found


def with_barcode(
    connection: sa.Connection, worklist_hash: str, wells: tuple[tuple[str, str], ...]
) -> Iterator[tuple[str, str]]:
    """Barcode and well of those wells whose labware outlives the run."""
    if not wells:
        return
    barcodes = {item.nickname: item.barcode for item in worklist_of(connection, worklist_hash).deck if item.barcode}
    for nickname, well in wells:
        if nickname in barcodes:
            yield barcodes[nickname], well


def _gone(well: DiscardedWell) -> Problem:
    of_run = f" after {well.run_id}" if well.run_id else ""
    told = f"was discarded{of_run} by {well.by}, at {well.at:%Y-%m-%d %H:%M} UTC ({well.reason})"
    remedy = "plan without this well, or plan it anew in fresh labware with a barcode of its own"
    return Problem(told, f"{well.barcode} {well.well}", f"{remedy}; the rest of a run leaves it out with --well")
