"""Files of readers and counters: what was seen, what is waited for, what was delivered. Nothing is recorded twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import Field

from nkloop.assays.measurements import Reading
from nkloop.errors import RecordError
from nkloop.frozen import FrozenModel, canonical_json
from nkloop.records import schema
from nkloop.records.audit import SOFTWARE, change, write
from nkloop.records.database import Database

WaitKind = Literal["plate", "counts"]
WaitState = Literal["waiting", "delivered", "used", "withdrawn"]
FileState = Literal["recorded", "quarantined"]


class Wait(FrozenModel):
    """A plate or sample somebody waits for."""

    id: int
    bench: str
    kind: WaitKind
    barcode: str
    asked: str
    """What was asked for, as JSON; the same question has the same text."""
    run_id: str | None
    asked_at: datetime
    state: WaitState
    file_id: int | None = None
    answer: str = ""
    """What was delivered, as JSON; empty before."""


class Delivery(FrozenModel):
    """What a file gives to one wait."""

    wait_id: int
    answer: str
    """JSON that the one who waits gets."""
    reading: Reading | None = None
    """Set for a plate: it is recorded in the same transaction."""


class SeenFile(FrozenModel):
    """A file an inbox has looked into."""

    id: int
    sha256: str = Field(min_length=64, max_length=64)
    bench: str
    name: str
    program: str
    state: FileState
    code: str = ""
    """Why it is in quarantine, in one word for programs."""
    reason: str = ""
    """Why it is in quarantine, for people; the code stands before it."""
    seen_at: datetime
    by: str
    """Who decided: the software, or the person who assigned it."""
    filed_as: str = ""
    """Where the file went, relative to the watched folder; empty while it has not been moved."""
    document: str = "[]"
    """Plates and samples in it and what became of each, as JSON."""


class InboxRecords:
    """Files and waits; a file, its readings and the answers to its waits are recorded in one transaction or not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def wait_for(self, bench: str, kind: WaitKind, barcode: str, asked: str, *, run_id: str | None = None) -> Wait:
        """Open a wait; the same question finds the one that is open, or was answered and not yet used.

        The same question of the same run finds its answer ever again; without a run a used answer is of another day.

        Raises:
            RecordError: the run is not recorded.
        """
        table = schema.inbox_waits
        same = sa.and_(table.c.bench == bench, table.c.kind == kind, table.c.asked == asked)
        same = sa.and_(same, table.c.run_id == run_id if run_id else table.c.run_id.is_(None))
        usable = ("waiting", "delivered", "used") if run_id else ("waiting", "delivered")
        with self._database.writing() as connection:
            query = sa.select(table).where(same, table.c.state.in_(usable)).order_by(table.c.id.desc()).limit(1)
            row = connection.execute(query).mappings().first()
            if row is None:
                values = {
                    "bench": bench,
                    "kind": kind,
                    "barcode": barcode,
                    "asked": asked,
                    "run_id": run_id,
                    "asked_at": datetime.now(UTC),
                    "state": "waiting",
                    "answer": "",
                }
                key = write(connection, table, values)
                row = connection.execute(sa.select(table).where(table.c.id == key)).mappings().one()
            return _wait(row)

    def wait(self, wait_id: int) -> Wait:
        """One wait as it stands.

        Raises:
            RecordError: there is none.
        """
        table = schema.inbox_waits
        with self._database.reading() as connection:
            row = connection.execute(sa.select(table).where(table.c.id == wait_id)).mappings().first()
        if row is None:
            raise RecordError(f"nobody has asked for wait {wait_id}")
        return _wait(row)

    def waiting(self, bench: str | None = None) -> tuple[Wait, ...]:
        """What is waited for now, of one bench or of all, oldest first."""
        table = schema.inbox_waits
        query = sa.select(table).where(table.c.state == "waiting").order_by(table.c.id)
        if bench is not None:
            query = query.where(table.c.bench == bench)
        with self._database.reading() as connection:
            return tuple(_wait(row) for row in connection.execute(query).mappings())

    def used(self, wait_id: int) -> None:
        """Who waited has what was delivered, and has done with it what was to be done."""
        table = schema.inbox_waits
        with self._database.writing() as connection:
            state = connection.execute(sa.select(table.c.state).where(table.c.id == wait_id)).scalar()
            if state == "delivered":
                change(connection, table, wait_id, {"state": "used"}, action="used")

    def withdraw(self, wait_id: int, why: str) -> None:
        """Nobody waits any longer; one that was delivered stays as it is."""
        table = schema.inbox_waits
        with self._database.writing() as connection:
            row = connection.execute(sa.select(table.c.state).where(table.c.id == wait_id)).scalar()
            if row == "waiting":
                values = {"state": "withdrawn", "ended_at": datetime.now(UTC)}
                change(connection, table, wait_id, values, action=f"withdrawn: {why}")

    def find(self, sha256: str) -> SeenFile | None:
        """The file with this content, if one was seen."""
        table = schema.inbox_files
        with self._database.reading() as connection:
            row = connection.execute(sa.select(table).where(table.c.sha256 == sha256)).mappings().first()
        return None if row is None else SeenFile.model_validate(dict(row))

    def files(self, bench: str | None = None, *, state: FileState | None = None) -> tuple[SeenFile, ...]:
        """Files in the order they were first seen."""
        table = schema.inbox_files
        query = sa.select(table).order_by(table.c.id)
        if bench is not None:
            query = query.where(table.c.bench == bench)
        if state is not None:
            query = query.where(table.c.state == state)
        with self._database.reading() as connection:
            return tuple(SeenFile.model_validate(dict(row)) for row in connection.execute(query).mappings())

    def record(self, file: Mapping[str, Any], deliveries: Sequence[Delivery], *, by: str = SOFTWARE) -> SeenFile:
        """Record a file that was understood, its readings, and answer the waits it is for; all or nothing.

        A file that is recorded already is given back as it is: another inbox was quicker.

        Args:
            file: `sha256`, `bench`, `name`, `program`, `document`.
            deliveries: what it gives, to which wait.
            by: the person who assigned it; the software when nobody did.

        Raises:
            RecordError: a wait has been answered or withdrawn meanwhile; nothing was recorded.
        """

        def answer(connection: sa.Connection, file_id: int) -> None:
            for delivery in deliveries:
                _deliver(connection, file_id, delivery, by)

        return self._put(file, {"state": "recorded", "code": "", "reason": ""}, by, answer)

    def quarantine(self, file: Mapping[str, Any], code: str, reason: str) -> SeenFile:
        """Keep in mind why a file was put aside; one that is recorded already stays recorded."""
        return self._put(file, {"state": "quarantined", "code": code, "reason": reason}, SOFTWARE, lambda *_: None)

    def deliver_more(self, file: SeenFile, document: str, deliveries: Sequence[Delivery]) -> SeenFile:
        """Answer waits with plates of a recorded file that nobody waited for when it was recorded; all or nothing.

        Raises:
            RecordError: a wait has been answered or withdrawn meanwhile; nothing was recorded.
        """
        table = schema.inbox_files
        with self._database.writing() as connection:
            for delivery in deliveries:
                _deliver(connection, file.id, delivery, SOFTWARE)
            change(connection, table, file.id, {"document": document}, action="more plates")
        return file.model_copy(update={"document": document})

    def filed(self, file_id: int, where: str) -> None:
        """Say where the file went."""
        with self._database.writing() as connection:
            change(connection, schema.inbox_files, file_id, {"filed_as": where}, action="filed")

    def _put(
        self, file: Mapping[str, Any], verdict: Mapping[str, str], by: str, then: Callable[[sa.Connection, int], None]
    ) -> SeenFile:
        table = schema.inbox_files
        with self._database.writing() as connection:
            old = connection.execute(sa.select(table).where(table.c.sha256 == file["sha256"])).mappings().first()
            if old is not None and old["state"] == "recorded":
                return SeenFile.model_validate(dict(old))
            values: dict[str, Any] = {**file, **verdict, "by": by, "filed_as": ""}
            if old is None:
                key = write(
                    connection, table, {**values, "seen_at": datetime.now(UTC)}, who=by, action=verdict["state"]
                )
            else:
                key = old["id"]
                change(connection, table, key, values, who=by, action=verdict["state"])
            then(connection, key)
            return SeenFile.model_validate(
                dict(connection.execute(sa.select(table).where(table.c.id == key)).mappings().one())
            )


