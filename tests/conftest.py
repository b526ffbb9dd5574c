"""The order in which files are handed to the workers."""

from __future__ import annotations

import pytest

LONGEST = ("tests/flows/test_on_the_virtual_bench.py", "tests/cli/test_interrupts.py", "tests/cli/test_commands.py")
"""Files that take minutes: begun last they would keep one worker busy while the other has nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(LONGEST)))
