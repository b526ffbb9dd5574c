"""What every test shares: answers of the vendor environment, a migrated database, the order of the files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from nkloop.records.database import Database
from nkloop.vendor.cache import CACHE_VARIABLE

hypothesis.settings.register_profile("nkloop", deadline=None)  # a busy machine is slow, and that is no defect
hypothesis.settings.load_profile("nkloop")
LONGEST = ("tests/flows/test_on_the_virtual_bench.py", "tests/cli/test_interrupts.py", "tests/cli/test_commands.py")
"""Files that take minutes: begun last they would keep one worker busy while the other has nothing left to do."""


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


def pytest_configure(config: pytest.Config) -> None:
    """Every analysis is made once per test run: processes started later find its answer in a folder of this run."""
    if not hasattr(config, "workerinput"):
        os.environ[CACHE_VARIABLE] = tempfile.mkdtemp(prefix="nkloop-test-answers-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(CACHE_VARIABLE), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(LONGEST)))
