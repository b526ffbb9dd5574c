"""An operator with an automated incubator beside him: he carries plates to its tray, it keeps the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from nkloop.drivers.interfaces import AsksByList, CatchesUp, Clock, Operator, OperatorAnswer, OperatorRequest
from nkloop.drivers.stations import PlateStorage, settling
from nkloop.drivers.withdrawing import AnsweredAnyway
from nkloop.errors import DeviceError
from nkloop.worklists.models import OperatorTask

Held = Callable[[str], AbstractAsyncContextManager[Any]]
"""Holds the incubator for what is told."""
_TOLERANCE_C = 1.0
"""How far the temperature asked for may be from the incubator's."""


class IncubatingOperator:
    """Hands incubations of plates with a barcode to the incubator, everything else to the person.

    A plate that is inside already, because the program ended while it was there, is not asked for again: it stays for
    what is left of its time. One that came out for the same errand before is not put in again: it was kept for its
    time, and only the way back to its place is asked for.
    """

    def __init__(self, operator: Operator, storage: PlateStorage, clock: Clock, bench: str = "BENCH") -> None:
        self.name = operator.name
        self.storage = storage
        self.held: Held = nullcontext
        """Set by whoever may drive the incubator; entered while a plate is carried to or from its tray and moves."""
        self._operator, self._clock, self._bench = operator, clock, bench

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
        entered = {code: was_in[code] or await storage.since(code) or datetime.now(UTC) for code in plates.values()}
        inside = "; ".join(f"{barcode} in {where} since {since:%H:%M} UTC" for barcode, since in entered.items())
        for nickname, barcode in plates.items():
            if was_in[barcode] is None:
                await self._clock.sleep_until(entered[barcode] + timedelta(minutes=task.minutes))
            told = f"Take {nickname} ({barcode}) from the tray of {where} and put it back in its place."
            async with self.held(f"plate {barcode} out of {where}"):
                if was_in[barcode] is None:
                    await storage.fetch(barcode, errand)
                is_last = barcode == tuple(plates.values())[-1]
                answer = await self._carried(_carrying(request, told, {nickname: barcode}), inside if is_last else None)
        return answer

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
