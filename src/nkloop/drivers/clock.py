"""The clock of a real bench."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

LONGEST_NAP_S = 60.0
"""The clock is looked at again at least this often, so that a corrected system time is noticed."""


class SystemClock:
    """The time of this computer."""

    def __init__(self, name: str = "system clock") -> None:
        self.name = name

    async def now(self) -> datetime:
        """Current time, UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, when: datetime) -> None:
        """Return when the time has come; at once when it is past.

        Raises:
            ValueError: `when` has no zone.
        """
        if when.tzinfo is None:
            raise ValueError(f"time {when.isoformat()} has no zone, must be UTC")
        while True:
            remaining = (when - datetime.now(UTC)).total_seconds()
            if remaining <= 0:
                return
            await asyncio.sleep(min(remaining, LONGEST_NAP_S))

    def steady(self) -> float:
        """Seconds since this computer was started, its sleep included where the system tells that; never corrected."""
        counted = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if counted is None else time.clock_gettime(counted)

    async def sleep_steadily(self, until: float) -> None:
        """Return when `steady` has reached this; at once when it is past."""
        while True:
            remaining = until - self.steady()
            if remaining <= 0:
                return
            await asyncio.sleep(min(remaining, LONGEST_NAP_S))
