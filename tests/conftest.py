"""What every test shares: answers of the vendor environment, a migrated database, the order of the files."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import sqlalchemy as sa

from nkloop.records import database
from nkloop.records.database import Database
from nkloop.vendor import VendorClient
from nkloop.vendor.cache import CACHE_VARIABLE

hypothesis.settings.register_profile("nkloop", deadline=None)  # a busy machine is slow, and that is no defect
hypothesis.settings.load_profile("nkloop")
LONGEST = (
    "tests/flows/test_on_the_virtual_bench.py",
    "tests/cli/test_interrupts.py",
    "tests/crashes/test_crashes.py",
    "tests/network/test_every_call.py",
    "tests/cli/test_commands.py",
    "tests/crashes/test_rivals.py",
    "tests/worklists/test_three_ways.py",
    "tests/virtual/robot/test_shipped_protocols.py",
    "tests/protocols/test_protocols.py",
    "tests/cli/test_bad_input.py",
    "tests/runs/test_star_run.py",
)
"""Files that take longest: begun last they would keep one worker busy while the other has nothing left to do.

`--no-loadscope-reorder` keeps this order: xdist would begin with the files of most tests, which are the quick ones.
"""


@pytest.fixture
def vessels_of_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in records of older versions, in which one vessel could be filled by several runs as a new one."""
    monkeypatch.setattr("nkloop.records.opening.require_unused", lambda *asked: None)


@pytest.fixture(autouse=True, scope="session")
def _migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """New SQLite files are copies of one that the migrations made: they take a tenth of a second each time else."""
    real, made = Database.migrate, tmp_path_factory.mktemp("migrated") / "records.db"

    def migrate(self: Database) -> None:
        name = self.url.database if self.url.get_backend_name() == "sqlite" else None
        if name is None or name == ":memory:" or Path(name).exists():
            real(self)
            return
        if not made.exists():
            first = Database(f"sqlite:///{made}")
            real(first)
            first.close()
        shutil.copy(made, name)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Database, "migrate", migrate)
        yield


@pytest.fixture(autouse=True, scope="session")
def _compiled_once() -> Iterator[None]:
    """Every SQLite database of a process shares the statements compiled for the first: a test makes one of its own."""
    real, shared = database._sqlite_engine, database._sqlite_engine(sa.make_url("sqlite://"))
    with shared.connect():
        """Its dialect is complete after that."""
    compiled: dict[Any, Any] = {}

    def engine(url: sa.URL) -> sa.Engine:
        made = real(url)
        made.dialect = shared.dialect
        made.update_execution_options(compiled_cache=compiled)
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "_sqlite_engine", engine)
        yield
    shared.dispose()


class _WarmVendor:
    """One vendor environment for a whole test process, in a thread with an event loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vendor", daemon=True)
        self._client: VendorClient | None = None

    def ask(self, job: str, asked: dict[str, Any], seconds: float) -> Future[Any]:
        if self._client is None:
            self._thread.start()
            self._client = VendorClient()
        return asyncio.run_coroutine_threadsafe(ASK(self._client, job, asked, seconds), self._loop)

    def close(self) -> None:
        if self._client is not None:
            asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(30)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()


ASK = VendorClient._ask


@pytest.fixture(autouse=True, scope="session")
def _warm_vendor() -> Iterator[None]:
    """Clients share a worker, which takes seconds to start; the tests of the client and its worker have their own."""
    warm, shipped = _WarmVendor(), VendorClient()._script

    async def ask(self: VendorClient, job: str, asked: dict[str, Any], seconds: float | None = None) -> Any:
        if self._script != shipped or os.environ["PYTEST_CURRENT_TEST"].startswith("tests/vendor/"):
            return await ASK(self, job, asked, seconds)
        task = asyncio.current_task()
        assert task is not None
        self._jobs.add(task)  # closing a client cancels what it asked for
        try:
            return await asyncio.wrap_future(warm.ask(job, asked, seconds or self._job_seconds))
        finally:
            self._jobs.discard(task)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(VendorClient, "_ask", ask)
        yield
    warm.close()


IN_MEMORY = Path("/dev/shm")
ROOM_BYTES = 4e9
"""More than the files of a whole run, about one."""
OURS = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Every analysis is made once per test run: processes started later find its answer in a folder of this run.

    They find the package compiled as well, instead of compiling it each time. All files of a run are in memory where
    there is room: databases wait for the disk at every commit, which is what matters in a laboratory and not here,
    where processes are killed and no power fails.
    """
    if not hasattr(config, "workerinput"):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        if "TMPDIR" not in os.environ and _has_room():
            config.stash[OURS] = Path(tempfile.mkdtemp(prefix="nkloop-tests-", dir=IN_MEMORY))
            os.environ["TMPDIR"] = tempfile.tempdir = str(config.stash[OURS])
        os.environ[CACHE_VARIABLE] = tempfile.mkdtemp(prefix="nkloop-test-answers-")


def _has_room() -> bool:
    return os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free > ROOM_BYTES


def pytest_collection_finish() -> None:
    """What is loaded by now stays: a look through it for garbage finds none and takes long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Files of tests that failed outlive the run, on the disk."""
    ours = session.config.stash.get(OURS, None)
    if ours is not None and exitstatus == pytest.ExitCode.TESTS_FAILED:
        os.environ.pop("TMPDIR")
        tempfile.tempdir = None
        kept = tempfile.mkdtemp(prefix="nkloop-tests-")
        shutil.copytree(ours, kept, symlinks=True, dirs_exist_ok=True, ignore_dangling_symlinks=True)
        sys.stderr.write(f"\nthe files of tests that failed are kept in {kept}\n")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(CACHE_VARIABLE), ignore_errors=True)
        if OURS in config.stash:
            os.environ.pop("TMPDIR", None)
            tempfile.tempdir = None
            shutil.rmtree(config.stash[OURS], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(LONGEST)))
