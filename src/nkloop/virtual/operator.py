"""A person who does everything asked, at once and without a slip."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx

from nkloop.drivers.desk_operator import DeskOperator, RequestList
from nkloop.drivers.interfaces import UNDONE, AsksByList, Finding, OperatorAnswer, OperatorRequest
from nkloop.drivers.operators import PrefectOperator
from nkloop.drivers.scanning import ScanBook
from nkloop.drivers.terminal_operator import TerminalOperator
from nkloop.drivers.timing import too_early
from nkloop.drivers.withdrawing import AnsweredAnyway
from nkloop.errors import BenchError, OperatorRefusedError
from nkloop.virtual.client import WorldClient

CONFIRMED_BY = "virtual operator"
PREFERRED = ("again", UNDONE, "stop")
"""Choices of a simulated person, the best first."""


class VirtualOperator:
    """Loads the deck and carries tasks out in the virtual world."""

    def __init__(
        self,
        name: str,
        url: str,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        people: str = "",
        requests: RequestList | None = None,
        scan_book: ScanBook | None = None,
        workspace: Path | None = None,
    ) -> None:
        """Contact nobody yet.

        Args:
            name: who is meant.
            url: address of the virtual bench.
            transport: replaces the network in tests.
            people: `prefect`, `desk` or `terminal` has a person confirm first, as at a real bench; empty does
                everything itself.
            requests: the list of requests, for `desk`, and for `prefect` outside a flow.
            scan_book: where refused scans are written down, for `prefect` and `terminal`.
            workspace: folder the virtual bench must belong to.

        Raises:
            BenchError: `people` is something else.
        """
        asked: dict[str, Callable[[], DeskOperator | PrefectOperator | TerminalOperator | None]] = {
            "": lambda: None,
            "prefect": lambda: PrefectOperator(name, requests=requests, scan_book=scan_book),
            "desk": lambda: DeskOperator(name, requests=requests),
            "terminal": lambda: TerminalOperator(name, scan_book=scan_book),
        }
        if people not in asked:
            raise BenchError(
                f"people is '{people}'", where=name, remedy="write prefect, desk, terminal, or leave it out"
            )
        self.name = name
        self._world = WorldClient(name, url, transport, workspace)
        self._person = asked[people]()

    async def inspect(self) -> tuple[Finding, ...]:
        """Whether the virtual world is there, and how the person who is asked first answers.

        Raises:
            DeviceError: it is not reachable.
        """
        await self._world.get("/clock")
        if self._person is None:
            return (Finding(subject="operator", found="simulated; does what is asked, at once", ok=True),)
        told = "simulated, does what is asked once a person confirms"
        return tuple(one.model_copy(update={"found": f"{told}; {one.found}"}) for one in await self._person.inspect())

    @property
    def by_list(self) -> bool:
        """Whether the person who is asked first is asked by the list of requests."""
        return isinstance(self._person, AsksByList) and self._person.by_list

    async def catch_up(self, request: OperatorRequest, answer: OperatorAnswer) -> OperatorAnswer:
        """Do in the virtual world what a person confirmed while nobody asked.

        Raises:
            DeviceError: the world refused or is not reachable.
        """
        return await self._done(request, answer)

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        """Load the deck when the request brings a worklist, then do the task.

        Raises:
            OperatorRefusedError: the person who is asked first declined; nothing was done.
            DeviceError: the world refused (unknown lot, wrong labware) or is not reachable.
        """
        try:
            person = await self._person.perform(request) if self._person is not None else None
        except AnsweredAnyway as late:  # what was confirmed has happened, in this world too
            raise AnsweredAnyway(await self._done(request, late.answer)) from late
        return await self._done(request, person)

    async def _done(self, request: OperatorRequest, person: OperatorAnswer | None) -> OperatorAnswer:
        """Do in the virtual world what was asked; a person who was asked first has confirmed it."""
        if request.choices:
            return person if person is not None else await self._chosen(request)
        barcodes = dict(request.barcodes)
        if request.closes_door:
            await self._world.put("/door", {"on": False})
        if request.worklist is not None:
            worklist = request.worklist.model_dump(mode="json")
            await self._world.post("/deck", {"worklist": worklist, "barcodes": barcodes})
        began = await self._now() if request.task.minutes and person is None else None
        answer = await self._world.post("/task", {"task": request.task.model_dump(mode="json"), "barcodes": barcodes})
        at = datetime.fromisoformat(answer["now"])
        if person is not None:
            return person.model_copy(update={"at": at})  # the bench's time, not that of the person's watch
        if began is not None and (early := too_early(request.task, began, at)):
            raise OperatorRefusedError(early, where=request.title, remedy="the clock of the virtual bench is wrong")
        return OperatorAnswer(confirmed_by=CONFIRMED_BY, at=at)

    async def _chosen(self, request: OperatorRequest) -> OperatorAnswer:
        """Take the first answer that leaves nothing unknown: do it again where that is open, stop otherwise."""
        keys = [one.key for one in request.choices]
        choice = next((key for key in PREFERRED if key in keys), keys[-1])
        at = await self._now()
        reason = "a simulated person takes no risk"
        return OperatorAnswer(confirmed_by=CONFIRMED_BY, at=at, note=reason, choice=choice)

    async def _now(self) -> datetime:
        return datetime.fromisoformat((await self._world.get("/clock"))["now"])

    async def close(self) -> None:
        """Release the connection."""
        await self._world.close()
