"""The audit chain: every row written gets an entry that holds its hash and the hash of the entry before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from nkloop.errors import Problem
from nkloop.frozen import content_hash
from nkloop.records import schema
from nkloop.records.database import Database
from nkloop.records.models import AuditEntry

GENESIS = "0" * 64
"""Previous hash of the first entry."""
SOFTWARE = "nkloop"
"""Who acted when no person did."""
_UNAUDITED = {"audit_entries", "step_events", "device_holders", "database_identity"}
"""The chain itself; the journal, whose entries are hashed in batches; leases, whose history is audited instead; and the
name of the database, which is there before the chain begins."""

# Made once: building a statement costs more than executing it, and the journal writes before every step.
LAST_ENTRY = (
    sa.select(schema.audit_entries.c.number, schema.audit_entries.c.entry_hash)
    .order_by(schema.audit_entries.c.number.desc())
    .limit(1)
)
"""Number and hash of the end of the chain; no row while it is empty."""
_ADD_ENTRY = sa.insert(schema.audit_entries)


def write(
    connection: sa.Connection, table: sa.Table, values: Mapping[str, Any], *, who: str = SOFTWARE, action: str = "added"
) -> Any:
    """Insert one row and its audit entry in the caller's transaction; return the row's key (a tuple when composite)."""
    key = tuple(connection.execute(sa.insert(table).values(**values)).inserted_primary_key or ())
    link(connection, table, key, who=who, action=action)
    return key[0] if len(key) == 1 else key


def write_all(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, who: str, action: str
) -> None:
    """Insert rows with an audit entry each, as `write` does one by one; the table counts its own integer key."""
    if not rows:
        return
    (key,) = table.primary_key.columns
    inserted = sa.insert(table).returning(key, sort_by_parameter_order=True)
    keys = list(connection.scalars(inserted, list(rows)))
    found = sa.select(table).where(key.between(min(keys), max(keys)), key.in_(keys)).order_by(key)
    stored = connection.execute(found).mappings().all()
    hashes = [(_subject(table.name, (row[key.name],)), row_hash(as_hashed(table.name, row))) for row in stored]
    _append(connection, who, action, hashes)


def change(
    connection: sa.Connection, table: sa.Table, key: Any, values: Mapping[str, Any], *, who: str = SOFTWARE, action: str
) -> None:
    """Update one row and append an audit entry that says who changed it and what it holds now."""
    column = next(iter(table.primary_key.columns))
    connection.execute(sa.update(table).where(column == key).values(**values))
    link(connection, table, (key,), who=who, action=action)


def link(connection: sa.Connection, table: sa.Table, key: tuple[Any, ...], *, who: str, action: str) -> None:
    """Append the audit entry of a row as it stands now in this transaction."""
    columns = list(table.primary_key.columns)
    where = sa.and_(*(column == value for column, value in zip(columns, key, strict=True)))
    row = connection.execute(sa.select(table).where(where)).mappings().one()
    _append(connection, who, action, [(_subject(table.name, key), row_hash(as_hashed(table.name, row)))])


class ChainEnd(NamedTuple):
    """The newest entry of the chain, read in the transaction that appends the next one."""

    number: int
    entry_hash: str


EMPTY_CHAIN = ChainEnd(0, GENESIS)


def link_events(
    connection: sa.Connection, run_id: str, entry: int, rows: Iterable[Mapping[str, Any]], end: ChainEnd
) -> None:
    """Append one audit entry for a batch of journal rows to a chain whose end the caller knows."""
    subject = _subject("step_events", (run_id, entry))
    _append_after(end, connection, SOFTWARE, "journalled", [(subject, _batch_hash(rows))])


class Audit:
    """Reads and verifies the chain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self) -> tuple[AuditEntry, ...]:
        """The whole chain, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(schema.audit_entries).order_by(schema.audit_entries.c.number)
            ).mappings()
            return tuple(AuditEntry.model_validate(dict(row)) for row in rows)

    def verify_chain(self) -> tuple[Problem, ...]:
        """Recompute every hash; each problem is an entry or a record that was altered, removed or slipped in.

        What it cannot see: a chain cut at its end together with the records of the entries cut off. Keep the last
        entry hash elsewhere (a signed report carries it) to notice that too.
        """
        entries = self.entries()
        told = list(_broken_links(entries))
        latest = {entry.subject: entry.content_hash for entry in entries}
        current = self._current_hashes()
        for subject in sorted(latest.keys() | current.keys()):
            told.extend(_difference(subject, latest.get(subject), current.get(subject)))
        return tuple(told)

    def _current_hashes(self) -> dict[str, str]:
        found: dict[str, str] = {}
        with self._database.reading() as connection:
            for table in schema.METADATA.sorted_tables:
                if table.name in _UNAUDITED:
                    continue
                keys = [column.name for column in table.primary_key.columns]
                for row in connection.execute(sa.select(table)).mappings():
                    found[_subject(table.name, tuple(row[key] for key in keys))] = row_hash(as_hashed(table.name, row))
            found.update(_journal_hashes(connection))
        return found


def row_hash(row: Mapping[Any, Any]) -> str:
    """SHA-256 of a row; times as UTC ISO text."""
    return content_hash({str(key): _plain(value) for key, value in row.items()})


def as_hashed(table: str, row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row without the later columns that are empty."""
    later = schema.LATER_COLUMNS.get(table, frozenset())
    return {str(key): value for key, value in row.items() if value is not None or key not in later}


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _subject(table: str, key: tuple[Any, ...]) -> str:
    return f"{table}:{'/'.join(str(part) for part in key)}"


