"""A cell counter with flow cytometer on the virtual bench."""

from __future__ import annotations

import httpx

from nkloop.assays.measurements import CellCount
from nkloop.drivers.interfaces import Fence, Finding, unguarded
from nkloop.virtual.client import WorldClient


class VirtualCounter:
    """Counts what is truly in the wells, with the error of an image cytometer and of flow cytometry."""

    def __init__(self, name: str, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`url` is the address of the virtual bench."""
        self.name = name
        self.fence: Fence = unguarded
        self._world = WorldClient(name, url, transport)

    async def inspect(self) -> tuple[Finding, ...]:
        """Whether the virtual world is there.

        Raises:
            DeviceError: it is not reachable.
        """
        await self._world.get("/clock")
        return (Finding(subject="counter", found="simulated; answers", ok=True),)

    async def count(self, barcode: str, wells: tuple[str, ...], *, occurrence: int = 0) -> tuple[CellCount, ...]:
        """Sample and measure the wells named, in the order named; nobody is asked, whatever the occurrence.

        Raises:
            DeviceError: the barcode or a well is unknown, or the virtual bench is not reachable.
        """
        self.fence()
        answer = await self._world.post("/count", {"barcode": barcode, "wells": list(wells)})
        return tuple(CellCount.model_validate(item) for item in answer)

    async def close(self) -> None:
        """Release the connection."""
        await self._world.close()
