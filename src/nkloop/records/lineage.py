"""Runs and those that continue them: one tree each, in the order they were opened."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa

from nkloop.records import schema
from nkloop.records.journal_rows import OPENED, devices_of_row, last_events, run_row
from nkloop.records.models import RUN_OVER
from nkloop.worklists.arrivals import runs_left_by
from nkloop.worklists.models import Worklist

_RUNS, _DECISIONS, _ENTRIES = schema.runs, schema.run_decisions, schema.audit_entries


def origin_of(connection: sa.Connection, worklist_hash: str) -> str | None:
    """The run that a worklist continues or repairs; None for one that no decision has made.

    One that was run with less in its sources than the decision counted on is known by that run.
    """
    decided = sa.select(_DECISIONS.c.run_id).where(_DECISIONS.c.follow_up == worklist_hash)
    found: str | None = connection.execute(decided.order_by(_DECISIONS.c.id.desc()).limit(1)).scalar()
    if found is None:
        begun = sa.select(_RUNS.c.parent).where(_RUNS.c.worklist_hash == worklist_hash, _RUNS.c.parent.is_not(None))
        found = connection.execute(begun.order_by(*(column.desc() for column in OPENED)).limit(1)).scalar()
    return found


def stems_from(connection: sa.Connection, worklist: Worklist) -> str | None:
    """The run that a worklist continues or repairs, told also by what it says stands on the deck as a run left it."""
    if (known := origin_of(connection, worklist.content_hash)) is not None:
        return known
    named = next(iter(runs_left_by(worklist)), None)
    is_here = named is not None and connection.execute(sa.select(_RUNS.c.id).where(_RUNS.c.id == named)).first()
    return named if is_here else None


def tree_of(connection: sa.Connection, run_id: str) -> list[Any]:
    """Rows of a run and of all that continue it, in the order they were opened."""
    return sorted(_tree(connection, run_id), key=lambda row: number_of(row["id"]))


def number_of(run_id: str) -> int:
    """How many runs were opened up to this one."""
    return int(run_id.rpartition("-")[2])


def line_of(connection: sa.Connection, run_id: str) -> list[Any]:
    """A run below all those it continues, the first one first."""
    line = [run_row(connection, run_id)]
    while (above := line[0]["parent"]) is not None:
        line.insert(0, run_row(connection, above))
    return line


def _tree(connection: sa.Connection, run_id: str) -> Iterator[Any]:
    yield run_row(connection, run_id)
    for below in connection.execute(sa.select(_RUNS.c.id).where(_RUNS.c.parent == run_id)).scalars().all():
        yield from _tree(connection, below)


def taken_of(connection: sa.Connection, run_id: str) -> list[Any]:
    """Those of a run and all that continue it that are open or have moved something."""
    tree = tree_of(connection, run_id)
    return [row for row in tree if row["state"] not in RUN_OVER or has_moved(connection, row["id"])]


def has_moved(connection: sa.Connection, run_id: str) -> bool:
    """Whether a step of a run happened, or may have."""
    return any(step.has_moved for step in last_events(connection, run_id))


def is_near(row: Any, bench: str, devices: Collection[str]) -> bool:
    """Whether a run was on this bench, or on one that shares a device with it."""
    return row["bench"] == bench or bool(devices_of_row(row) & set(devices))


def is_of_another(batch: str | None, other: str | None) -> bool:
    """Whether two batches are told apart: both are named, and differ."""
    return batch is not None and other is not None and batch != other


def entry_of(connection: sa.Connection, subject: str) -> int:
    """Number of the first audit entry of a row: the order in which rows of different tables were written."""
    query = sa.select(sa.func.min(_ENTRIES.c.number)).where(_ENTRIES.c.subject == subject)
    return int(connection.execute(query).scalar() or 0)


def decision_id(connection: sa.Connection, run_id: str) -> int:
    """Key of the last decision about a run; 0 when there is none."""
    query = sa.select(sa.func.max(_DECISIONS.c.id)).where(_DECISIONS.c.run_id == run_id)
    return int(connection.execute(query).scalar() or 0)


def decisions_of(connection: sa.Connection, run_id: str) -> int:
    """How many decisions there are about a run, which is the number of the last one."""
    query = sa.select(sa.func.count()).where(_DECISIONS.c.run_id == run_id)
    return int(connection.execute(query).scalar() or 0)


def anew(connection: sa.Connection, run_id: str) -> str:
    """The option that is typed to replace what was decided about a run; empty where nobody has."""
    last = decisions_of(connection, run_id)
    return f" --instead-of {last}" if last else ""
