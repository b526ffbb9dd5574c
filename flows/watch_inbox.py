"""Take in the files of readers and counters for a while."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from nkloop.coordination.artifacts import show_table
from nkloop.coordination.plain_errors import fails_plainly
from nkloop.coordination.run_names import run_name
from nkloop.coordination.served import bench_field
from nkloop.runs.inbox import Inbox, Outcome, inbox_of
from nkloop.runs.session import open_session

HERE = Path(__file__).resolve().parent


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
    folder: str = Field(
        "",
        title="Folder",
        description="Where files are dropped, on the computer that runs the flows; empty for the folder of the bench",
        max_length=500,
    )
    bench: str = bench_field()

    @property
    def purpose(self) -> str:
        """What it is about, for the name of its run."""
        return f"inbox of {self.bench}"


@flow(name="watch-inbox", flow_run_name=run_name)
@fails_plainly
async def watch_inbox(
    request: WatchInbox = WatchInbox(),  # noqa: B008 - frozen default of the form
) -> int:
    """Take in the files that reader and counter software drops into the inbox of a bench; returns how many."""
    async with open_session(HERE, request.bench) as session:
        inbox = inbox_of(
            session.workspace,
            session.bench_file,
            session.records,
            session.vendor,
            session.catalogue,
            folder=_folder(request.folder),
        )
        began, copies = inbox.now(), list[Outcome]()
        async for outcome in inbox.watch_for(60 * request.minutes):
            copies += [outcome] if outcome.state == "known" else []
            await _show(inbox, [*inbox.seen_since(began), *copies])
        seen = inbox.seen_since(began)
        await _show(inbox, [*seen, *copies])
        recorded = sum(one.state == "recorded" for one in seen)
        session.tell(f"{recorded} of {len(seen)} files recorded" if seen else f"no new file came into {inbox.folder}")
        return recorded


def _folder(named: str) -> Path | None:
    return Path(named).expanduser() if named.strip() else None


async def _show(inbox: Inbox, outcomes: Sequence[Outcome]) -> None:
    """Show what came and what is still waited for."""
    await show_table("inbox", [outcome.row for outcome in outcomes], f"Files taken in from {inbox.folder}")
    waits = [
        {
            "plate": wait.barcode,
            "what": wait.kind,
            "run": wait.run_id or "",
            "since": f"{wait.asked_at:%Y-%m-%d %H:%M} UTC",
        }
        for wait in inbox.records.inbox.waiting(inbox.bench)
    ]
    await show_table("inbox-waiting", waits, f"What bench {inbox.bench} still waits for")
