"""Holding the devices of a bench while something happens on them: claim, renewed lease, fence."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar

from nkloop.drivers.bench import Bench
from nkloop.errors import DeviceHeldError, RecordError, StaleHolderError
from nkloop.records import Records
from nkloop.records.claims import LEASE_SECONDS
from nkloop.records.models import Claim
from nkloop.runs.marking import leave_mark, require_unmarked

CHECK_SECONDS = 1.0
"""Longest time until somebody who only watches a run learns that the device has been taken over."""
_LOOK_SECONDS = 0.5
"""Between two attempts to get a device that somebody else holds."""
logger = logging.getLogger(__name__)


class Hold:
    """A claim with the check that belongs to it."""

    def __init__(self, claim: Claim, records: Records) -> None:
        self.claim = claim
        self._records = records
        self._checked = time.monotonic()

    def fence(self) -> None:
        """Ask the records now whether the claim is the newest.

        Raises:
            StaleHolderError: another process has taken the device over.
        """
        self._records.claims.check(self.claim)
        self._checked = time.monotonic()

    def watch(self) -> None:
        """Do the same when it was not done for `CHECK_SECONDS`; for those who only look on.

        Raises:
            StaleHolderError: another process has taken the device over.
        """
        if time.monotonic() - self._checked >= CHECK_SECONDS:
            self.fence()


_held: ContextVar[dict[tuple[str, tuple[str, ...]], Hold]] = ContextVar("nkloop_held")


def devices_of(bench: Bench) -> tuple[str, ...]:
    """Names under which a bench is claimed: its locks, which benches with a device in common share; else its own."""
    return tuple(sorted(bench.file.locks)) or (f"{bench.name}: {bench.liquid_handler.name}",)


@asynccontextmanager
async def device_held(
    bench: Bench,
    records: Records,
    purpose: str,
    *,
    wait_seconds: float = 0.0,
    lease_seconds: float = LEASE_SECONDS,
) -> AsyncIterator[Hold]:
    """Hold the devices of a bench; inside one that is open already in this task, share it.

    The lease is renewed in the background; the driver's fence asks the records before everything that changes the
    device. A lease that could not be renewed does not end the run, because liquid may be moving: only a newer claim
    does.

    Args:
        bench: whose devices are meant.
        records: where the claim is kept.
        purpose: what for, as the next person who wants the device reads it.
        wait_seconds: how long to wait for somebody else to finish.
        lease_seconds: silence after which others may take over.

    Raises:
        DeviceHeldError: somebody else holds a device, here or, as far as the device tells, with another database.
    """
    devices = devices_of(bench)
    key, outer = (records.url, devices), _held.get({})
    if key in outer:
        yield outer[key]
        return
    hold = Hold(await _claimed(devices, records, purpose, wait_seconds, lease_seconds), records)
    handler, before = bench.liquid_handler, bench.liquid_handler.fence
    handler.fence = hold.fence
    renewal = asyncio.create_task(_renewed(hold.claim, bench, records, lease_seconds))
    token = _held.set({**outer, key: hold})
    try:
        await require_unmarked(bench, records)
        await leave_mark(bench, hold.claim, records, seconds=lease_seconds)
        yield hold
        await leave_mark(bench, hold.claim, records, seconds=0)  # after an error it runs out by itself
    finally:
        _held.reset(token)
        renewal.cancel()
        handler.fence = before
        with suppress(RecordError):  # it runs out by itself; what happened inside matters more
            records.claims.release(hold.claim)


async def _claimed(
    devices: tuple[str, ...], records: Records, purpose: str, wait_seconds: float, lease_seconds: float
) -> Claim:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return records.claims.claim(devices, purpose, lease_seconds=lease_seconds)
        except DeviceHeldError:
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(_LOOK_SECONDS)


async def _renewed(claim: Claim, bench: Bench, records: Records, lease_seconds: float) -> None:
    while True:
        await asyncio.sleep(lease_seconds / 4)
        try:
            records.claims.renew(claim, lease_seconds=lease_seconds)
            await leave_mark(bench, claim, records, seconds=lease_seconds)
        except StaleHolderError:
            return  # whoever holds it is told at the next look or request
        except RecordError as error:
            logger.warning("the lease of %s was not renewed: %s", ", ".join(claim.devices), error)
