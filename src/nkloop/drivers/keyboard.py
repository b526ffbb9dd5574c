"""Lines typed or scanned at the terminal: each belongs to the question that was shown before it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading

try:
    import termios
except ImportError:  # not on Windows
    termios = None  # type: ignore[assignment]

_Asked = tuple[asyncio.AbstractEventLoop, "asyncio.Future[str | None]"]


def forget_typed() -> None:
    """Throw away what was typed or scanned before the question was shown; input that is no terminal is left alone."""
    if termios is None or sys.stdin is None or not sys.stdin.isatty():
        return
    with contextlib.suppress(termios.error, OSError, ValueError):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def ask(prompt: str) -> str | None:
    """Show a prompt and wait for a line; None when nobody can type (any more)."""
    forget_typed()
    sys.stdout.write(prompt)
    sys.stdout.flush()
    return (sys.stdin.readline() if sys.stdin is not None else "") or None


class Keyboard:
    """Reads lines without keeping the program from ending while nobody types.

    A thread that waits for a line cannot be called back. So a question that was withdrawn leaves its thread behind, and
    the next question takes that over instead of starting a second one, which would compete for what is typed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: _Asked | None = None
        self._is_reading = False

    async def listen(self, prompt: str) -> str | None:
        """Show a prompt and give the line typed after it; None when nobody can type (any more)."""
        loop = asyncio.get_running_loop()
        typed: asyncio.Future[str | None] = loop.create_future()
        forget_typed()
        sys.stdout.write(prompt)
        sys.stdout.flush()
        with self._lock:
            self._asked = (loop, typed)
            if not self._is_reading:
                self._is_reading = True
                threading.Thread(target=self._read, daemon=True, name="operator").start()
        try:
            return await typed
        finally:
            with self._lock:
                self._asked = None if self._asked == (loop, typed) else self._asked

    def _read(self) -> None:
        line = sys.stdin.readline() if sys.stdin is not None else ""
        with self._lock:
            self._is_reading, asked, self._asked = False, self._asked, None
        if asked is not None and not asked[0].is_closed():
            asked[0].call_soon_threadsafe(_settle, asked[1], line or None)


def _settle(typed: asyncio.Future[str | None], line: str | None) -> None:
    if not typed.done():
        typed.set_result(line)
