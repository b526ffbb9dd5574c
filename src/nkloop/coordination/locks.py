"""One owner per device: Prefect global concurrency limits held around every run on a bench."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from nkloop.errors import BenchError

LEASE_SECONDS = 60
WAIT_SECONDS = 24 * 3600
"""Longest wait for a bench; a run before may wait for a person over night."""


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


async def limits_held(names: Sequence[str]) -> dict[str, tuple[int, int] | None]:
    """Lock to its slots and how many of them are held; None for one that Prefect does not have yet.

    Raises:
        BenchError: the Prefect server does not answer.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    found: dict[str, tuple[int, int] | None] = {}
    try:
        async with get_client() as client:
            for name in names:
                try:
                    limit = await client.read_global_concurrency_limit_by_name(name)
                    found[name] = (limit.limit, limit.active_slots)
                except ObjectNotFound:
                    found[name] = None
    except (httpx.HTTPError, RuntimeError) as error:
        raise BenchError(
            f"the Prefect server does not answer: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            where="PREFECT_API_URL",
            remedy="start it with `nkloop serve`, or correct the address",
        ) from error
    return found
