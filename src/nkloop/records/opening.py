"""Opening a run: what refuses it, and its row."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from nkloop.errors import RecordError
from nkloop.frozen import canonical_json
from nkloop.records import schema
from nkloop.records.audit import write
from nkloop.records.discards import require_kept, spared_by
from nkloop.records.journal_rows import run_row
from nkloop.records.lineage import is_of_another, stems_from
from nkloop.records.models import Claim, Context
from nkloop.records.once import require_first, require_left, require_place
from nkloop.records.planned_on import require_not_overtaken
from nkloop.records.vessels import require_unused
from nkloop.worklists.models import Verdict, Worklist


class Where(NamedTuple):
    """Bench and device that a run is opened for."""

    bench: str
    device: str
    serial: str | None
    """Serial number of the device; None where it tells none."""
    claim: Claim | None
    """Under which the devices are held."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices that are held for it."""
        return () if self.claim is None else self.claim.devices


def taken_up(
    connection: sa.Connection, worklist: Worklist, where: Where, context: Context, known: Collection[str] | None
) -> str | None:
    """Refuse work that may not be begun; the run that the worklist continues, None when it continues none.

    Raises:
        RecordError: it was taken up already, is not what was decided last, needs wells that were discarded, fills a
            used vessel as a new one, or gives into wells that were changed since it was planned.
    """
    parent = context.parent or stems_from(connection, worklist)
    if parent is not None:
        require_left(connection, parent, worklist, where.bench, where.devices, where.serial)
    elif known is not None:
        require_first(connection, worklist.content_hash, where.bench, where.devices, known, batch=context.batch)
    require_kept(connection, (worklist,), () if parent is None else spared_by(connection, parent))
    if context.occurrence is not None:
        require_place(connection, context.occurrence, parent)
    require_unused(connection, worklist, where.bench, where.devices, parent)
    if parent is None:  # of a rest the decision tells what stands there
        require_not_overtaken(connection, worklist, where.bench, where.devices)
    return parent


def batch_of(connection: sa.Connection, context: Context, parent: str | None) -> str | None:
    """The batch of a run that is opened: that of the run it continues, where there is one.

    Raises:
        RecordError: it is said to be of another.
    """
    above = None if parent is None else run_row(connection, parent)["batch"]
    if is_of_another(context.batch, above):
        raise RecordError(
            f"run {parent} is of batch {above}, what continues it is not of batch {context.batch}",
            where=f"run {parent}",
            remedy="leave --batch out",
        )
    return above or context.batch


def save_verdict(connection: sa.Connection, worklist: Worklist, verdict: Verdict, at: datetime) -> int:
    """Save what allowed a run; returns the key of it."""
    values = {"worklist_hash": worklist.content_hash, "passed": verdict.passed, "at": at}
    return int(write(connection, schema.verdicts, {**values, "document": canonical_json(verdict)}))


def new_row(
    run_id: str,
    worklist: Worklist,
    where: Where,
    context: Context,
    *,
    parent: str | None,
    verdict_id: int,
    at: datetime,
) -> dict[str, Any]:
    """The row of a run that is planned, and of which nothing is on a device yet."""
    return {
        "id": run_id,
        "name": worklist.name,
        "procedure": worklist.procedure,
        "bench": where.bench,
        "device": where.device,
        "worklist_hash": worklist.content_hash,
        "verdict_id": verdict_id,
        "recipe_revision": worklist.recipe_revision,
        "campaign": context.campaign,
        "round": context.round,
        "batch": context.batch,
        "state": "planned",
        "created_at": at,
        "n_transfers": worklist.n_transfers,
        "error": "",
        "locks": None if where.claim is None else json.dumps(where.claim.devices),
        "token": None if where.claim is None else where.claim.token,
        "parent": parent,
        "occurrence": context.occurrence,
        "device_serial": where.serial,
    }
