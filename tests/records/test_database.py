"""Migrations fit the tables on both databases; settings are the safe ones; bad URLs are told."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from nkloop.assays.measurements import Reading
from nkloop.errors import RecordError
from nkloop.records import Records, claims, postgresql, schema
from nkloop.records.database import Database, database_url
from nkloop.records.models import Context
from nkloop.worklists.models import Verdict, Worklist


def differences(database: Database) -> list[object]:
    with database.writing() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), schema.METADATA))


def test_the_migrations_make_the_tables(url: str) -> None:
    database = Database(url)
    database.migrate()
    assert differences(database) == []
    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == schema.HEAD
    database.close()


def test_migrating_twice_does_nothing(records: Records, reading: Reading) -> None:
    records.results.add_reading(reading)
    records.migrate()
    assert records.results.readings() == (reading,)


def test_sqlite_is_durable_and_checks_keys(records: Records) -> None:
    with records.journal._database.reading() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["wal", 2, 1]


def test_an_unmigrated_database_is_told(url: str) -> None:
    records = Records(url)
    with pytest.raises(RecordError, match="no such table: runs") as caught:
        records.journal.runs()
    assert "Records.migrate" in str(caught.value)
    records.close()


def test_a_database_that_another_program_locks_is_told(records: Records, url: str) -> None:
    database = Database(url)
    sa.event.listen(database.engine, "connect", lambda driver, _: driver.execute("PRAGMA busy_timeout=10"))
    with (
        records.journal._database.writing(),
        pytest.raises(RecordError, match="the database refused: database is locked"),
        database.writing(),
    ):
        pass
    database.close()


@pytest.mark.parametrize("url", ["nonsense", "oracle+nodriver://here/x"])
def test_a_bad_url_is_told(url: str) -> None:
    with pytest.raises(RecordError, match="cannot be used"):
        Database(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+nodriver://me:hush@lab/x", "postgresql+nodriver://me:***@lab/x"),
        ("postgresql+nodriver://lab/x?password=hush", "postgresql+nodriver://lab/x?password=***"),
        ("postgresql://me:hu:s@hush@lab:none/x", "postgresql://me:***@lab:none/x"),
        ("postgresql://me:hush", "postgresql://me:***"),
        ("me:hush@lab/x", "me:***@lab/x"),
    ],
)
def test_a_bad_url_is_told_without_its_password(url: str, shown: str) -> None:
    with pytest.raises(RecordError) as caught:
        Database(url)
    assert f"'{shown}' cannot be used" in str(caught.value)
    assert caught.value.__cause__ is None or "hush" not in str(caught.value.__cause__)


def test_the_environment_chooses_the_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NKLOOP_DATABASE_URL", raising=False)
    opened = Records.open(tmp_path / "state")
    assert opened.url == f"sqlite:///{tmp_path}/state/records.db"
    assert opened.journal.runs() == ()
    opened.close()
    monkeypatch.setenv("NKLOOP_DATABASE_URL", "postgresql+psycopg://me:secret@somewhere/lab")
    assert database_url(tmp_path) == "postgresql+psycopg://me:secret@somewhere/lab"
    assert Records(database_url(tmp_path)).url == "postgresql+psycopg://me:***@somewhere/lab"


@pytest.mark.parametrize("given", ["sqlite:///records.db", "sqlite:///../lab/records.db", "sqlite://"])
def test_a_file_that_is_another_one_in_every_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NKLOOP_DATABASE_URL", given)
    with pytest.raises(RecordError, match=rf"'{given}' is another database in every folder.*sqlite:///{tmp_path}"):
        Records.open(tmp_path / "state")
    monkeypatch.setenv("NKLOOP_DATABASE_URL", f"sqlite:///{tmp_path}/lab.db")
    Records.open(tmp_path / "state").close()


def test_a_workspace_named_from_here_is_the_same_database_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NKLOOP_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    assert database_url(Path("state")) == database_url(tmp_path / "state")


def test_two_spellings_are_one_database_and_a_copy_is_another(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    one, same = Records(f"sqlite:///{tmp_path}/a.db"), Records(f"sqlite:///{tmp_path}/deep/../a.db")
    one.migrate()
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    copy, fresh = Records(f"sqlite:///{tmp_path}/b.db"), Records(f"sqlite:///{tmp_path}/c.db")
    fresh.migrate()
    assert same.identity == one.identity
    assert len({one.identity, copy.identity, fresh.identity}) == 3
    assert one.audit.verify_chain() == ()
    for opened in (one, same, copy, fresh):
        opened.close()


def test_two_processes_append_to_one_chain(url: str, records: Records, reading: Reading) -> None:
    code = (
        "import sys\nfrom nkloop.drivers.interfaces import Reading\nfrom nkloop.records import Records\n"
        "records = Records(sys.argv[1])\nreading = Reading.model_validate_json(sys.argv[2])\n"
        "for _ in range(10): records.results.add_reading(reading)\n"
    )
    command = [sys.executable, "-c", code, url, reading.model_dump_json()]
    children = [subprocess.Popen(command) for _ in range(2)]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    assert len(records.results.readings()) == 20
    assert records.audit.verify_chain() == ()


def test_models_do_not_pull_the_database_in() -> None:
    code = "import sys, nkloop.records.models; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


@pytest.mark.postgres
def test_postgresql_keeps_the_same_records(
    postgres: Records, worklist: Worklist, verdict: Verdict, reading: Reading, at: datetime
) -> None:
    postgres.migrate()
    postgres.migrate()
    run_id = postgres.journal.create_run(worklist, verdict, bench="b", device="flex", at=at, context=Context())
    postgres.journal.append_event(run_id, [1, 2, 3], "intended", at=at, device="flex")
    postgres.journal.set_run_state(run_id, "running", started_at=at)
    postgres.results.add_reading(reading, run_id=run_id)
    run = postgres.journal.run(run_id)
    assert (run.started_at, len(run.steps)) == (at, 3)
    assert postgres.results.readings() == (reading,)
    assert postgres.audit.verify_chain() == ()
    url = postgres.journal._database.url
    respelled = Records(url.update_query_dict({"application_name": "x"}).render_as_string(hide_password=False))
    assert respelled.url != postgres.url
    assert respelled.identity == postgres.identity
    respelled.close()
    assert differences(postgres.journal._database) == []
    with (
        pytest.raises(RecordError, match="step_events is append-only"),
        postgres.journal._database.writing() as connection,
    ):
        connection.execute(sa.text("DELETE FROM step_events"))


@pytest.mark.postgres
def test_a_client_that_falls_silent_while_it_writes_does_not_hold_up_everybody_for_ever(
    postgres: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that is closed in the middle of a write: its connection stays, and with it the turn to write."""
    monkeypatch.setattr(postgresql, "SILENT_SECONDS", 1)
    postgres.migrate()
    claim = postgres.claims.claim(("flex",), "a run under way")
    silent = Database(postgres.journal._database.url.render_as_string(hide_password=False))

    def half_written() -> None:
        with silent.writing() as connection:
            connection.execute(sa.text("CREATE TABLE half (done int)"))
            postgres.claims.renew(claim)
            connection.execute(sa.text("INSERT INTO half VALUES (1)"))

    began = time.monotonic()
    with pytest.raises(RecordError, match=r"fell silent for 1 s in the middle of a write, of which nothing was kept"):
        half_written()
    assert time.monotonic() - began < 5
    with postgres.journal._database.reading() as connection:
        assert not sa.inspect(connection).has_table("half")
    silent.close()


