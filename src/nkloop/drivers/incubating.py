"""An operator with an automated incubator beside him: he carries plates to its tray, it keeps the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from nkloop.drivers.interfaces import (
    AsksByList,
    CatchesUp,
    Clock,
    Operator,
    OperatorAnswer,
    OperatorRequest,
    Steady,
)
from nkloop.drivers.stations import PlateStorage, settling
from nkloop.drivers.withdrawing import AnsweredAnyway
from nkloop.errors import DeviceError
from nkloop.worklists.models import OperatorTask

Held = Callable[[str], AbstractAsyncContextManager[Any]]
"""Holds the incubator for what is told."""
_TOLERANCE_C = 1.0
"""How far the temperature asked for may be from the incubator's."""
_CORRECTED_MINUTES = 1.0
"""A clock that is off by less is not told of: many are corrected a little all the time."""


class _Watch(NamedTuple):
    """A moment by everything that tells it."""

    since: datetime | None
    """When the plate went in, as the incubator's list has it."""
    at: datetime
    steady: float | None
    """By what nobody corrects; None where the clock of the bench has nothing of that kind."""


class IncubatingOperator:
    """Hands incubations of plates with a barcode to the incubator, everything else to the person.

    A plate that is inside already, because the program ended while it was there, is not asked for again: it stays for
    what is left of its time. One that came out for the same errand before is not put in again: it was kept for its
    time, and only the way back to its place is asked for.

    A plate that went in under this program also stays for its minutes by what nobody corrects, the longer of the two.
    """

    def __init__(self, operator: Operator, storage: PlateStorage, clock: Clock, bench: str = "BENCH") -> None:
        self.name = operator.name
        self.storage = storage
        self.held: Held = nullcontext
        """Set by whoever may drive the incubator; entered while a plate is carried to or from its tray and moves."""
        self._operator, self._clock, self._bench = operator, clock, bench
        self._watches: dict[str, _Watch] = {}
        """Of the plates that went in under this program."""

    @property
    def by_list(self) -> bool:
        """Whether the person beside it is asked by the list of requests."""
        return isinstance(self._operator, AsksByList) and self._operator.by_list

    async def catch_up(self, request: OperatorRequest, answer: OperatorAnswer) -> OperatorAnswer:
        """Let happen what somebody confirmed while nobody asked, where the operator has a world of his own.

        Raises:
            DeviceError: that world refused or is not reachable.
        """
        beside = self._operator
        return await beside.catch_up(request, answer) if isinstance(beside, CatchesUp) else answer

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        """Carry the task out.

        Raises:
            OperatorRefusedError: the person declined.
            DeviceError: the incubator failed, a plate is on its way since a crash, or one is inside for something else.
        """
        task, plates = request.task, dict(request.barcodes)
        # without a time it only tells of an incubation that a person is to confirm
        is_kept = task.kind == "incubate" and task.minutes > 0
        if not is_kept or not plates or not await self._is_as_warm(task.temperature_c):
            return await self._operator.perform(request)
        where, storage = self.storage.name, self.storage
        errand = request.errands[0] if request.errands else ""
        was_in = {barcode: await self._was_since(barcode, request.errands) for barcode in plates.values()}
        for barcode in plates.values():
            await self._require_own(barcode, request)
        for nickname, barcode in plates.items():
            if was_in[barcode] is None and await storage.since(barcode) is None:
                told = f"Put {nickname} ({barcode}) on the tray of {where}."
                async with self.held(f"plate {barcode} into {where}"):
                    await self._carried(_carrying(request, told, {nickname: barcode}))
                    await storage.store(barcode, errand=errand)
                    self._watches[barcode] = await self._watch(await storage.since(barcode))
        entered = {code: was_in[code] or await storage.since(code) or datetime.now(UTC) for code in plates.values()}
        inside: list[str] = []
        for nickname, barcode in plates.items():
            if was_in[barcode] is None:
                await self._kept(barcode, entered[barcode], task.minutes)
            told = f"Take {nickname} ({barcode}) from the tray of {where} and put it back in its place."
            async with self.held(f"plate {barcode} out of {where}"):
                passed = "" if was_in[barcode] else await self._passed(barcode, entered[barcode])
                if was_in[barcode] is None:
                    await storage.fetch(barcode, errand)
                inside.append(f"{barcode} in {where} since {entered[barcode]:%H:%M} UTC{passed}")
                noted = "; ".join(inside) if len(inside) == len(plates) else None
                answer = await self._carried(_carrying(request, told, {nickname: barcode}), noted)
        return answer

    async def _watch(self, since: datetime | None) -> _Watch:
        steady = self._clock.steady() if isinstance(self._clock, Steady) else None
        return _Watch(since, await self._clock.now(), steady)

    def _watch_of(self, barcode: str, since: datetime) -> _Watch | None:
        """The watch of a plate that is inside since then; None for one that went in under another program."""
        watch = self._watches.get(barcode)
        return watch if watch is not None and watch.since == since else None

    async def _kept(self, barcode: str, since: datetime, minutes: float) -> None:
        """Wait until a plate has been inside for its time."""
        watch = self._watch_of(barcode, since)
        began = since if watch is None else max(since, watch.at)  # the incubator's list goes by another clock
        await self._clock.sleep_until(began + timedelta(minutes=minutes))
        if watch is not None and watch.steady is not None and isinstance(self._clock, Steady):
            await self._clock.sleep_steadily(watch.steady + 60 * minutes)

    async def _passed(self, barcode: str, since: datetime) -> str:
        """For how long a plate has been inside, with what the clock makes of it where that was corrected meanwhile."""
        watch = self._watch_of(barcode, since)
        now = await self._watch(since)
        by_clock = (now.at - (watch.at if watch is not None else since)) / timedelta(minutes=1)
        if watch is None or watch.steady is None or now.steady is None:
            return f", for {by_clock:.0f} min"
        passed = (now.steady - watch.steady) / 60
        told = f", for {passed:.0f} min"
        if abs(by_clock - passed) < _CORRECTED_MINUTES:
            return told
        return f"{told} (the clock was corrected meanwhile; it makes that {by_clock:.0f} min)"

    async def _carried(self, request: OperatorRequest, inside: str | None = None) -> OperatorAnswer:
        """Have a plate carried; `inside` is noted with the answer of the last way, which is that of the whole task.

        Raises:
            AnsweredAnyway: the task was cancelled when all of it was done.
        """
        try:
            return _noted(await self._operator.perform(request), inside or "")
        except AnsweredAnyway as late:
            if inside is None:
                raise asyncio.CancelledError from late
            raise AnsweredAnyway(_noted(late.answer, inside)) from late

    async def close(self) -> None:
        """Release the incubator and the operator."""
        await self.storage.close()
        close = getattr(self._operator, "close", None)
        if close is not None:
            await close()

    async def _was_since(self, barcode: str, errands: Sequence[str]) -> datetime | None:
        found = [await self.storage.was_since(barcode, errand) for errand in errands]
        return next((since for since in found if since is not None), None)

    async def _require_own(self, barcode: str, request: OperatorRequest) -> None:
        """Refuse to count the time of a plate that was taken in for something else.

        Raises:
            DeviceError: it is inside for something else.
        """
        errand = await self.storage.errand_of(barcode)
        if errand and request.errands and errand not in request.errands:
            since = await self.storage.since(barcode)
            told = (
                f"plate {barcode} is inside{f' since {since:%Y-%m-%d %H:%M} UTC' if since else ''} for something else"
            )
            said = settling(self._bench, barcode)
            raise DeviceError(
                f"{told}: {errand}; its time is not that of {request.title}",
                where=self.storage.name,
                remedy=f"look whether it is inside; take it out and say so: {said}; then go on",
            )

    async def _is_as_warm(self, celsius: float | None) -> bool:
        """Whether the incubator holds the temperature asked for; a fridge or the dark is a person's business.

        An incubator moves when it is opened, which the first question does.
        """
        if celsius is None:
            return True
        async with self.held(f"temperature of {self.storage.name}"):
            return abs(await self.storage.temperature() - celsius) <= _TOLERANCE_C


def _noted(answer: OperatorAnswer, inside: str) -> OperatorAnswer:
    return answer.model_copy(update={"note": "; ".join(filter(None, (answer.note, inside)))})


def _carrying(request: OperatorRequest, told: str, barcodes: dict[str, str]) -> OperatorRequest:
    task = OperatorTask(kind="confirm", instruction=told, labware=tuple(barcodes))
    return request.model_copy(
        update={"title": f"{request.title}: {told}", "task": task, "barcodes": barcodes, "picture": ""}
    )
