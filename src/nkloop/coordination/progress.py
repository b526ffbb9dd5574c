"""The bar that shows in the Prefect pages how far a run on the bench is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

INTERVAL_SECONDS = 1.0
"""Between two updates; a run that is over sooner is shown once, when it is done."""
END_SECONDS = 5.0
"""Longest wait at the end of a run for a bar that is on its way."""
KEY = "run-progress"
logger = logging.getLogger(__name__)


class Meter:
    """How far one run is, told by the run and shown by a task beside it, so that the run never waits for a server."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._artifact: UUID | None = None
        self._shown = -1.0
        self._showing: asyncio.Task[None] | None = None
        self.percent = 0.0

    def tell(self, current: int, total: int) -> None:
        """Note the number of the last step begun, of `total` steps."""
        self.percent = 100.0 * min(current, total) / total if total else 0.0

    async def show(self) -> None:
        """Bring the bar up to date. A bar that cannot be shown is no reason to stop a robot: it is logged only."""
        import httpx
        from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact
        from prefect.exceptions import PrefectException

        percent = self.percent
        if percent == self._shown:
            return
        try:
            if self._artifact is None:
                self._artifact = await acreate_progress_artifact(percent, key=KEY, description=self._description)
            else:
                await aupdate_progress_artifact(self._artifact, percent)
            self._shown = percent
        except (httpx.HTTPError, OSError, PrefectException) as error:
            logger.warning("progress of %s is not shown: %s", self._description, error)

    async def follow(self) -> None:
        """Show the bar again and again until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            self._showing = asyncio.create_task(self.show())
            # a bar that is cancelled on its way may be there already, and would be made a second time
            await asyncio.shield(self._showing)

    async def end(self, follower: asyncio.Task[None], *, wait_seconds: float = END_SECONDS) -> None:
        """Stop following; what is on its way to the server has so long to arrive."""
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)
        if self._showing is not None:
            await asyncio.wait({self._showing}, timeout=wait_seconds)
            self._showing.cancel()


@asynccontextmanager
async def progress_shown(description: str) -> AsyncIterator[Meter]:
    """Show the progress that the block tells: 100 % when the run did all steps, else where the robot gave up."""
    meter = Meter(description)
    follower = asyncio.create_task(meter.follow())
    try:
        yield meter
    except BaseException:
        await meter.end(follower, wait_seconds=0)
        raise
    await meter.end(follower)
    await meter.show()
