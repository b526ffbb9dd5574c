"""One owner per device: a thread with one event loop that does one thing at a time, whoever asks.

PyLabRobot's front ends are neither safe for two calls at once nor for two event loops, and a call that is cancelled
half-way leaves volumes booked that never moved. Here every call is queued to the owner and carried to its end there;
only the waiting of whoever asked can be cancelled.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from nkloop.drivers.pylabrobot import adapter
from nkloop.errors import DeviceError, words_of

T = TypeVar("T")
_START_S = 10.0
CLOSE_S = 30.0
"""Longest wait for the call under way when a device is closed."""


class DeviceOwner:
    """The thread, loop and lock of one device. Starts with the first call."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._turn: asyncio.Lock | None = None

    @property
    def is_running(self) -> bool:
        """Whether the owner's thread has been started and not closed."""
        return self._loop is not None

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` in the owner's loop when all earlier work is done; return or raise what it does.

        Cancelling the caller does not cancel the work: what has been sent to a device cannot be unsent.

        Raises:
            DeviceError: the owner was closed before the work began.
        """
        future: Future[T] = asyncio.run_coroutine_threadsafe(self._in_turn(work), self._started())
        return await asyncio.shield(asyncio.wrap_future(future))

    async def asked(self, work: Callable[[], Awaitable[T]], what: str, remedy: str, where: str = "") -> T:
        """As `call`; whatever goes wrong is told in one sentence.

        Args:
            work: what the device is to do.
            what: what has not been done when it fails.
            remedy: what people do then; that a library of the device's wire is missing is told instead.
            where: what the error says it is about; the device when empty.

        Raises:
            DeviceError: the device failed, or the owner was closed before the work began.
        """
        try:
            return await self.call(work)
        except DeviceError:
            raise
        # A maker's driver may raise anything its protocol or the operating system has; all mean the same here.
        except Exception as error:
            told = f"{what}: {words_of(error)}"
            raise DeviceError(told, where=where or self.name, remedy=adapter.remedy_of(error, remedy)) from error

    def close(self) -> None:
        """End the thread after the work under way; safe to call twice."""
        with self._guard:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_S)

    async def _in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        if self._turn is None:
            raise DeviceError("the device was closed", where=self.name, remedy="open the bench again")
        async with self._turn:
            return await work()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is not None:
                return self._loop
            ready = threading.Event()
            thread = threading.Thread(target=self._work, args=(ready,), name=f"owner of {self.name}", daemon=True)
            thread.start()
            if not ready.wait(_START_S) or self._loop is None:
                raise DeviceError("its thread does not start", where=self.name, remedy="restart the program")
            self._thread = thread
            return self._loop

    def _work(self, ready: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self._loop, self._turn = loop, asyncio.Lock()
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
        finally:
            left: set[asyncio.Task[Any]] = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.close()
