"""A person who does everything asked, at once and without a slip."""

from __future__ import annotations

from datetime import datetime

import httpx

from nkloop.drivers.interfaces import Finding, OperatorAnswer, OperatorRequest
from nkloop.virtual.client import WorldClient

CONFIRMED_BY = "virtual operator"


class VirtualOperator:
    """Loads the deck and carries tasks out in the virtual world."""

    def __init__(self, name: str, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`url` is the address of the virtual bench."""
        self.name = name
        self._world = WorldClient(name, url, transport)

    async def inspect(self) -> tuple[Finding, ...]:
        """Whether the virtual world is there.

        Raises:
            DeviceError: it is not reachable.
        """
        await self._world.get("/clock")
        return (Finding(subject="operator", found="simulated; does what is asked, at once", ok=True),)

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        """Load the deck when the request brings a worklist, then do the task.

        Raises:
            DeviceError: the world refused (unknown lot, wrong labware) or is not reachable.
        """
        barcodes = dict(request.barcodes)
        if request.worklist is not None:
            worklist = request.worklist.model_dump(mode="json")
            await self._world.post("/deck", {"worklist": worklist, "barcodes": barcodes})
        answer = await self._world.post("/task", {"task": request.task.model_dump(mode="json"), "barcodes": barcodes})
        return OperatorAnswer(confirmed_by=CONFIRMED_BY, at=datetime.fromisoformat(answer["now"]))

    async def close(self) -> None:
        """Release the connection."""
        await self._world.close()
