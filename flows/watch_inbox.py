"""Take in the files of readers and counters for a while."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from prefect import flow, get_run_logger
from pydantic import BaseModel, ConfigDict, Field

from nkloop.coordination.artifacts import show_table
from nkloop.coordination.plain_errors import fails_plainly
from nkloop.coordination.served import served_bench
from nkloop.errors import WorkspaceError
from nkloop.runs.inbox import Outcome, inbox_of
from nkloop.runs.session import open_session

HERE = Path(__file__).resolve().parent
LOOK_SECONDS = 1.0
"""Pause between two looks at the folder."""


class WatchInbox(BaseModel):
    """What to watch."""

    model_config = ConfigDict(extra="forbid")

    minutes: float = Field(
        60.0,
        title="Time [min]",
        description="0 to 1440 min; 0 takes in what lies there",
        ge=0,
        le=1440,
    )
    bench: str = Field(served_bench(), title="Bench", description="File name in devices/ without .yaml", min_length=1)


@flow(name="watch-inbox", flow_run_name="inbox of {request.bench}")
@fails_plainly
async def watch_inbox(
    request: WatchInbox = WatchInbox(),  # noqa: B008 - frozen default of the form
) -> int:
    """Take in the files that reader and counter software drops into the inbox of a bench; returns how many."""
    async with open_session(HERE, request.bench) as session:
        inbox = inbox_of(session.workspace, session.bench_file, session.records, session.vendor, session.catalogue)
        outcomes = list(await inbox.once())
        end = time.monotonic() + 60 * request.minutes
        while time.monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                outcomes += await inbox.look()
            except WorkspaceError as error:  # a network share may be gone for a while
                get_run_logger().warning("%s", error)
                await asyncio.sleep(10 * LOOK_SECONDS)
        await show_table("inbox", [_row(one) for one in outcomes], f"Files taken in from {inbox.folder}")
        return sum(one.state == "recorded" for one in outcomes)


def _row(outcome: Outcome) -> dict[str, str]:
    return {
        "file": outcome.name,
        "state": outcome.state,
        "plates": ", ".join(outcome.barcodes),
        "reason": outcome.reason,
    }
