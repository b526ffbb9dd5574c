"""The engine: SQLite by default (WAL, foreign keys, synchronous=FULL), PostgreSQL by URL; migrations come along."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from nkloop.errors import RecordError, without_password
from nkloop.records.postgresql import postgresql_engine, refusal_of, take_turn
from nkloop.records.schema import HEAD

URL_VARIABLE = "NKLOOP_DATABASE_URL"
_MIGRATIONS = Path(__file__).parent / "migrations"


def database_url(state: Path) -> str:
    """URL from `NKLOOP_DATABASE_URL`, else the SQLite file `records.db` in the state folder of a workspace.

    Raises:
        RecordError: the variable names a SQLite file that is another one in every folder, or in every process.
    """
    given = os.environ.get(URL_VARIABLE)
    if not given:
        return f"sqlite:///{state.absolute() / 'records.db'}"
    with suppress(ArgumentError, ValueError):  # what is no URL is told when it is opened
        url = sa.make_url(given)
        file = (url.database or "records.db").removeprefix("file:").replace(":memory:", "records.db")
        if url.get_backend_name() == "sqlite" and not Path(file).is_absolute():
            raise RecordError(
                f"'{given}' is another database in every folder a command is started in: neither claims of devices nor "
                "open runs would be seen",
                where=URL_VARIABLE,
                remedy=f"name it from the root, with four slashes: sqlite:///{Path(file).absolute()}; without the "
                "variable it is that of the workspace",
            )
    return given


class Database:
    """One database. Calls are synchronous and short (some milliseconds), so async code may make them directly.

    Where another program falls silent in the middle of a write, or the server is gone, a call takes some seconds.
    """

    def __init__(self, url: str) -> None:
        """Open nothing yet; connections are made when needed.

        Raises:
            RecordError: the URL is malformed or its driver is not installed.
        """
        try:
            self.url = sa.make_url(url)
        except (ArgumentError, ValueError):  # no cause: it repeats parts of the URL
            raise _unusable(without_password(url), "it is not of the form of a URL") from None
        try:
            self._is_sqlite = self.url.get_backend_name() == "sqlite"
            self.engine = _sqlite_engine(self.url) if self._is_sqlite else postgresql_engine(self.url)
        except (ArgumentError, ModuleNotFoundError, SQLAlchemyError) as error:
            raise _unusable(self._shown, str(error)) from error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction that may write; writers stand in line, commit is durable when this returns.

        Raises:
            RecordError: the database refused.
        """
        try:
            with self.engine.begin() as connection:
                if not self._is_sqlite:
                    take_turn(connection)
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise self._refusal(error) from error

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One consistent read-only view.

        Raises:
            RecordError: the database refused, for example because it was never migrated.
        """
        try:
            with self.engine.connect().execution_options(nkloop_read_only=True) as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise self._refusal(error) from error

    def migrate(self) -> None:
        """Bring the tables to the newest revision; does nothing (and imports nothing) when they are there.

        Raises:
            RecordError: the database refused.
        """
        if self._revision() == HEAD:
            return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        with self.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _revision(self) -> str | None:
        with self.reading() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            revision: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            return revision

    @property
    def _shown(self) -> str:
        return without_password(self.url.render_as_string(hide_password=True))

    def _refusal(self, error: SQLAlchemyError | sqlite3.Error) -> RecordError:
        if not self._is_sqlite and (found := refusal_of(error, self.engine)) is not None:
            return RecordError(found.told, where=self._shown, remedy=found.remedy)
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return RecordError(
            f"the database refused: {reason}",
            where=self._shown,
            remedy="check that it is reachable, not locked by another program, and migrated (`Records.migrate`)",
        )


def _unusable(shown: str, reason: str) -> RecordError:
    return RecordError(
        f"database URL '{shown}' cannot be used: {reason}",
        where=URL_VARIABLE,
        remedy="use sqlite:///FILE, or postgresql+psycopg://USER@HOST/NAME with `pip install nkloop[postgres]`; "
        "in a password write @ as %40, : as %3A and / as %2F",
    )


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": 30, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling begins too late to protect the read before a write.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        read_only = connection.get_execution_options().get("nkloop_read_only")
        # Straight to the driver: SQLAlchemy's way takes longer than SQLite needs for it.
        driver: Any = connection.connection.driver_connection
        driver.execute("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
