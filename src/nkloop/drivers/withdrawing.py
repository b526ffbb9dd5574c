"""A question nobody needs to answer any longer, because what it asks about was settled elsewhere meanwhile.

Whoever asks cancels the operator's task with a `Withdrawal`; the operator takes the question off the list, the page or
the terminal, with the reason. A cancellation without one ends the whole run and says nothing of the question.

An answer that was given before the question was off the list counts: somebody has done the task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from nkloop.drivers.interfaces import OperatorAnswer

Moot = Callable[[], Awaitable[str]]
"""Looks whether a question is settled; why, in words, and empty while it stands."""


class Withdrawal(str):
    """Why a question is withdrawn, as the message of a cancellation."""

    __slots__ = ()


class QuestionWithdrawn(Exception):
    """A question was settled elsewhere before anybody answered it; the work goes on without the answer."""


class AnsweredAnyway(asyncio.CancelledError):
    """A cancellation that found the answer there: nothing goes on, but what was answered is true and kept."""

    def __init__(self, answer: OperatorAnswer) -> None:
        """Carry the answer to whoever cancelled."""
        super().__init__()
        self.answer = answer


def why_withdrawn(stop: asyncio.CancelledError) -> str:
    """Why a question is withdrawn; empty when something else was cancelled."""
    return next((str(word) for word in stop.args if isinstance(word, Withdrawal)), "")


async def answered_unless(
    moot: Moot,
    asking: Coroutine[Any, Any, OperatorAnswer],
    every_seconds: float,
    keep: Callable[[OperatorAnswer], None] = lambda answer: None,
) -> OperatorAnswer:
    """Wait for an answer, and look now and then whether it is needed still.

    Args:
        moot: the look.
        asking: the operator's task.
        every_seconds: pause between two looks.
        keep: called with an answer that was there when something else than the look ended the waiting.

    Raises:
        QuestionWithdrawn: it was not; the question has been taken back.
        NkloopError: the look says that nothing may go on; the question has been taken back as well.
    """
    task = asyncio.ensure_future(_with_late(asking))
    try:
        while not (await asyncio.wait((task,), timeout=every_seconds))[0]:
            if (why := await moot()) and not task.done():
                await _withdrawn(task, why)
                if not _is_answered(task):
                    raise QuestionWithdrawn(why)
        return task.result()
    except BaseException as error:
        if not task.done():
            await _withdrawn(task, "" if isinstance(error, asyncio.CancelledError) else str(error))
        if _is_answered(task):
            keep(task.result())
        raise
    finally:
        asking.close()  # one that was cancelled before it began was never awaited


async def _with_late(asking: Coroutine[Any, Any, OperatorAnswer]) -> OperatorAnswer:
    try:
        return await asking
    except AnsweredAnyway as late:
        return late.answer


def _is_answered(task: asyncio.Future[OperatorAnswer]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def _withdrawn(task: asyncio.Future[Any], why: str) -> None:
    task.cancel(Withdrawal(why) if why else None)
    await asyncio.wait((task,))
