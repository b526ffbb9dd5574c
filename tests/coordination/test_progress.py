"""The bar of a run: seldom updated, at 100 % when all steps are done, and never in the way of the run."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID

import httpx
import prefect.artifacts
import pytest

from nkloop.coordination import progress
from nkloop.coordination.progress import progress_shown

ID = UUID(int=7)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What is sent to Prefect, in place of sending it."""
    sent: list[float] = []

    async def create(percent: float, key: str, description: str) -> UUID:
        assert (key, description, sent) == ("run-progress", "medium", [])
        sent.append(percent)
        return ID

    async def update(artifact: UUID, percent: float) -> None:
        assert artifact == ID
        sent.append(percent)

    monkeypatch.setattr(prefect.artifacts, "acreate_progress_artifact", create)
    monkeypatch.setattr(prefect.artifacts, "aupdate_progress_artifact", update)
    return sent


async def test_a_short_run_is_shown_once(shown: list[float]) -> None:
    async with progress_shown("medium") as meter:
        for step in range(1, 43):
            meter.tell(step, 42)
    assert shown == [100.0]


async def test_a_long_run_is_followed(shown: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.02)
    async with progress_shown("medium") as meter:
        await asyncio.sleep(0.1)
        meter.tell(1, 4)
        await asyncio.sleep(0.1)
        meter.tell(4, 4)
    assert shown == [0.0, 25.0, 100.0]


async def test_a_bar_on_its_way_at_the_end_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    made, updated = [], []
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def create(percent: float, **_: Any) -> UUID:
        made.append(percent)
        begun.set()
        await goes_on.wait()
        return ID

    async def update(artifact: UUID, percent: float) -> None:
        updated.append(percent)

    monkeypatch.setattr(prefect.artifacts, "acreate_progress_artifact", create)
    monkeypatch.setattr(prefect.artifacts, "aupdate_progress_artifact", update)
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.02)
    async with progress_shown("medium") as meter:
        await begun.wait()
        meter.tell(4, 4)
        asyncio.get_running_loop().call_later(0.05, goes_on.set)
    assert (made, updated) == ([0.0], [100.0])


async def test_an_interrupted_run_waits_for_no_server(shown: list[float]) -> None:
    async def interrupted() -> None:
        async with progress_shown("medium") as meter:
            meter.tell(1, 4)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await interrupted()
    assert shown == []


async def test_a_server_that_is_gone_stops_no_robot(
    shown: list[float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def gone(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("gone")

    monkeypatch.setattr(prefect.artifacts, "acreate_progress_artifact", gone)
    with caplog.at_level(logging.WARNING):
        async with progress_shown("medium") as meter:
            meter.tell(4, 4)
    assert "progress of medium is not shown: gone" in caplog.text
