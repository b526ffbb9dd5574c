"""PostgreSQL over a network that may end without a word: who falls silent while it writes holds nobody up for long."""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

SILENT_SECONDS = 10
"""Silence in the middle of a write after which the server gives it up; between two statements are milliseconds."""
TURN_SECONDS = 15
"""Longest wait for a turn to write: longer than a silent writer may hold it."""
_WRITER_LOCK = 0x6E6B6C6F
"""Key of the advisory lock that puts writers in line, so that the audit chain never forks."""
_NO_TURN, _FELL_SILENT = "55P03", "25P03"
"""What the server calls the two (SQLSTATE)."""
_CONNECTED = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3}
"""When a server that is not there is given up: seconds, and how many signs of life may be missing."""
_UNSENT_MS = 10_000
"""Time in which what was sent has to arrive."""
_LIBPQ = frozenset({"psycopg", "psycopg2"})
_SETTING = sa.text(
    "SELECT set_config('lock_timeout', :turn, true), set_config('idle_in_transaction_session_timeout', :silent, true)"
)
_WRITERS = sa.text(
    "SELECT a.application_name, host(a.client_addr) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = :key "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Refusal(NamedTuple):
    """What happened and what a person does about it."""

    told: str
    remedy: str


def postgresql_engine(url: sa.URL) -> sa.Engine:
    """Connections that notice when the server is gone; what the URL itself says of them stays.

    Raises:
        ModuleNotFoundError: the driver is not installed.
    """
    given: dict[str, Any] = {}
    if url.get_driver_name() in _LIBPQ:
        name = f"nkloop on {socket.gethostname()}, process {os.getpid()}"
        given = {**_CONNECTED, "tcp_user_timeout": _UNSENT_MS, "application_name": name[:63]}
        given = {key: value for key, value in given.items() if key not in url.query}
    return sa.create_engine(url, pool_pre_ping=True, connect_args=given)


def take_turn(connection: sa.Connection) -> None:
    """Wait for the turn to write, in a transaction that the server ends when this program falls silent in it.

    Raises:
        SQLAlchemyError: somebody else has written for longer than `TURN_SECONDS`.
    """
    connection.execute(_SETTING, {"turn": f"{TURN_SECONDS}s", "silent": f"{SILENT_SECONDS}s"})
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER_LOCK)))


def refusal_of(error: BaseException, engine: sa.Engine) -> Refusal | None:
    """What an error of a write means, where it is one of the two that come of falling silent; None for others."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    if state == _FELL_SILENT:
        told = f"this program fell silent for {SILENT_SECONDS} s in the middle of a write, of which nothing was kept"
        return Refusal(told, "do it again; a computer that sleeps or is stopped must not be in the middle of a run")
    if state != _NO_TURN:
        return None
    told = f"{_writers(engine)} has been writing for more than {TURN_SECONDS} s, and nobody else can write meanwhile"
    return Refusal(
        told, "end it there, or have its connection ended by whoever looks after the database; do this again"
    )


def _writers(engine: sa.Engine) -> str:
    """Who has the turn, as far as the server tells."""
    try:
        with engine.connect() as connection:
            found = connection.execute(_WRITERS, {"key": _WRITER_LOCK}).all()
    except SQLAlchemyError:
        found = []
    named = (f"'{name or 'a program without a name'}'{f' at {address}' if address else ''}" for name, address in found)
    return " and ".join(named) or "another program"
