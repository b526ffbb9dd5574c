"""One `nkloop serve` for each workspace: two would play the same robot from two Prefect servers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nkloop.errors import WorkspaceError

PID_FILE = "serve.pid"


@contextmanager
def only_one(state: Path, *, log: Path) -> Iterator[None]:
    """Hold `serve.pid` in the state folder of a workspace, with our process id in it; it is removed at the end.

    The lock is the operating system's, so that the file of a process that was killed does not stand in the way.

    Raises:
        WorkspaceError: another process serves this workspace, or the file cannot be written.
    """
    path = state / PID_FILE
    try:
        state.mkdir(parents=True, exist_ok=True)
        held = _take(path)
    except BlockingIOError as error:
        owner = path.read_text(encoding="utf-8", errors="replace").strip() or "unknown"
        raise WorkspaceError(
            f"this workspace is already being served by process {owner}, which logs to {log}",
            where=str(path),
            remedy=f"use its pages, or stop it first with: kill {owner}",
        ) from error
    except OSError as error:
        raise WorkspaceError(
            f"cannot be written: {error.strerror or error}", where=str(path), remedy="use a workspace you may write"
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(held)


def _take(path: Path) -> int:
    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The owner before us may have removed the file between our opening and our locking it.
            if path.exists() and os.fstat(held).st_ino == path.stat().st_ino:
                os.truncate(held, 0)
                os.write(held, f"{os.getpid()}\n".encode())
                return held
        except BaseException:
            os.close(held)
            raise
        os.close(held)