def _batch_hash(rows: Iterable[Mapping[str, Any]]) -> str:
    hashed = (as_hashed("step_events", row) for row in rows)
    return content_hash([{key: _plain(value) for key, value in row.items() if key != "id"} for row in hashed])


def _journal_hashes(connection: sa.Connection) -> dict[str, str]:
    table = schema.step_events
    batches: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in connection.execute(sa.select(table).order_by(table.c.id)).mappings():
        batches.setdefault((row["run_id"], row["entry"]), []).append(dict(row))
    return {_subject("step_events", key): _batch_hash(rows) for key, rows in batches.items()}


def _append(connection: sa.Connection, who: str, action: str, contents: Iterable[tuple[str, str]]) -> None:
    """Append one entry for each subject with the hash of its content, in their order."""
    last = connection.execute(LAST_ENTRY).first()
    _append_after(ChainEnd(last.number, last.entry_hash) if last else EMPTY_CHAIN, connection, who, action, contents)


def _append_after(
    end: ChainEnd, connection: sa.Connection, who: str, action: str, contents: Iterable[tuple[str, str]]
) -> None:
    number, previous = end
    entries = []
    for subject, digest in contents:
        number += 1
        fields: dict[str, Any] = {
            "number": number,
            "at": datetime.now(UTC),
            "who": who,
            "action": action,
            "subject": subject,
            "content_hash": digest,
            "previous_hash": previous,
        }
        previous = row_hash(fields)
        entries.append({**fields, "entry_hash": previous})
    connection.execute(_ADD_ENTRY, entries)


def _broken_links(entries: tuple[AuditEntry, ...]) -> Iterable[Problem]:
    previous, expected = GENESIS, 1
    for entry in entries:
        where = f"audit entry {entry.number}"
        if entry.number != expected:
            yield _problem(f"entries {expected} to {entry.number - 1} are missing", where)
        if entry.previous_hash != previous:
            yield _problem("does not follow from the entry before it", where)
        if row_hash(entry.model_dump(exclude={"entry_hash"})) != entry.entry_hash:
            yield _problem("was altered after it was written", where)
        previous, expected = entry.entry_hash, entry.number + 1


def _difference(subject: str, audited: str | None, current: str | None) -> Iterable[Problem]:
    if audited is None:
        yield _problem("was added past the audit chain", subject)
    elif current is None:
        yield _problem("was removed after it was audited", subject)
    elif audited != current:
        yield _problem("was altered after it was audited", subject)


def _problem(message: str, where: str) -> Problem:
    return Problem(message, where, "restore the database from a backup and find out who changed it")
