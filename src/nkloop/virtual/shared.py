"""One virtual bench per workspace, shared by every command: started by the first, ended with the last that uses it.

Who uses it, who starts it and whether it is there are locks on files, which end with the process that holds them,
however it ends: a command that was killed counts as gone, and a bench that nobody uses any more ends by itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from nkloop.errors import BenchError
from nkloop.virtual.process import START_SECONDS, STOP_SECONDS, VirtualBench

BOOK = "world.jsonl"
"""Name of the book of a world in the folder of its bench."""
_LOOK_SECONDS = 0.1
_STARTING, _USERS, _SERVING = "lock", "users", "serving"
_started: dict[Path, VirtualBench] = {}
"""Benches this process has started, by folder; another command may go on with them."""


def book_of(state: Path, bench: str) -> Path:
    """Where the virtual bench of a workspace keeps the book of its world; there is none before its first start."""
    return _folder_of(state, bench) / BOOK


def is_there(state: Path, bench: str) -> bool:
    """Whether the virtual bench of a workspace runs already, for another command or by itself."""
    folder = _folder_of(state, bench)
    return (folder / _SERVING).exists() and _is_locked(folder / _SERVING)


def _folder_of(state: Path, bench: str) -> Path:
    return state / f"virtual-{bench}"


@contextmanager
def shared_bench(
    workspace: Path, state: Path, *, bench: str = "virtual", speed: float = 0.0, seed: int = 1
) -> Iterator[str]:
    """Give the address of the virtual bench of a workspace; start it unless it is there, stop it after its last user.

    It keeps wells, tips, time and its robot's memory in `virtual-<bench>` of the state folder, so that the next
    command finds everything as this one left it. Between two runs time passes on it as it does for people, also while
    it stays on for days (`nkloop serve`), so that what a run opens today is opened today for planning too; its own
    clock may be ahead, never behind.

    Args:
        workspace: folder of the workspace.
        state: its state folder.
        bench: name of the bench file.
        speed: bench seconds per wall second, 0 as fast as possible; only for the command that starts it.
        seed: seed of everything random; only for the first start.

    Raises:
        BenchError: it does not start, or the one that is there does not answer.
    """
    folder = _folder_of(state, bench)
    folder.mkdir(parents=True, exist_ok=True)
    users = _opened(folder / _USERS)
    try:
        # whoever ends the bench holds this lock alone until it has ended
        _locked(users, fcntl.LOCK_SH, folder)
        starting = _opened(folder / _STARTING)
        try:
            _locked(starting, fcntl.LOCK_EX, folder)
            if not _is_locked(folder / _SERVING):
                _started[folder] = VirtualBench.start(
                    workspace,
                    log=state / "virtual-bench.log",
                    bench=bench,
                    speed=speed,
                    seed=seed,
                    state=folder,
                    not_before=datetime.now(UTC),
                    shared=folder,
                )
            url = _told(folder)
        finally:
            os.close(starting)
        try:
            yield url
        finally:
            _leave(users, folder)
    finally:
        os.close(users)


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Be the bench of a folder: whoever looks for one finds the address written into the file given.

    Raises:
        BenchError: another bench serves this folder.
    """
    held = _opened(folder / _SERVING)
    try:
        if not _try(held, fcntl.LOCK_EX):
            raise BenchError(
                "another virtual bench works with this folder", where=str(folder), remedy="use that one, or end it"
            )
        os.ftruncate(held, 0)
        yield held
    finally:
        os.close(held)


@contextmanager
def serving_by_hand(folder: Path) -> Iterator[int]:
    """The same for a bench somebody has started: commands of the workspace that find it use it, none of them ends it.

    Raises:
        BenchError: another bench serves this folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    users = _opened(folder / _USERS)
    try:
        _locked(users, fcntl.LOCK_SH, folder)
        with serving(folder) as held:
            yield held
    finally:
        os.close(users)


def wait_until_unused(folder: Path, every_seconds: float) -> int:
    """Return when no command uses the bench of a folder any more; the lock given keeps new ones waiting."""
    users = _opened(folder / _USERS)
    while not _try(users, fcntl.LOCK_EX):
        time.sleep(every_seconds)
    return users


def _leave(users: int, folder: Path) -> None:
    """End the bench when nobody else uses it."""
    if not _try(users, fcntl.LOCK_EX):
        return
    for how in (signal.SIGTERM, signal.SIGKILL):
        if not _is_locked(folder / _SERVING):
            break
        with suppress(OSError, ValueError, KeyError):
            os.kill(_announced(folder)[1], how)
        deadline = time.monotonic() + STOP_SECONDS
        while _is_locked(folder / _SERVING) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS / 5)
    mine = _started.pop(folder, None)
    if mine is not None:
        mine.stop()


def _told(folder: Path) -> str:
    """The address the bench has written, waited for while it starts."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError, KeyError):
            return _announced(folder)[0]
        time.sleep(_LOOK_SECONDS)
    raise BenchError(
        "the virtual bench of this workspace is there and does not say where",
        where=str(folder / _SERVING),
        remedy="end the commands that use it, then try again",
    )


def _announced(folder: Path) -> tuple[str, int]:
    """Address and process number."""
    told = json.loads((folder / _SERVING).read_text(encoding="utf-8"))
    return str(told["url"]), int(told["pid"])


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _try(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked(file: int, how: int, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _try(file, how):
        if time.monotonic() > deadline:
            raise BenchError(
                "another command is starting or stopping the virtual bench of this workspace and does not come to an "
                "end",
                where=str(folder),
                remedy="end the other command, then try again",
            )
        time.sleep(_LOOK_SECONDS)


def _is_locked(path: Path) -> bool:
    file = _opened(path)
    try:
        return not _try(file, fcntl.LOCK_SH)
    finally:
        os.close(file)
