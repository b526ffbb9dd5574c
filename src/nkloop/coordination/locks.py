"""One owner per device: Prefect global concurrency limits held around every run on a bench."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

LEASE_SECONDS = 60
WAIT_SECONDS = 15 * 60


async def ensure_limits(names: Sequence[str]) -> None:
    """Create a limit of one for each lock; a missing limit would let two flows in."""
    from prefect.client.orchestration import get_client  # slow to import

    async with get_client() as client:
        for name in names:
            await client.upsert_global_concurrency_limit_by_name(name, 1)


_known: set[tuple[str, ...]] = set()


async def _ensured(names: tuple[str, ...]) -> None:
    if names not in _known:
        await ensure_limits(names)
        _known.add(names)


@asynccontextmanager
async def device_lock(names: Sequence[str]) -> AsyncIterator[None]:
    """Hold the locks of a bench while a run is on it.

    A lost lease does not kill the holder: liquid may be moving, so the run goes on and the device itself is asked
    before anything new starts.

    Raises:
        TimeoutError: another flow held the bench for `WAIT_SECONDS`.
    """
    from prefect.concurrency.asyncio import concurrency

    if not names:
        yield
        return
    await _ensured(tuple(names))
    async with concurrency(
        list(names),
        occupy=1,
        timeout_seconds=WAIT_SECONDS,
        strict=True,
        lease_duration=LEASE_SECONDS,
        raise_on_lease_renewal_failure=False,
    ):
        yield