def _deliver(connection: sa.Connection, file_id: int, delivery: Delivery, by: str) -> None:
    waits = schema.inbox_waits
    row = connection.execute(sa.select(waits).where(waits.c.id == delivery.wait_id)).mappings().one()
    if row["state"] != "waiting":
        raise RecordError(f"plate {row['barcode']} is no longer waited for", remedy="look again")
    if delivery.reading is not None:
        _add_reading(connection, delivery.reading, row["run_id"], by)
    values = {"state": "delivered", "ended_at": datetime.now(UTC), "file_id": file_id, "answer": delivery.answer}
    change(connection, waits, delivery.wait_id, values, who=by, action="delivered")


def _add_reading(connection: sa.Connection, reading: Reading, run_id: str | None, by: str) -> None:
    runs = schema.runs
    run = connection.execute(sa.select(runs).where(runs.c.id == run_id)).mappings().first() if run_id else None
    row = {
        "barcode": reading.barcode,
        "run_id": run_id,
        "campaign": run["campaign"] if run else None,
        "round": run["round"] if run else None,
        "read_at": reading.read_at,
        "file_sha256": reading.file_sha256,
        "document": canonical_json(reading),
    }
    write(connection, schema.readings, row, who=by)


def _wait(row: Mapping[Any, Any]) -> Wait:
    return Wait.model_validate({name: row[name] for name in Wait.model_fields})
