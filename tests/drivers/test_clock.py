"""The clock of a real bench."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from nkloop.drivers.clock import SystemClock
from nkloop.drivers.interfaces import Steady


async def test_now_is_utc() -> None:
    now = await SystemClock().now()
    assert abs((datetime.now(UTC) - now).total_seconds()) < 1
    assert now.utcoffset() == timedelta(0)


async def test_sleeping_ends_at_the_time_and_not_before() -> None:
    clock = SystemClock()
    when = await clock.now() + timedelta(seconds=0.05)
    await clock.sleep_until(when)
    assert await clock.now() >= when


async def test_the_past_is_not_waited_for() -> None:
    async with asyncio.timeout(5):
        await SystemClock().sleep_until(datetime.now(UTC) - timedelta(days=1))


async def test_a_sleep_can_be_cancelled() -> None:
    task = asyncio.create_task(SystemClock().sleep_until(datetime.now(UTC) + timedelta(days=1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        await SystemClock().sleep_until(datetime(2026, 1, 1))


async def test_what_nobody_corrects_is_waited_for_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    assert isinstance(clock, Steady)
    began = clock.steady()
    monkeypatch.setattr("nkloop.drivers.clock.datetime", None)
    await clock.sleep_steadily(began + 0.05)
    assert clock.steady() - began >= 0.05
    async with asyncio.timeout(5):
        await clock.sleep_steadily(began - 3600)
