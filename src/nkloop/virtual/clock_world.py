"""Time of the virtual bench. It moves only when it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nkloop.errors import BenchError

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
"""A Monday morning."""


class WorldClock:
    """Seconds since `START`; wells catch up with it when somebody looks at them."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """World time in seconds since the start."""

    def now(self) -> datetime:
        """Current time of the bench, UTC."""
        return START + timedelta(seconds=self.seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            BenchError: the amount is negative or not finite.
        """
        if not 0 <= seconds < float("inf"):
            raise BenchError(f"time cannot advance by {seconds} s", remedy="give a number of seconds of at least 0")
        self.seconds += seconds

    def seconds_until(self, when: datetime) -> float:
        """Seconds that have yet to pass until `when`, 0 when it is over already.

        Raises:
            BenchError: the time has no zone.
        """
        if when.tzinfo is None:
            raise BenchError(f"time {when.isoformat()} has no zone", remedy="write UTC times ending in Z")
        return max(0.0, (when - START).total_seconds() - self.seconds)
