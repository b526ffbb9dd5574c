"""A question nobody needs to answer any longer, because what it asks about was settled elsewhere meanwhile.

Whoever asks cancels the operator's task with a `Withdrawal`; the operator takes the question off the list, the page or
the terminal, with the reason. A cancellation without one ends the whole run and says nothing of the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")
Moot = Callable[[], Awaitable[str]]
"""Looks whether a question is settled; why, in words, and empty while it stands."""


class Withdrawal(str):
    """Why a question is withdrawn, as the message of a cancellation."""

    __slots__ = ()


class QuestionWithdrawn(Exception):
    """A question was settled elsewhere before anybody answered it; the work goes on without the answer."""


def why_withdrawn(stop: asyncio.CancelledError) -> str:
    """Why a question is withdrawn; empty when something else was cancelled."""
    return next((str(word) for word in stop.args if isinstance(word, Withdrawal)), "")


async def answered_unless(moot: Moot, asking: Coroutine[Any, Any, Answer], every_seconds: float) -> Answer:
    """Wait for an answer, and look now and then whether it is needed still.

    Raises:
        QuestionWithdrawn: it was not; the question has been taken back.
        NkloopError: the look says that nothing may go on; the question has been taken back as well.
    """
    task = asyncio.ensure_future(asking)
    try:
        while not (await asyncio.wait((task,), timeout=every_seconds))[0]:
            if (why := await moot()) and not task.done():
                await _withdrawn(task, why)
                raise QuestionWithdrawn(why)
        return task.result()
    except BaseException as error:
        if not task.done():
            await _withdrawn(task, "" if isinstance(error, asyncio.CancelledError) else str(error))
        raise


async def _withdrawn(task: asyncio.Future[Any], why: str) -> None:
    task.cancel(Withdrawal(why) if why else None)
    await asyncio.wait((task,))
