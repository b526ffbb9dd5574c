"""What every command of the crash lab does first: become the parent of all that is left, load, plan, analyse."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import importlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx
from httpx._transports import default as _default

from crash_lab.analyst import SharedVendor, start_analyst
from crash_lab.flow import bench_at
from crash_lab.procedures import NAMES, Lab, prepare_lab
from crash_lab.reality import build_reality
from crash_lab.robot import KnownAnalyses, build_robot
from nkloop.drivers.bench import open_bench
from nkloop.drivers.pylabrobot.tracking import check_tracking
from nkloop.worklists.models import PLATE_READING

PR_SET_CHILD_SUBREAPER = 36
"""<linux/prctl.h>: whoever is left without parent becomes our child, so that nobody is overlooked."""
PRELOADED = (
    "anyio._backends._asyncio",
    "psycopg",
    "python_multipart.multipart",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
)


def adopt_orphans() -> None:
    """Become the parent of whoever is left without one below this process."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def warm_lab(analyses: Path, first_steps: int | None = None, names: Sequence[str] = NAMES, whole_up_to: int = 0) -> Lab:
    """The lab, with everything loaded once that every forked process would load by itself."""
    return warmed(asyncio.run(prepare_lab(analyses, first_steps, names, whole_up_to)))


def warmed(lab: Lab) -> Lab:
    """A lab that is planned, with everything loaded."""
    adopt_orphans()
    os.environ.pop("NKLOOP_DATABASE_URL", None)
    address, pid = start_analyst()
    lab = replace(lab, analyst=address, analyst_pid=pid)
    for module in PRELOADED:
        importlib.import_module(module)
    # Certificates cost a tenth of a second per client, and nothing here is encrypted.
    _default.create_ssl_context = functools.cache(httpx.create_ssl_context)  # type: ignore[attr-defined]
    first = next(iter(lab.procedures.values()))
    build_reality(lab.world(first, seed=1))
    if first.worklist.robot in {"flex", "ot2"}:
        build_robot(first.bench.deck, KnownAnalyses({}, SharedVendor(address, lab.analyses)), lab.analyses)
    if first.worklist.procedure != PLATE_READING:
        check_tracking(first.worklist, lab.catalogue)
    asyncio.run(_open_once(lab))
    return lab


async def _open_once(lab: Lab) -> None:
    """Build every device and client once: drivers load what they need when they are built."""
    here = "http://127.0.0.1:1"
    for file in {one.bench.name: one.bench for one in lab.procedures.values()}.values():
        bench = open_bench(bench_at(file, here, here), lab.workspace)
        async with httpx.AsyncClient():
            await bench.close()