@pytest.mark.postgres
def test_who_holds_up_all_writers_is_told_after_some_seconds(
    postgres: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that the server does not end, as one of an older version."""
    monkeypatch.setattr(postgresql, "TURN_SECONDS", 1)
    postgres.migrate()
    url = postgres.journal._database.url.update_query_dict({"application_name": "old nkloop"})
    older = sa.create_engine(url)
    told = r"'old nkloop' at 127\.0\.0\.1 has been writing for more than 1 s.*have its connection ended"
    with older.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(postgresql._WRITER_LOCK)))
        with pytest.raises(RecordError, match=told):
            postgres.claims.claim(("flex",), "feed")
    older.dispose()
    assert postgres.claims.claim(("flex",), "feed").token == 1


@pytest.mark.postgres
def test_a_connection_that_ends_in_the_middle_of_a_claim_claims_nothing(
    postgres: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.migrate()
    note = claims._note

    def cut(connection: sa.Connection, *given: Any) -> None:
        note(connection, *given)
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        with postgres.journal._database.engine.connect() as other:
            other.execute(sa.text(f"SELECT pg_terminate_backend({pid})"))

    with monkeypatch.context() as patched:
        patched.setattr(claims, "_note", cut)
        with pytest.raises(RecordError, match="the database refused"):
            postgres.claims.claim(("flex",), "feed")
    assert postgres.claims.claim(("flex",), "feed again").token == 1


@pytest.mark.postgres
def test_a_server_that_is_gone_is_noticed_and_the_url_may_say_when(postgres: Records) -> None:
    url = postgres.journal._database.url.update_query_dict({"connect_timeout": "7"})
    database = Database(url.render_as_string(hide_password=False))
    with database.reading() as connection:
        driver: Any = connection.connection.driver_connection
        told = driver.info.get_parameters()
    database.close()
    assert (told["connect_timeout"], told["tcp_user_timeout"], told["keepalives_idle"]) == ("7", "10000", "10")
    assert told["application_name"] == f"nkloop on {socket.gethostname()}, process {os.getpid()}"[:63]


def test_a_server_that_does_not_answer_is_told_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its host takes the connection and says nothing, as one that is being started does."""
    monkeypatch.setitem(postgresql._CONNECTED, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        database = Database(f"postgresql+psycopg://me:hush@127.0.0.1:{server.getsockname()[1]}/lab")
        with pytest.raises(RecordError, match="the database refused: connection timeout expired"), database.reading():
            pass
        database.close()
