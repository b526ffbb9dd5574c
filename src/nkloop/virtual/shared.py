"""One virtual bench per workspace, shared by every command: started by the first, found by the others."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from nkloop.errors import BenchError
from nkloop.virtual.process import START_SECONDS, VirtualBench

_LOOK_SECONDS = 0.1


@contextmanager
def shared_bench(
    workspace: Path, state: Path, *, bench: str = "virtual", speed: float = 0.0, seed: int = 1
) -> Iterator[str]:
    """Give the address of the virtual bench of a workspace; start it, and stop it at the end, unless it is there.

    It keeps wells, tips, time and its robot's memory in `virtual-<bench>` of the state folder, so that the next
    command finds everything as this one left it. Between two commands time passes on it as it does for people, so that
    what a run opens today is opened today for planning too; its own clock may be ahead, never behind.

    Args:
        workspace: folder of the workspace.
        state: its state folder.
        bench: name of the bench file.
        speed: bench seconds per wall second, 0 as fast as possible; only for the command that starts it.
        seed: seed of everything random; only for the first start.

    Raises:
        BenchError: it does not start.
    """
    folder = state / f"virtual-{bench}"
    folder.mkdir(parents=True, exist_ok=True)
    address = folder / "address"
    held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            # the lock ends with this process, however it ends; so does the bench
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _told(address)
            return
        address.unlink(missing_ok=True)
        log = state / "virtual-bench.log"
        now = datetime.now(UTC)
        with VirtualBench.start(
            workspace, log=log, bench=bench, speed=speed, seed=seed, state=folder, not_before=now
        ) as running:
            address.write_text(running.url, encoding="utf-8")
            try:
                yield running.url
            finally:
                address.unlink(missing_ok=True)
    finally:
        os.close(held)


def _told(address: Path) -> str:
    """The address another command has written, waited for while it starts the bench."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if address.is_file() and (url := address.read_text(encoding="utf-8").strip()):
            return url
        time.sleep(_LOOK_SECONDS)
    raise BenchError(
        "another command holds the virtual bench of this workspace and does not say where it is",
        where=str(address.parent),
        remedy="end the other command, then try again",
    )
