"""Holding the devices of a bench while something happens on them: claim, renewed lease, fence."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import Belongs, Fenced
from nkloop.errors import DeviceHeldError, RecordError, StaleHolderError
from nkloop.records import Records
from nkloop.records.claims import LEASE_SECONDS
from nkloop.records.models import Claim
from nkloop.runs.marking import leave_mark, require_unmarked

CHECK_SECONDS = 1.0
"""Longest time until somebody who only watches a run learns that the device has been taken over."""
AWAY_SECONDS = 30.0
"""For so long records that could not be asked are not asked again by who stops a device."""
_LOOK_SECONDS = 0.5
"""Between two attempts to get a device that somebody else holds."""
logger = logging.getLogger(__name__)


class Hold:
    """A claim with the check that belongs to it."""

    def __init__(self, claim: Claim, records: Records, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.claim = claim
        self._records = records
        self._lease_seconds = lease_seconds
        self._checked = self._looked = time.monotonic()

    def fence(self) -> None:
        """Ask the records now whether the claim is the newest.

        Raises:
            StaleHolderError: another process has taken the device over.
        """
        self._records.claims.check(self.claim)
        self._checked = time.monotonic()

    def watch(self) -> None:
        """Do the same when it was not done for `CHECK_SECONDS`; for those who only look on.

        Records that are away are waited for as long as a lease lasts: so long nobody can have taken the device over.

        Raises:
            StaleHolderError: another process has taken the device over.
            RecordError: the records could not be asked for that long.
        """
        now = time.monotonic()
        if now - max(self._checked, self._looked) < CHECK_SECONDS:
            return
        self._looked = now
        try:
            self.fence()
        except RecordError as error:
            if now - self._checked >= self._lease_seconds:
                raise
            logger.warning("%s goes on; it could not be asked who holds it: %s", ", ".join(self.claim.devices), error)


Noted = Callable[[], Awaitable[None]]
"""Leaves word of the holder on the device itself."""
_held: ContextVar[dict[tuple[str, tuple[str, ...]], Hold]] = ContextVar("nkloop_held")


def devices_of(bench: Bench) -> tuple[str, ...]:
    """Names under which a bench is claimed: its locks, which benches with a device in common share; else its own."""
    whole = bench.whole or bench
    return tuple(sorted(whole.file.locks)) or (f"{whole.name}: {whole.liquid_handler.name}",)


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
        BenchError: it is the virtual bench of another workspace.
    """
    devices, handler = devices_of(bench), bench.liquid_handler
    if (outer := held_already(devices, records)) is not None:
        with _fenced(handler, outer):
            yield outer
        return
    if isinstance(bench.clock, Belongs):
        await bench.clock.require_own()
    claim = await _claimed(devices, records, purpose, wait_seconds, lease_seconds)

    async def noted() -> None:
        await leave_mark(bench, claim, records, seconds=lease_seconds)

    async with _kept(claim, records, handler, lease_seconds, noted) as hold:
        await require_unmarked(bench, records)
        await noted()
        yield hold
        await leave_mark(bench, claim, records, seconds=0)  # after an error it runs out by itself


@asynccontextmanager
async def name_held(
    name: str,
    device: Fenced,
    records: Records,
    purpose: str,
    *,
    wait_seconds: float = 0.0,
    lease_seconds: float = LEASE_SECONDS,
) -> AsyncIterator[Hold]:
    """Hold one device that has a name of its own, as `device_held` does for those of a bench; raises the same."""
    if (outer := held_already((name,), records)) is not None:
        with _fenced(device, outer):
            yield outer
        return
    claim = await _claimed((name,), records, purpose, wait_seconds, lease_seconds, tells=True)
    async with _kept(claim, records, device, lease_seconds) as hold:
        yield hold


def held_already(devices: Sequence[str], records: Records) -> Hold | None:
    """The hold of all these devices that is open in this task, None when there is none."""
    for (url, held), hold in _held.get({}).items():
        if url == records.url and set(devices) <= set(held):
            return hold
    return None


@contextmanager
def _fenced(device: Fenced, hold: Hold) -> Iterator[None]:
    """A device that asks this hold before it is changed."""
    before, device.fence = device.fence, hold.fence
    try:
        yield
    finally:
        device.fence = before


@contextmanager
def may_be_stopped(device: Fenced) -> Iterator[None]:
    """A device that is stopped also while its holder cannot be looked up: liquid moves, and to stop harms nobody.

    A newer claim still refuses. Records that were away are not asked again at once, as each attempt may take long.
    """
    before, quiet_until = device.fence, 0.0

    def fence() -> None:
        nonlocal quiet_until
        if time.monotonic() < quiet_until:
            return
        try:
            before()
        except RecordError as error:
            quiet_until = time.monotonic() + AWAY_SECONDS
            logger.warning("the device is stopped although it could not be asked who holds it: %s", error)

    device.fence = fence
    try:
        yield
    finally:
        device.fence = before


@asynccontextmanager
async def _kept(
    claim: Claim, records: Records, device: Fenced, lease_seconds: float, noted: Noted | None = None
) -> AsyncIterator[Hold]:
    """A claim renewed in the background, with the fence it gives to the device; released at the end."""
    hold = Hold(claim, records, lease_seconds=lease_seconds)
    token = _held.set({**_held.get({}), (records.url, claim.devices): hold})
    renewal = asyncio.create_task(_renewed(claim, records, lease_seconds, noted))
    try:
        with _fenced(device, hold):
            yield hold
    finally:
        _held.reset(token)
        renewal.cancel()
        with suppress(RecordError):  # it runs out by itself; what happened inside matters more
            records.claims.release(claim)


async def _claimed(
    devices: tuple[str, ...],
    records: Records,
    purpose: str,
    wait_seconds: float,
    lease_seconds: float,
    *,
    tells: bool = False,
) -> Claim:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return records.claims.claim(devices, purpose, lease_seconds=lease_seconds)
        except DeviceHeldError as error:
            if time.monotonic() >= deadline:
                raise
            if tells:
                logger.info("%s waits: %s", purpose, error.problems[0].message)
            tells = False
        await asyncio.sleep(_LOOK_SECONDS)


async def _renewed(claim: Claim, records: Records, lease_seconds: float, noted: Noted | None) -> None:
    while True:
        await asyncio.sleep(lease_seconds / 4)
        try:
            records.claims.renew(claim, lease_seconds=lease_seconds)
            if noted is not None:
                await noted()
        except StaleHolderError:
            return  # whoever holds it is told at the next look or request
        except RecordError as error:
            logger.warning("the lease of %s was not renewed: %s", ", ".join(claim.devices), error)
