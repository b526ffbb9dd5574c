"""Rows of the journal as models and back."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from nkloop.errors import RecordError
from nkloop.frozen import canonical_json
from nkloop.records import schema
from nkloop.records.audit import write
from nkloop.records.models import (
    Claim,
    JournalEvent,
    OperatorAction,
    RunDecision,
    RunRecord,
    SavedFile,
    StepRecord,
)
from nkloop.worklists.models import Worklist

_GATHERED = frozenset({"steps", "operator_actions", "decision", "files"})
"""Fields of a run that come from other tables."""
# Made once: building a statement costs more than executing it, and the journal asks before every step.
_RUN = sa.select(schema.runs).where(schema.runs.c.id == sa.bindparam("wanted"))


def run_row(connection: sa.Connection, run_id: str) -> Any:
    """The row of a run.

    Raises:
        RecordError: there is none.
    """
    row = connection.execute(_RUN, {"wanted": run_id}).mappings().first()
    if row is None:
        raise not_recorded(run_id)
    return row


def not_recorded(run_id: str) -> RecordError:
    """What is told of a run nobody recorded."""
    return RecordError(f"run {run_id} is not recorded", remedy="list the recorded runs with `nkloop runs`")


def run_record(connection: sa.Connection, row: Any) -> RunRecord:
    """A run with the last event of each step, what people confirmed and decided, and its files."""
    fields = {name: row[name] for name in RunRecord.model_fields if name in row and name not in _GATHERED}
    fields["found_before"] = None if row["found_before"] is None else tuple(json.loads(row["found_before"]))
    return RunRecord(
        **fields,
        steps=last_events(connection, row["id"]),
        operator_actions=tuple(action.sentence for action in actions_of(connection, row["id"])),
        decision=last_decision(connection, row["id"]),
        files=_files(connection, row["id"]),
    )


OPENED = (sa.func.length(schema.runs.c.id), schema.runs.c.id)
"""Order in which runs were opened: by their numbers, for clocks are set back."""


def devices_of_row(row: Any) -> set[str]:
    """Devices a run was claimed for; empty for a run of a bench that nobody claims."""
    return devices_of_text(row["locks"])


def devices_of_text(locks: str | None) -> set[str]:
    """Devices as the row of a run holds them."""
    return set(json.loads(locks)) if locks else set()


def rows_with_labware(connection: sa.Connection, barcodes: Collection[str]) -> list[Any]:
    """Rows of the runs with a labware of these barcodes on the deck, in the order they were opened.

    The text of a worklist is searched before it is read, so that a run may be among them that only names a barcode.
    """
    if not barcodes:
        return []
    runs, worklists = schema.runs, schema.worklists
    named = sa.or_(*(worklists.c.document.contains(canonical_json(barcode), autoescape=True) for barcode in barcodes))
    query = sa.select(runs).join(worklists, worklists.c.hash == runs.c.worklist_hash).where(named)
    return list(connection.execute(query.order_by(*OPENED)).mappings().all())


def save_worklist(connection: sa.Connection, worklist: Worklist, at: datetime) -> None:
    """Save a worklist under its hash unless it is there."""
    table, digest = schema.worklists, worklist.content_hash
    if connection.execute(sa.select(table.c.hash).where(table.c.hash == digest)).first() is None:
        row = {"hash": digest, "name": worklist.name, "procedure": worklist.procedure, "saved_at": at}
        write(connection, table, {**row, "document": canonical_json(worklist)})


def worklist_of(connection: sa.Connection, worklist_hash: str) -> Worklist:
    """A worklist that was saved under this hash."""
    table = schema.worklists
    document = connection.execute(sa.select(table.c.document).where(table.c.hash == worklist_hash)).scalar_one()
    return Worklist.model_validate_json(document)


def event_row(run_id: str, entry: int, event: JournalEvent, claim: Claim | None) -> dict[str, Any]:
    """One journal line as it is stored and hashed."""
    return {
        "run_id": run_id,
        "entry": entry,
        "step": event.number,
        "event": event.event,
        "at": event.at,
        "device": event.device,
        "detail": event.detail,
        "token": event.token if claim is None else claim.token,
        "moved_ul": json.dumps(event.moved_ul) if event.moved_ul else None,
    }


def event_of(row: Any) -> JournalEvent:
    """One journal line as it was written."""
    return JournalEvent(
        number=row["step"],
        event=row["event"],
        at=row["at"],
        device=row["device"],
        detail=row["detail"],
        token=row["token"],
        moved_ul=_moved(row["moved_ul"]),
    )


def actions_of(connection: sa.Connection, run_id: str | None) -> tuple[OperatorAction, ...]:
    """What people confirmed in a run, oldest first; with None, what they did outside every run."""
    table = schema.operator_actions
    rows = connection.execute(sa.select(table).where(table.c.run_id == run_id).order_by(table.c.id)).mappings()
    return tuple(OperatorAction.model_validate({k: v for k, v in row.items() if k != "id"}) for row in rows)


def last_events(connection: sa.Connection, run_id: str) -> tuple[StepRecord, ...]:
    """The last event of each step of a run."""
    table = schema.step_events
    last = sa.select(sa.func.max(table.c.id)).where(table.c.run_id == run_id).group_by(table.c.step)
    columns = (table.c.step, table.c.event, table.c.at, table.c.detail, table.c.moved_ul)
    rows = connection.execute(sa.select(*columns).where(table.c.id.in_(last)).order_by(table.c.step))
    return tuple(
        StepRecord(number=number, event=event, at=at, detail=detail, moved_ul=_moved(moved))
        for number, event, at, detail, moved in rows
    )


def _moved(kept: str | None) -> tuple[float, ...]:
    return tuple(json.loads(kept)) if kept else ()


def last_decision(connection: sa.Connection, run_id: str) -> RunDecision | None:
    """What was last decided about a run."""
    table = schema.run_decisions
    query = sa.select(table.c.document).where(table.c.run_id == run_id).order_by(table.c.id.desc()).limit(1)
    document = connection.execute(query).scalar()
    return None if document is None else RunDecision.model_validate_json(document)


def _files(connection: sa.Connection, run_id: str) -> tuple[SavedFile, ...]:
    table = schema.device_files
    rows = connection.execute(sa.select(table).where(table.c.run_id == run_id).order_by(table.c.id)).mappings()
    return tuple(SavedFile.model_validate({k: v for k, v in row.items() if k not in {"id", "run_id"}}) for row in rows)
