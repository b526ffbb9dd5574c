"""People who answer at a terminal of their own: requests stand in a list, `nkloop operator` answers them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Protocol

from nkloop.drivers.interfaces import Finding, OperatorAnswer, OperatorRequest
from nkloop.drivers.operators import LONGEST_WAIT_S, request_key
from nkloop.drivers.withdrawing import AnsweredAnyway, why_withdrawn
from nkloop.errors import BenchError, OperatorRefusedError
from nkloop.frozen import FrozenModel

LOOK_SECONDS = 0.5
"""Pause between two looks at the list."""


class Declined(FrozenModel):
    """A person said no."""

    by: str
    reason: str


class RequestList(Protocol):
    """Where requests stand until somebody answers."""

    def ask(self, request: OperatorRequest, key: str) -> int:
        """Put a request on the list; one with this key that waits, or was answered and not yet taken, is found."""

    def answered(self, number: int) -> OperatorAnswer | Declined | None:
        """The answer, None while there is none.

        Raises:
            OperatorRefusedError: the request was withdrawn.
        """

    def taken(self, number: int) -> None:
        """Say that the answer has arrived."""

    def withdraw(self, number: int, why: str) -> None:
        """Take a request off the list."""

    def waiting(self) -> int:
        """How many requests nobody has answered."""


class DeskOperator:
    """Asks by the list of requests; survives restarts of both sides."""

    beside: ClassVar[Callable[[str], AbstractContextManager[object]]] = nullcontext
    """Tells in the terminal of the run what waits for a person, by the title of the request, as long as it waits."""

    def __init__(
        self, name: str, *, wait_minutes: float = LONGEST_WAIT_S / 60, requests: RequestList | None = None
    ) -> None:
        """Ask nothing yet.

        Args:
            name: who is meant, for example `technician`.
            wait_minutes: longest wait for one answer.
            requests: the list; nkloop gives it where there is a database.
        """
        self.name = name
        self._wait_s = 60 * wait_minutes
        self._requests = requests

    @property
    def by_list(self) -> bool:
        """Always: there is no other way to ask."""
        return True

    async def inspect(self) -> tuple[Finding, ...]:
        """How many requests wait."""
        n = self._requests.waiting() if self._requests is not None else 0
        told = f"answers with `nkloop operator`; {n or 'no'} request{'s' if n != 1 else ''} waiting"
        return (Finding(subject="operator", found=told, ok=True),)

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        """Put the request on the list and wait for its answer.

        Raises:
            BenchError: there is no list, because there is no database.
            OperatorRefusedError: the person declined, the request was withdrawn, or nobody answered in time.
            AnsweredAnyway: it was cancelled, but an answer was there already.
        """
        if self._requests is None:
            remedy = "open the bench with the records of a workspace"
            raise BenchError("there is no list of requests", where=self.name, remedy=remedy)
        number = self._requests.ask(request, request_key(request))
        try:
            with type(self).beside(request.title):
                answer = await self._waited(self._requests, number, request)
        except OperatorRefusedError:
            self._requests.withdraw(number, "nobody answered in time")
            raise
        except asyncio.CancelledError as stop:
            self._requests.withdraw(number, why_withdrawn(stop) or "the run was cancelled")
            late = _given(self._requests, number)
            if late is not None and not request.choices:  # a choice is no deed; this one was never made use of
                self._requests.taken(number)
                raise AnsweredAnyway(late) from stop
            raise
        self._requests.taken(number)
        if isinstance(answer, Declined):
            raise OperatorRefusedError(
                f"{answer.by} declined: {answer.reason or 'no reason given'}",
                where=request.title,
                remedy="settle it with the operator and start again",
            )
        return answer

    async def _waited(self, requests: RequestList, number: int, request: OperatorRequest) -> OperatorAnswer | Declined:
        last = time.monotonic() + self._wait_s
        while True:
            if (answer := requests.answered(number)) is not None:
                return answer
            if time.monotonic() >= last:
                raise OperatorRefusedError(
                    f"nobody answered within {self._wait_s / 60:g} min",
                    where=request.title,
                    remedy="answer with: nkloop operator",
                )
            await asyncio.sleep(LOOK_SECONDS)


def _given(requests: RequestList, number: int) -> OperatorAnswer | None:
    """The confirmation of a request that is off the list; None when it was declined, or withdrawn unanswered."""
    try:
        answer = requests.answered(number)
    except OperatorRefusedError:
        return None
    return answer if isinstance(answer, OperatorAnswer) else None
