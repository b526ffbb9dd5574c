"""The inbox a command works on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nkloop.cli.common import find_workspace

if TYPE_CHECKING:
    from nkloop.runs.inbox import Inbox


@asynccontextmanager
async def opened(workspace: Path, bench: str, folder: Path | None) -> AsyncIterator[Inbox]:
    """The inbox of a bench, or any folder by the rules of that bench.

    Raises:
        BenchError: there is no such bench, or it has no inbox.
        RecordError: the database cannot be reached.
    """
    from nkloop.drivers.bench import load_bench_file
    from nkloop.labware import Catalogue
    from nkloop.records import Records
    from nkloop.runs.inbox import inbox_of
    from nkloop.runs.session import bench_path
    from nkloop.vendor import VendorClient

    found = find_workspace(workspace)
    file = load_bench_file(bench_path(found, bench))
    records = Records.open(found.state)
    try:
        async with VendorClient(cache=found.state / "analyses") as vendor:
            yield inbox_of(found, file, records, vendor, Catalogue.load(found.labware), folder=folder)
    finally:
        records.close()
