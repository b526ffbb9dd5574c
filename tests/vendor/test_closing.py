"""A client that is closed, or a start that is cancelled, in the middle of its work: nothing hangs, nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from nkloop.vendor import process as workers
from nkloop.vendor.client import VendorClient
from nkloop.vendor.process import WorkerProcess

FAKE = Path(__file__).parent / "fake_worker.py"


@pytest.fixture
def sleeper(tmp_path: Path) -> Path:
    path = tmp_path / "sleeper.py"
    path.write_text("sleep 30")
    return path


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came to this")


async def test_closing_cancels_jobs_under_way_and_no_worker_starts_again(sleeper: Path) -> None:
    client = VendorClient(script=FAKE, workers=1)
    running = [asyncio.create_task(client.analyse(sleeper)) for _ in range(3)]  # one runs, two wait for the worker
    await until(lambda: bool(client.pids))
    async with asyncio.timeout(15):
        await client.close()
        ended = await asyncio.gather(*running, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError] * 3
    assert client.pids == ()


async def test_a_start_cancelled_while_the_process_is_made_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[asyncio.subprocess.Process] = []
    make = asyncio.create_subprocess_exec
    begun = asyncio.Event()

    async def slowly(*command: str, **settings: object) -> asyncio.subprocess.Process:
        begun.set()
        await asyncio.sleep(0.2)
        made.append(await make(*command, **settings))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(workers.asyncio, "create_subprocess_exec", slowly)
    worker = WorkerProcess(FAKE, start_seconds=30)
    starting = asyncio.create_task(worker.start())
    await begun.wait()
    starting.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert [process.returncode for process in made] == [-9]
    assert not worker.is_alive


async def test_two_tasks_may_end_a_worker_at_once() -> None:
    worker = WorkerProcess(FAKE, start_seconds=30)
    await worker.start()
    async with asyncio.timeout(15):
        await asyncio.gather(worker.kill(), worker.close(), worker.kill())
    assert not worker.is_alive
