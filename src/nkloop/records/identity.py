"""What tells two databases apart, however each is addressed."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from nkloop.frozen import content_hash
from nkloop.records import schema
from nkloop.records.database import Database
from nkloop.records.processes import this_process

_SERVER = sa.text("SELECT oid FROM pg_database WHERE datname = current_database()")


def name_of(database: Database) -> str:
    """The random name made with the tables, wherever they are by now; a copy of the database has the same.

    Raises:
        RecordError: the database refused, for example because it was never migrated.
    """
    with database.reading() as connection:
        return str(connection.execute(sa.select(schema.database_identity.c.id)).scalar_one())


def identity_of(database: Database) -> str:
    """A fingerprint of a migrated database; tells nothing of its address.

    It goes by the random name made with the tables, and by the place, because a copy (a backup that was restored) has
    the same name: for PostgreSQL the database on its server, for SQLite the file on its machine.

    Raises:
        RecordError: the database refused, for example because it was never migrated.
    """
    name = name_of(database)
    with database.reading() as connection:
        if connection.dialect.name != "sqlite":
            return content_hash([name, int(connection.execute(_SERVER).scalar_one())])[:12]
    here, file = this_process(), database.url.database
    return content_hash([name, here.host, here.machine, str(Path(file).resolve()) if file else ""])[:12]
