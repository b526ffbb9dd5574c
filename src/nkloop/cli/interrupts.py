"""Ctrl+C, SIGTERM and a closed terminal while a robot works: the work is cancelled and makes the robot safe first."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

Outcome = TypeVar("Outcome")
INTERRUPTED = 130
"""Exit code of a command ended by Ctrl+C."""


def heed_interrupts() -> None:
    """Make Ctrl+C, SIGTERM and SIGHUP all end this command by `KeyboardInterrupt`; SIGHUP not under `nohup`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with Ctrl+C ignored
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    hangup = getattr(signal, "SIGHUP", None)
    if hangup and signal.getsignal(hangup) is not signal.SIG_IGN:
        signal.signal(hangup, _hung_up)


def _hung_up(number: int, frame: object) -> None:
    """The terminal was closed: what is still said goes nowhere, and must not break off what makes the robot safe."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    signal.raise_signal(signal.SIGINT)


def interruptible(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run `work` in a thread of its own; Ctrl+C and SIGTERM cancel it and wait until it has made the robot safe.

    In the main thread a flow would put its own SIGTERM handler in place, which breaks out of the event loop wherever
    it is, so that the robot might go on.
    """
    running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = Future()

    async def followed() -> Outcome:
        running.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        return await work

    with ThreadPoolExecutor(max_workers=1) as thread:
        ended = thread.submit(asyncio.run, followed())
        try:
            return ended.result()
        except KeyboardInterrupt:
            loop, task = running.result()
            if task is not None and not ended.done():
                loop.call_soon_threadsafe(task.cancel)
            wait([ended])
            raise
