"""What is read of the journal: runs, the events of their steps, what people confirmed, worklists and verdicts."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from nkloop.errors import RecordError
from nkloop.records import schema
from nkloop.records.database import Database
from nkloop.records.journal_rows import (
    OPENED,
    actions_of,
    devices_of_row,
    event_of,
    rows_with_labware,
    run_record,
    run_row,
)
from nkloop.records.lineage import number_of, tree_of
from nkloop.records.models import (
    RUN_OVER,
    JournalEvent,
    OperatorAction,
    OperatorRemark,
    RunRecord,
)
from nkloop.worklists.models import Verdict, Worklist

_KEPT_WORKLISTS = 64


class OverRun(NamedTuple):
    """A run that is over, without its steps: those of a long run take a while to read."""

    id: str
    worklist_hash: str
    """SHA-256 of what was run."""
    procedure: str
    created_at: datetime
    error: str
    """What ended it; empty when it succeeded."""


_OVER = tuple(schema.runs.c[name] for name in OverRun._fields)


class JournalReading:
    """Reads runs and their steps, in the order in which they were opened."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Named by their content, so never stale; large ones take a tenth of a second to read.
        self._worklists: dict[str, Worklist] = {}

    def run(self, run_id: str) -> RunRecord:
        """A run with the last event of each of its steps.

        Raises:
            RecordError: the run does not exist.
        """
        with self._database.reading() as connection:
            return run_record(connection, run_row(connection, run_id))

    def runs(self, campaign: str | None = None, *, round: int | None = None) -> tuple[RunRecord, ...]:
        """Runs in the order they were opened; of one campaign (and round) when named."""
        table = schema.runs
        query = sa.select(table).order_by(*OPENED)
        if campaign is not None:
            query = query.where(table.c.campaign == campaign)
        if round is not None:
            query = query.where(table.c.round == round)
        with self._database.reading() as connection:
            return tuple(run_record(connection, row) for row in connection.execute(query).mappings().all())

    def open_runs(self, devices: Sequence[str], bench: str) -> tuple[RunRecord, ...]:
        """Runs that are not over, on these devices or of this bench, in the order they were opened."""
        table = schema.runs
        query = sa.select(table).where(table.c.state.not_in(RUN_OVER)).order_by(*OPENED)
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
            mine = (row for row in rows if row["bench"] == bench or devices_of_row(row) & set(devices))
            return tuple(run_record(connection, row) for row in mine)

    def latest(self, bench: str, number: int) -> tuple[RunRecord, ...]:
        """The newest runs of a bench, the newest first."""
        table = schema.runs
        order = (column.desc() for column in OPENED)
        query = sa.select(table).where(table.c.bench == bench).order_by(*order).limit(number)
        with self._database.reading() as connection:
            return tuple(run_record(connection, row) for row in connection.execute(query).mappings().all())

    def latest_over(self, bench: str, number: int) -> tuple[OverRun, ...]:
        """Those of the newest runs of a bench that are over, the newest first."""
        table = schema.runs
        order = (column.desc() for column in OPENED)
        query = sa.select(*_OVER, table.c.state).where(table.c.bench == bench).order_by(*order).limit(number)
        with self._database.reading() as connection:
            return tuple(OverRun(*row) for *row, state in connection.execute(query) if state in RUN_OVER)

    def over_since(self, bench: str, since: datetime) -> tuple[OverRun, ...]:
        """Runs of a bench that are over and were opened at a time or later, in the order they were opened."""
        table = schema.runs
        mine = (table.c.bench == bench) & table.c.state.in_(RUN_OVER) & (table.c.created_at >= since)
        query = sa.select(*_OVER).where(mine).order_by(*OPENED)
        with self._database.reading() as connection:
            return tuple(OverRun(*row) for row in connection.execute(query))

    def by_hash(self, worklist_hash: str) -> tuple[RunRecord, ...]:
        """Runs of one worklist, in the order they were opened."""
        return self._chosen(schema.runs.c.worklist_hash == worklist_hash)

    def with_labware(self, barcodes: Collection[str]) -> tuple[RunRecord, ...]:
        """Runs whose worklist names one of these barcodes, in the order they were opened."""
        with self._database.reading() as connection:
            return tuple(run_record(connection, row) for row in rows_with_labware(connection, barcodes))

    def run_ids(self, *, is_over: bool = False) -> tuple[str, ...]:
        """Every run, or every one that is over, in the order they were opened; without their steps."""
        table = schema.runs
        query = sa.select(table.c.id).order_by(*OPENED)
        if is_over:
            query = query.where(table.c.state.in_(RUN_OVER))
        with self._database.reading() as connection:
            return tuple(connection.execute(query).scalars())

    def find_worklists(self, prefix: str) -> tuple[str, ...]:
        """Hashes of saved worklists that begin with these characters."""
        column = schema.worklists.c.hash
        with self._database.reading() as connection:
            return tuple(connection.execute(sa.select(column).where(column.startswith(prefix))).scalars())

    def events(self, run_id: str) -> tuple[JournalEvent, ...]:
        """Every event of a run, oldest first."""
        table = schema.step_events
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(table).where(table.c.run_id == run_id).order_by(table.c.id)).mappings()
            return tuple(event_of(row) for row in rows)

    def actions(self, run_id: str | None) -> tuple[OperatorAction, ...]:
        """What people confirmed in a run, oldest first; with None, what they did outside every run."""
        with self._database.reading() as connection:
            return actions_of(connection, run_id)

    def remarks(self, run_id: str | None) -> tuple[OperatorRemark, ...]:
        """What happened while people were asked in a run, oldest first; with None, outside every run."""
        table = schema.operator_remarks
        query = sa.select(table).where(table.c.run_id == run_id).order_by(table.c.id)
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings()
            return tuple(OperatorRemark.model_validate({k: v for k, v in row.items() if k != "id"}) for row in rows)

    def follow_ups(self, run_id: str) -> tuple[RunRecord, ...]:
        """Runs that continue or repair a run, in the order they were opened."""
        return self._chosen(schema.runs.c.parent == run_id)

    def of_occurrence(self, occurrence: str) -> tuple[RunRecord, ...]:
        """Runs of one place in a launch of a flow and all that continue them, in the order they were opened."""
        table = schema.runs
        with self._database.reading() as connection:
            found = connection.execute(sa.select(table.c.id).where(table.c.occurrence == occurrence)).scalars().all()
            rows = {row["id"]: row for run_id in found for row in tree_of(connection, run_id)}
            return tuple(
                run_record(connection, row) for row in (rows[run_id] for run_id in sorted(rows, key=number_of))
            )

    def _chosen(self, condition: sa.ColumnElement[bool]) -> tuple[RunRecord, ...]:
        table = schema.runs
        query = sa.select(table).where(condition).order_by(*OPENED)
        with self._database.reading() as connection:
            return tuple(run_record(connection, row) for row in connection.execute(query).mappings().all())

    def device_runs(self) -> frozenset[str]:
        """Every id of a device's run that the records know: it belongs to a recorded run, or was found beside one."""
        own, beside = schema.runs.c.device_run_id, schema.runs.c.found_before
        with self._database.reading() as connection:
            ids = frozenset(connection.execute(sa.select(own).where(own.is_not(None))).scalars())
            found = connection.execute(sa.select(beside).where(beside.is_not(None))).scalars()
            return ids.union(*(json.loads(told) for told in found))

    def worklist(self, worklist_hash: str) -> Worklist:
        """The worklist with this content hash.

        Raises:
            RecordError: it was never saved.
        """
        if worklist_hash not in self._worklists:
            with self._database.reading() as connection:
                document = _document(connection, schema.worklists, worklist_hash)
            if len(self._worklists) >= _KEPT_WORKLISTS:
                self._worklists.pop(next(iter(self._worklists)))
            self._worklists[worklist_hash] = Worklist.model_validate_json(document)
        return self._worklists[worklist_hash]

    def verdict(self, run_id: str) -> Verdict:
        """The verdict a run was allowed by.

        Raises:
            RecordError: the run does not exist.
        """
        with self._database.reading() as connection:
            verdict_id = run_row(connection, run_id)["verdict_id"]
            return Verdict.model_validate_json(_document(connection, schema.verdicts, verdict_id))


def _document(connection: sa.Connection, table: sa.Table, key: Any) -> str:
    column = next(iter(table.primary_key.columns))
    document = connection.execute(sa.select(table.c.document).where(column == key)).scalar()
    if document is None:
        raise RecordError(f"{table.name} holds nothing under {key}")
    return str(document)
