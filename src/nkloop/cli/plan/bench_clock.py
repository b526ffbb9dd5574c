"""The clock that a plan goes by: that of its bench, by which its run is judged.

The clock of a virtual bench may be ahead of the computer's, because its time passes as soon as somebody waits for it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nkloop.workspace import Workspace

_TOLD = timedelta(hours=1)
"""A clock that is ahead by more than this is told of."""


def bench_now(found: Workspace, bench: str) -> datetime:
    """The time of a bench, UTC: of a simulated one that was used in this workspace as its book tells it, to within its
    last act, where that is ahead; else of this computer."""
    from nkloop.drivers.bench import load_bench_file
    from nkloop.runs.session import bench_path
    from nkloop.virtual.book import last_time
    from nkloop.virtual.shared import book_of

    now = datetime.now(UTC)
    book = book_of(found.state, bench)
    if not book.is_file() or not load_bench_file(bench_path(found, bench)).simulated:
        return now
    return max(now, last_time(book) or now)


def ahead_told(found: Workspace, bench: str) -> tuple[str, ...]:
    """What is told of a bench whose clock is ahead of this computer; nothing where it is not."""
    ahead = (there := bench_now(found, bench)) - datetime.now(UTC)
    if ahead <= _TOLD:
        return ()
    span = f"{ahead.days} d {ahead.seconds // 3600} h" if ahead.days else f"{ahead.seconds // 3600} h"
    return (
        f"the clock of virtual bench {bench} is at {there:%Y-%m-%d %H:%M} UTC, {span} ahead of this computer: the plan "
        "goes by it, as its run will",
    )
