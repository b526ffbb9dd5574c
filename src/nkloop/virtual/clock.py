"""The clock of a virtual bench, seen from outside."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx

from nkloop.virtual.client import WorldClient


class VirtualClock:
    """Time that passes as soon as somebody waits for it."""

    def __init__(
        self,
        name: str,
        url: str,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        workspace: Path | None = None,
    ) -> None:
        """`url` is the address of the virtual bench, `workspace` the folder it must belong to."""
        self.name = name
        self._world = WorldClient(name, url, transport, workspace)

    async def require_own(self) -> None:
        """Refuse the bench of another workspace.

        Raises:
            BenchError: it belongs to another workspace; both are named.
            DeviceUnreachableError: the virtual bench does not answer.
        """
        await self._world.require_own()

    async def now(self) -> datetime:
        """Current time of the bench, UTC.

        Raises:
            DeviceError: the virtual bench is not reachable.
        """
        return _time(await self._world.get("/clock"))

    async def sleep_until(self, when: datetime) -> None:
        """Let the bench's time pass until `when`; at once when it is over.

        Raises:
            ValueError: `when` has no zone.
            DeviceError: the virtual bench is not reachable.
        """
        if when.tzinfo is None:
            raise ValueError(f"time {when.isoformat()} has no zone, must be UTC")
        await self._world.post("/clock/advance", {"until": when.astimezone(UTC).isoformat()})

    async def close(self) -> None:
        """Release the connection."""
        await self._world.close()


def _time(answer: dict[str, str]) -> datetime:
    return datetime.fromisoformat(answer["now"]).astimezone(UTC)
