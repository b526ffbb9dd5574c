"""The tables of a server that lives as long as one command: all of Prefect's, made at once."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nkloop.coordination.settings import environment

MAKE = """
import asyncio
from nkloop.coordination.temporary_server import make_tables
from prefect.server.database import provide_database_interface

asyncio.run(make_tables())
print(*sorted(provide_database_interface().Base.metadata.tables))
"""


@pytest.mark.slow
def test_every_table_of_prefect_is_made_without_its_migrations(tmp_path: Path) -> None:
    file = tmp_path / "prefect.db"
    settings = environment(tmp_path, "http://127.0.0.1:9/api", temporary=True)
    settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{file}"
    made = subprocess.run(
        [sys.executable, "-c", MAKE], env={**os.environ, **settings}, check=True, capture_output=True, text=True
    )
    with sqlite3.connect(file) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert {"flow_run", "artifact", "concurrency_limit_v2"} <= there
    assert set(made.stdout.split()) <= there
    assert "alembic_version" not in there
