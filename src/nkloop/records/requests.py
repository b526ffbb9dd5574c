"""Requests to people: asked once, answered once, found again after a restart on either side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from nkloop.errors import RecordError
from nkloop.frozen import FrozenModel
from nkloop.records import schema
from nkloop.records.audit import change, write
from nkloop.records.database import Database

RequestState = Literal["open", "confirmed", "declined", "withdrawn"]


class AskedRequest(FrozenModel):
    """One request as it stands."""

    id: int
    bench: str
    key: str
    """The same request of the same run has the same key."""
    run_id: str | None
    run_state: str = ""
    """Where its run stood when it was asked; empty without a run."""
    title: str
    document: str
    """The request itself, as JSON."""
    asked_at: datetime
    state: RequestState
    answered_at: datetime | None = None
    answered_by: str = ""
    note: str = ""
    scanned: str = ""
    """Codes that were scanned, in their order, separated by spaces."""
    choice: str | None = None
    """What was chosen, where there was something to choose."""
    taken_at: datetime | None = None
    """When the one who asked took the answer."""

    @property
    def is_untaken(self) -> bool:
        """Whether it was confirmed and nobody has taken that yet."""
        return self.state == "confirmed" and self.taken_at is None


class OperatorRequests:
    """What people are asked to do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, bench: str, key: str, title: str, document: str, *, run_id: str | None = None) -> AskedRequest:
        """Ask; a request with this key that is open, or answered and not yet taken, is found instead.

        Raises:
            RecordError: the run is not recorded.
        """
        table = schema.operator_requests
        with self._database.writing() as connection:
            query = sa.select(table).where(
                table.c.bench == bench,
                table.c.key == key,
                sa.or_(
                    table.c.state == "open",
                    sa.and_(table.c.state.in_(("confirmed", "declined")), table.c.taken_at.is_(None)),
                ),
            )
            row: Mapping[Any, Any] | None
            row = connection.execute(query.order_by(table.c.id.desc()).limit(1)).mappings().first()
            if row is None:
                state = _state_of(connection, run_id)
                values = {"bench": bench, "key": key, "run_id": run_id, "run_state": state, "title": title}
                values["document"] = document
                rest = {"asked_at": datetime.now(UTC), "state": "open", "answered_by": "", "note": "", "scanned": ""}
                number = write(connection, table, {**values, **rest}, action="asked")
                row = _row(connection, number)
            return _asked(row)

    def get(self, number: int) -> AskedRequest:
        """One request.

        Raises:
            RecordError: there is none with this number.
        """
        with self._database.reading() as connection:
            return _asked(_row(connection, number))

    def open(self, bench: str | None = None) -> tuple[AskedRequest, ...]:
        """Requests nobody has answered, oldest first."""
        return self.list(bench, states=("open",))

    def list(self, bench: str | None = None, *, states: Sequence[RequestState] = ()) -> tuple[AskedRequest, ...]:
        """Requests in the order they were asked; of one bench and some states when named."""
        table = schema.operator_requests
        query = sa.select(table).order_by(table.c.id)
        if bench is not None:
            query = query.where(table.c.bench == bench)
        if states:
            query = query.where(table.c.state.in_(tuple(states)))
        with self._database.reading() as connection:
            return tuple(_asked(row) for row in connection.execute(query).mappings())

    def of_run(self, run_id: str) -> tuple[AskedRequest, ...]:
        """Requests of one run, whatever became of them, in the order they were asked."""
        table = schema.operator_requests
        query = sa.select(table).where(table.c.run_id == run_id).order_by(table.c.id)
        with self._database.reading() as connection:
            return tuple(_asked(row) for row in connection.execute(query).mappings())

    def require_open(self, number: int) -> AskedRequest:
        """The request, while nobody has answered it.

        Raises:
            RecordError: there is none, it was answered already (by whom and when is told), or it was withdrawn.
        """
        with self._database.reading() as connection:
            row = _row(connection, number)
            _require_open(row)
            return _asked(row)

    def answer(
        self,
        number: int,
        state: Literal["confirmed", "declined"],
        *,
        by: str,
        at: datetime,
        note: str = "",
        scanned: Sequence[str] = (),
        choice: str = "",
    ) -> AskedRequest:
        """Answer an open request, once.

        Raises:
            RecordError: there is none, it was answered already (by whom and when is told), or it was withdrawn.
        """
        with self._database.writing() as connection:
            row = _row(connection, number)
            _require_open(row)
            values = {
                "state": state,
                "answered_at": at,
                "answered_by": by,
                "note": note,
                "scanned": " ".join(scanned),
                "choice": choice or None,
            }
            change(connection, schema.operator_requests, number, values, who=by, action=state)
            return _asked(_row(connection, number))

    def taken(self, number: int) -> None:
        """The one who asked has the answer; asking the same again is another request."""
        with self._database.writing() as connection:
            if _row(connection, number)["taken_at"] is None:
                values = {"taken_at": datetime.now(UTC)}
                change(connection, schema.operator_requests, number, values, action="answer taken")

    def withdraw(self, number: int, why: str) -> None:
        """Nobody needs an answer any longer; one that was answered stays as it is."""
        with self._database.writing() as connection:
            if _row(connection, number)["state"] == "open":
                values = {"state": "withdrawn", "answered_at": datetime.now(UTC), "note": why}
                change(connection, schema.operator_requests, number, values, action="withdrawn")

    def withdraw_ended(self, over: Sequence[str]) -> None:
        """Withdraw the open requests of runs that have ended since they were asked.

        `over` are the states of an ended run. A plate of an ended run is still carried to the reader: what was asked
        after the end stays.
        """
        table, runs = schema.operator_requests, schema.runs
        query = sa.select(table.c.id).join(runs, runs.c.id == table.c.run_id)
        query = query.where(
            table.c.state == "open", runs.c.state.in_(tuple(over)), table.c.run_state.not_in(tuple(over))
        )
        with self._database.reading() as connection:
            ended = tuple(connection.execute(query).scalars())
        for number in ended:
            self.withdraw(number, "its run has ended")


def _state_of(connection: sa.Connection, run_id: str | None) -> str:
    if run_id is None:
        return ""
    return str(connection.execute(sa.select(schema.runs.c.state).where(schema.runs.c.id == run_id)).scalar() or "")


def _require_open(row: Mapping[Any, Any]) -> None:
    if row["state"] != "open":
        raise RecordError(_no_longer_open(row), where=row["title"], remedy="list what waits: nkloop operator list")


def _no_longer_open(row: Mapping[Any, Any]) -> str:
    if row["state"] == "withdrawn":
        return f"request {row['id']} was withdrawn: {row['note']}"
    at = row["answered_at"]
    return f"request {row['id']} was {row['state']} by {row['answered_by']} at {at:%Y-%m-%d %H:%M} UTC"


def _row(connection: sa.Connection, number: int) -> Mapping[Any, Any]:
    table = schema.operator_requests
    row = connection.execute(sa.select(table).where(table.c.id == number)).mappings().first()
    if row is None:
        raise RecordError(f"there is no request {number}", remedy="list what waits: nkloop operator list")
    return row


def _asked(row: Mapping[Any, Any]) -> AskedRequest:
    values: dict[str, Any] = dict(row)
    return AskedRequest.model_validate(values)
