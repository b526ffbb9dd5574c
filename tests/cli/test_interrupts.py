"""Ctrl+C or SIGTERM in the middle of a demo: no process is left, the record is readable, exit code 130."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nkloop.records import Records
from nkloop.vendor.cache import CACHE_VARIABLE
from nkloop.workspace import Workspace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vendor,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc"),
]
MARK = "NKLOOP_TEST_MARK"
MAIN = [sys.executable, "-c", "from nkloop.cli import main; main()"]


@dataclass
class Demo:
    """A demo in a process group of its own, as a terminal starts it."""

    folder: Path
    process: subprocess.Popen[str]
    seconds_to_end: float = 0.0
    out: str = ""
    err: str = ""

    @classmethod
    def start(cls, folder: Path) -> Demo:
        command = [*MAIN, "demo", "--rounds", "1", "--arms", "2", "--directory", str(folder)]
        environment = {
            k: v for k, v in os.environ.items() if k == CACHE_VARIABLE or not k.startswith(("NKLOOP_", "PREFECT_"))
        }
        process = subprocess.Popen(
            command,
            env={**environment, MARK: str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return cls(folder, process)

    @property
    def family(self) -> dict[int, str]:
        """Every process that carries this demo's mark, itself included."""
        wanted = f"{MARK}={self.folder}".encode()
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if wanted in (place / "environ").read_bytes().split(b"\0"):
                    found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    @property
    def n_begun(self) -> int:
        """Robot runs begun."""
        with contextlib.suppress(sqlite3.Error):
            url = f"file:{self.folder / '.nkloop' / 'records.db'}?mode=ro"
            with contextlib.closing(sqlite3.connect(url, uri=True)) as records:
                count = records.execute("select count(*) from runs where started_at is not null").fetchone()
                return int(count[0])
        return 0

    def wait(self, condition: Callable[[Demo], bool]) -> None:
        """Return a random moment after the condition holds."""
        while not condition(self):
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        time.sleep(random.random())

    def end(self, number: int, *, whole_group: bool) -> Demo:
        """Send a signal, to the whole group as a terminal does or to the one process as `kill` does."""
        begun = time.monotonic()
        (os.killpg if whole_group else os.kill)(self.process.pid, number)
        self.out, self.err = self.process.communicate(timeout=60)
        self.seconds_to_end = time.monotonic() - begun
        return self

    def clean_up(self) -> None:
        for pid in self.family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Demo]]:
    """Two demos: SIGTERM while one starts, Ctrl+C while the robot of the other moves.

    SIGTERM and Ctrl+C are one thing from the first lines of the command on (`nkloop.cli.interrupts`), and each demo
    that comes to move a robot takes some ten seconds of processor time.
    """
    folder = tmp_path_factory.mktemp("demos")
    started: dict[str, Demo] = {}
    try:
        started["early"] = Demo.start(folder / "early")
        # the family while it starts: itself, Prefect server, virtual bench
        started["early"].wait(lambda demo: len(demo.family) >= 3)
        started["early"].end(signal.SIGTERM, whole_group=False)
        started["moving"] = Demo.start(folder / "moving")
        started["moving"].wait(lambda demo: demo.n_begun >= 2)
        started["moving"].end(signal.SIGINT, whole_group=True)
        yield started
    finally:
        for demo in started.values():
            demo.clean_up()


@pytest.fixture(params=["early", "moving"])
def demo(request: pytest.FixtureRequest, demos: dict[str, Demo]) -> Demo:
    return demos[str(request.param)]


def test_it_ends_soon_with_130_and_two_lines(demo: Demo) -> None:
    assert demo.process.returncode == 130, demo.err
    assert "Traceback" not in demo.err
    assert "ERROR" not in demo.err
    assert f"what happened so far is recorded in {demo.folder / '.nkloop'}" in " ".join(demo.err.split())
    assert demo.out == ""
    assert demo.seconds_to_end < 90


def test_no_process_is_left(demo: Demo) -> None:
    for _ in range(50):
        if not demo.family:
            return
        time.sleep(0.1)
    pytest.fail(f"still running: {demo.family}")


def test_the_record_is_readable(demo: Demo, nkloop: Callable[..., Any]) -> None:
    told = nkloop("report", "--last", "--workspace", demo.folder)
    assert (told.code, told.err) == (0, "")
    if "campaigns: 0" in told.out:
        return
    assert "demo-seed-1" in Path(told.out.strip()).read_text(encoding="utf-8")


def test_the_run_under_way_is_interrupted_and_every_step_accounted_for(demos: dict[str, Demo]) -> None:
    records = Records.open(Workspace(root=demos["moving"].folder).state)
    try:
        *earlier, last = records.journal.runs()
        assert {run.state for run in earlier} == {"succeeded"}
        assert last.state in {"interrupted", "succeeded"}
        for run in (*earlier, last):
            assert {step.event for step in run.steps} <= {"done", "failed", "unknown"} | (
                {"intended"} if run.started_at is None else set()
            )
        assert len(last.unknown_steps) <= 1
        assert records.audit.verify_chain() == ()
    finally:
        records.close()
