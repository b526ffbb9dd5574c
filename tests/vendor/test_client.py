"""The client's own promises, held against a worker that sleeps, floods and dies on command."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nkloop.errors import VendorError, VendorTimeoutError
from nkloop.vendor.cache import CACHE_VARIABLE, answers_folder
from nkloop.vendor.client import VendorClient

FAKE = Path(__file__).parent / "fake_worker.py"
Make = Callable[[str], Path]


@pytest.fixture
async def client() -> AsyncIterator[VendorClient]:
    async with VendorClient(script=FAKE, workers=2, job_seconds=20) as client:
        yield client


@pytest.fixture
def protocol(tmp_path: Path) -> Make:
    def make(command: str) -> Path:
        path = tmp_path / f"{command.replace(' ', '_').replace('/', '-')[-60:]}.py"
        path.write_text(command)
        return path

    return make


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state != "Z"


def ends(pid: int, within: float = 5.0) -> bool:
    end = time.monotonic() + within
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not is_running(pid)


def said(analysis: object) -> str:
    message: str = analysis.commands[0]["params"]["message"]  # type: ignore[attr-defined]
    return message


async def test_many_jobs_at_once_each_get_their_own_answer(client: VendorClient, protocol: Make) -> None:
    paths = [protocol(f"ok {number}") for number in range(30)]
    answers = await asyncio.gather(*(client.analyse(path) for path in paths))
    assert [said(answer) for answer in answers] == [f"ok {number}" for number in range(30)]
    assert len(client.pids) == 2


@pytest.mark.parametrize("command", ["flood", "long"])
async def test_much_output_blocks_nothing(client: VendorClient, protocol: Make, command: str) -> None:
    answers = await asyncio.gather(*(client.analyse(protocol(command)) for _ in range(3)))
    assert {answer.result for answer in answers} == {"ok"}


async def test_a_worker_that_dies_once_is_replaced(client: VendorClient, protocol: Make, tmp_path: Path) -> None:
    answer = await client.analyse(protocol(f"crash once {tmp_path / 'crashed'}"))
    assert answer.is_ok


async def test_a_worker_that_dies_twice_is_told_with_its_last_words(client: VendorClient, protocol: Make) -> None:
    with pytest.raises(VendorError, match=r"crash\.py: .*died twice.*cannot map memory at 0xBAD"):
        await client.analyse(protocol("crash"))
    assert (await client.analyse(protocol("ok"))).is_ok


async def test_an_overdue_job_is_ended_and_the_next_one_works(client: VendorClient, protocol: Make) -> None:
    with pytest.raises(VendorTimeoutError, match=r"sleep_60\.py: job analyse ran past its limit of 0\.2 s"):
        await client.analyse(protocol("sleep 60"), job_seconds=0.2)
    assert client.pids == ()
    assert (await client.analyse(protocol("ok"))).is_ok


async def test_a_cancelled_job_leaves_no_process(client: VendorClient, protocol: Make) -> None:
    await client.start()
    before = set(client.pids)
    job = asyncio.create_task(client.analyse(protocol("sleep 60")))
    await asyncio.sleep(0.2)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    (killed,) = before - set(client.pids)
    assert not is_running(killed)
    assert (await client.analyse(protocol("ok"))).is_ok


async def test_a_refusal_is_an_error_and_no_restart(client: VendorClient, protocol: Make) -> None:
    await client.start()
    before = client.pids
    with pytest.raises(VendorError, match=r"analyse: no such protocol\. Remedy: "):
        await client.analyse(protocol("refuse"))
    assert client.pids == before


async def test_an_absent_file_is_told_with_its_path(client: VendorClient, tmp_path: Path) -> None:
    with pytest.raises(VendorError, match=r"gone\.py: the file cannot be read"):
        await client.analyse(tmp_path / "gone.py")
    with pytest.raises(VendorError, match=r"gone\.csv: there is no such file"):
        await client.parse_instrument_file(tmp_path / "gone.csv", "BMG_MARS")


async def test_a_worker_that_cannot_start_is_told_with_its_last_words(tmp_path: Path, protocol: Make) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no package index here')")
    async with VendorClient(script=script) as client:
        with pytest.raises(VendorError, match=r"did not start: no package index here.*Remedy: see `nkloop doctor`"):
            await client.analyse(protocol("ok"))


async def test_a_worker_that_never_becomes_ready_is_given_up(tmp_path: Path) -> None:
    script = tmp_path / "silent.py"
    script.write_text("import time; time.sleep(60)")
    async with VendorClient(script=script, start_seconds=1) as client:
        with pytest.raises(VendorError, match="did not start within 1 s"):
            await client.start()
        assert client.pids == ()


async def test_close_leaves_no_process(protocol: Make) -> None:
    client = VendorClient(script=FAKE, workers=2)
    await client.start()
    pids = client.pids
    await client.close()
    assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)


async def test_ctrl_c_in_the_terminal_does_not_reach_the_worker(client: VendorClient) -> None:
    await client.start()
    assert all(os.getsid(pid) == pid != os.getsid(0) for pid in client.pids)


@pytest.mark.parametrize("command", ["ok", "sleep 60"])
def test_a_killed_parent_leaves_no_orphan(tmp_path: Path, protocol: Make, command: str) -> None:
    script = f"""
        import asyncio, sys
        from pathlib import Path
        from nkloop.vendor.client import VendorClient
        async def main():
            client = VendorClient(script=Path({str(FAKE)!r}))
            answer = await client.start()
            print(client.pids[0], answer["pid"], flush=True)
            await client.analyse(Path({str(protocol(command))!r}))
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        time.sleep(0.3)
        parent.send_signal(signal.SIGKILL)
    for pid in pids:
        assert ends(pid)


async def test_a_cached_answer_needs_no_worker(tmp_path: Path, protocol: Make) -> None:
    cache = tmp_path / "cache"
    async with VendorClient(cache, script=FAKE) as client:
        first = await client.analyse(protocol("ok"), csv="a,b")
        assert (await client.analyse(protocol("ok"), csv="a,c")) == first
    assert len(list(cache.iterdir())) == 2
    async with VendorClient(cache, script=FAKE) as client:
        assert await client.analyse(protocol("ok"), csv="a,b") == first
        assert client.pids == ()
        for path in cache.iterdir():
            path.write_text('{"result": "o')
        assert await client.analyse(protocol("ok"), csv="a,b") == first
        assert len(client.pids) == 1


@pytest.mark.parametrize(("shared", "found"), [("", "state/analyses"), ("elsewhere", "elsewhere")])
def test_workspaces_share_answers_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, shared: str, found: str
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, shared)
    assert answers_folder(Path("state")) == Path(found)
    assert answers_folder() == (Path(shared) if shared else None)
