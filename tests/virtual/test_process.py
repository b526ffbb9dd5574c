"""The virtual bench as a process: it answers, it can be stopped, it does not outlive its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from nkloop.errors import BenchError
from nkloop.virtual import process
from nkloop.virtual.__main__ import main
from nkloop.virtual.process import VirtualBench
from nkloop.virtual.server import BenchSettings, kept_serial, serve, serve_virtual_bench
from nkloop.virtual.shared import serving_by_hand

SERVER = """
import os, sys
from fastapi import FastAPI
from nkloop.virtual.server import announce_on_stdout, serve

def application():
    app = FastAPI()

    @app.get("/health")
    async def health():
        return {"pid": os.getpid(), "group": os.getpgid(0)}

    return app

serve(application, int(sys.argv[2]), announce=announce_on_stdout, parent=int(sys.argv[1]))
"""
PARENT = """
import os, sys, time
from pathlib import Path
from nkloop.virtual.process import VirtualBench
bench = VirtualBench.launch([sys.executable, sys.argv[1], str(os.getpid()), "0"], log=Path(sys.argv[2]))
print(bench.pid, flush=True)
time.sleep(60)
"""


def health(url: str) -> dict[str, int]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/health", timeout=5) as answer:
        return dict(json.load(answer))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan that ended may wait to be collected.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"


def gone(pid: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "server.py"
    path.write_text(SERVER)
    return path


@pytest.fixture
def launch(script: Path, tmp_path: Path) -> Callable[[], VirtualBench]:
    return lambda: VirtualBench.launch(
        [sys.executable, str(script), str(os.getpid()), "0"], log=tmp_path / "logs" / "bench.log"
    )


def test_a_bench_answers_and_stops(launch: Callable[[], VirtualBench]) -> None:
    with launch() as bench, launch() as other:
        assert bench.url != other.url
        assert bench.url.startswith("http://127.0.0.1:")
        told = health(bench.url)
        assert told == {"pid": bench.pid, "group": bench.pid}
        assert bench.is_running
    assert not bench.is_running
    assert gone(bench.pid)
    bench.stop()
    with pytest.raises(urllib.error.URLError):
        health(bench.url)


def test_a_bench_ends_with_its_parent(script: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(script), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(signal.SIGKILL)
    assert gone(pid)


def test_a_bench_that_fails_tells_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no workspace here')"]
    with pytest.raises(BenchError, match="told no address; it wrote: no workspace here"):
        VirtualBench.launch(command, log=tmp_path / "log")


def test_a_bench_that_dies_after_its_address_is_noticed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", 'print(\'{"url": "http://127.0.0.1:9"}\')']
    with pytest.raises(BenchError, match="ended before it answered; it wrote: nothing"):
        VirtualBench.launch(command, log=tmp_path / "log")


def test_a_silent_bench_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_SECONDS", 0.5)
    pid_file = tmp_path / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(BenchError, match=r"was silent for 0\.5 s"):
        VirtualBench.launch([sys.executable, "-c", code], log=tmp_path / "log")
    assert gone(int(pid_file.read_text()))


def test_a_bench_that_ignores_the_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.2)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        output.readline()
    VirtualBench(child, "").stop()
    assert child.returncode == -signal.SIGKILL


def test_a_taken_port_is_refused(launch: Callable[[], VirtualBench]) -> None:
    with launch() as bench, pytest.raises(BenchError, match=r"cannot be used.*choose another port"):
        serve(lambda: pytest.fail("built an application without a port"), int(bench.url.rpartition(":")[2]))


@pytest.mark.parametrize("speed", [-1.0, float("nan")])
def test_a_speed_below_zero_is_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(BenchError, match="must be at least 0"):
        serve_virtual_bench(tmp_path, 0, BenchSettings(speed=speed))


def test_without_a_bench_file_the_command_ends_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--workspace", str(tmp_path), "--bench", "nowhere"]) == 1
    told = capsys.readouterr()
    assert "nowhere.yaml" in told.err
    assert told.out == ""


def test_the_starter_imports_nothing_heavy() -> None:
    heavy = "{'pandas', 'scipy', 'altair', 'prefect', 'pylabrobot', 'fastapi', 'uvicorn', 'sqlalchemy', 'pint'}"
    code = f"import sys, nkloop.virtual.process, nkloop.virtual.server; print({heavy} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_a_bench_has_one_serial_number_for_as_long_as_its_folder(tmp_path: Path) -> None:
    first = kept_serial(tmp_path)
    assert first.startswith("virtual-")
    assert kept_serial(tmp_path) == first
    assert kept_serial(None) not in {first, kept_serial(None)}, "a bench that forgets is another one each time"


def test_two_benches_never_work_with_one_folder(tmp_path: Path) -> None:
    with (
        serving_by_hand(tmp_path / "state"),
        pytest.raises(BenchError, match="another virtual bench works with this folder"),
    ):
        serve_virtual_bench(tmp_path, 0, BenchSettings(state=tmp_path / "state"))
