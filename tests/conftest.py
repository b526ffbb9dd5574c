"""The order in which files are handed to the workers, and the answers of the vendor environment they share."""

from __future__ import annotations

import os
import shutil
import tempfile

import hypothesis
import pytest

from nkloop.vendor.cache import CACHE_VARIABLE

hypothesis.settings.register_profile("nkloop", deadline=None)  # a busy machine is slow, and that is no defect
hypothesis.settings.load_profile("nkloop")
LONGEST = ("tests/flows/test_on_the_virtual_bench.py", "tests/cli/test_interrupts.py", "tests/cli/test_commands.py")
"""Files that take minutes: begun last they would keep one worker busy while the other has nothing left to do."""


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
