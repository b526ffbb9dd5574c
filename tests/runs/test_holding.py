"""Holding a device during a run: others wait or are refused, the stale are told and touch nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import DeviceState
from nkloop.errors import DeviceHeldError, RecordError, StaleHolderError
from nkloop.records import Records
from nkloop.runs import holding
from nkloop.runs.execution import execute, play_run, prepare_run
from nkloop.runs.holding import device_held, devices_of
from nkloop.runs.reconcile import reconcile_bench
from nkloop.worklists.models import Verdict, Worklist


async def test_two_who_want_one_device_are_never_on_it_together(bench: Bench, records: Records) -> None:
    inside: list[str] = []

    async def work(name: str) -> None:
        async with device_held(bench, records, name, wait_seconds=5):
            assert not inside
            inside.append(name)
            await asyncio.sleep(0.01)
            inside.remove(name)

    await asyncio.gather(work("feed"), work("prepare medium"))
    assert len(records.claims.history(devices_of(bench)[0])) == 4


async def test_without_patience_the_second_is_told_who_holds_it(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    other = records.claims.claim(devices_of(bench), "prepare medium")
    with pytest.raises(DeviceHeldError, match="held by prepare medium"):
        await execute(worklist, verdict, bench, records)
    assert (handler.calls, records.journal.runs()) == ([], ())
    records.claims.release(other)
    assert (await execute(worklist, verdict, bench, records)).state == "succeeded"


async def test_inside_a_hold_it_is_shared_and_given_back_once(bench: Bench, records: Records) -> None:
    async with device_held(bench, records, "killing assay") as outer:
        async with device_held(bench, records, "run") as inner:
            assert inner is outer
        outer.fence()
    with pytest.raises(StaleHolderError, match="gave the device back"):
        outer.fence()


async def test_who_lost_the_device_sends_nothing_and_does_not_stop_it(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(holding, "CHECK_SECONDS", 0.0)
    state = handler.state

    async def taken_over(run_id: str) -> DeviceState:
        if handler.plays and records.claims.holders()[0].token == 1:
            expire(records)
            records.claims.claim(devices_of(bench), "reconcile run-0001")
        found: DeviceState = await state(run_id)
        return found

    monkeypatch.setattr(handler, "state", taken_over)
    with pytest.raises(StaleHolderError, match="held by reconcile run-0001"):
        await execute(worklist, verdict, bench, records)
    assert "stop" not in handler.calls
    assert handler.status == "running"
    run = records.journal.run("run-0001")
    assert (run.state, run.unknown_steps) == ("running", (1, 2, 3)), "the new holder says what became of it"


async def test_a_run_that_was_taken_over_between_its_tasks_is_not_played(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    async with device_held(bench, records, "feed"):
        run_id = await prepare_run(worklist, verdict, bench, records)
        expire(records)
        records.claims.claim(devices_of(bench), "another flow")
        with pytest.raises(StaleHolderError):
            await play_run(run_id, bench, records)
    assert handler.plays == 0
    assert {step.event for step in records.journal.run(run_id).steps} == {"intended"}


@pytest.fixture
async def away(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[asyncio.Task[Any], pytest.MonkeyPatch]]:  # fmt: skip
    """A run under way while the database does not answer; what takes that back."""
    monkeypatch.setattr(holding, "CHECK_SECONDS", 0.0)
    handler.never_finishes, handler.poll_seconds = True, 0.01
    playing = asyncio.create_task(execute(worklist, verdict, bench, records))
    async with asyncio.timeout(10):
        while handler.status != "running":  # noqa: ASYNC110 - the handler of the tests tells nobody
            await asyncio.sleep(0.01)

    def refused(*_: Any, **__: Any) -> Any:
        raise RecordError("the database refused: server closed the connection unexpectedly")

    with monkeypatch.context() as patched:
        patched.setattr(records.claims, "check", refused)
        for name in ("run", "set_run_state", "close_run"):
            patched.setattr(records.journal, name, refused)
        yield playing, patched
    playing.cancel()
    await asyncio.wait([playing])


Away = tuple[asyncio.Task[Any], pytest.MonkeyPatch]


async def test_ctrl_c_stops_the_robot_also_while_the_database_is_away(
    away: Away, bench: Bench, records: Records, handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can have taken the device over in a database that nobody reaches."""
    playing, patched = away
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert handler.status == "stopped"
    assert "the device was stopped: the database refused: server closed the connection" in caplog.text
    assert "when the records are there again: `nkloop reconcile run-0001`" in caplog.text
    patched.undo()
    await reconcile_bench(bench, records)
    assert records.journal.run("run-0001").state == "stopped"


async def test_a_database_that_is_away_for_a_moment_does_not_end_a_run(
    away: Away, records: Records, handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """So long as its lease lasts nobody can have taken the device over."""
    playing, patched = away
    await asyncio.sleep(0.1)
    assert "it could not be asked who holds it: the database refused" in caplog.text
    patched.undo()
    handler.never_finishes = False
    assert (await asyncio.wait_for(playing, 10)).state == "succeeded"


async def test_a_run_is_stopped_whose_records_are_away_for_longer_than_its_lease(
    away: Away, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing, _ = away
    now = time.monotonic()
    monkeypatch.setattr(holding, "time", SimpleNamespace(monotonic=lambda: now + 61))
    with pytest.raises(RecordError, match="the database refused"):
        await asyncio.wait_for(playing, 10)
    assert handler.status == "stopped"


async def test_the_lease_is_renewed_while_the_work_lasts(bench: Bench, records: Records) -> None:
    async with device_held(bench, records, "long run", lease_seconds=0.2):
        before = records.claims.holders()[0].expires_at
        await asyncio.sleep(0.3)
        assert records.claims.holders()[0].expires_at > before
        with pytest.raises(DeviceHeldError):
            records.claims.claim(devices_of(bench), "impatient")


def expire(records: Records) -> None:
    """Let the lease of whoever holds the device run out."""
    with records.journal._database.writing() as connection:
        connection.exec_driver_sql("UPDATE device_holders SET expires_at = claimed_at")
