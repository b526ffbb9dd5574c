"""Scenes with a Prefect server, and with the runner of `nkloop serve` beside it; both may be killed and come back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from crash_lab.flow import IN_PREFECT, RUN_FLOW, TAKE_UP_FLOW, FlowTask, bench_at, launched_process, session_of
from crash_lab.plan import RECOVERED, SERVER, WORKER
from crash_lab.prefect_server import enter, new_home, run_server
from crash_lab.scene import LONGEST_LIFE_S, Scene, SceneError, _wait
from nkloop.records import Records
from nkloop.records.models import DeviceHolder
from nkloop.records.processes import has_ended
from nkloop.workspace import Workspace

SETTLES_S = 60.0
"""What a killed runner left is closed by the next one within this time, or by whoever takes the work up."""
_LOOK_S = 0.05


class PrefectScene(Scene):
    """A scene whose flows are coordinated by a Prefect server of its own."""

    run_work, take_up_work = RUN_FLOW, TAKE_UP_FLOW
    template: Path
    """Folder with the database of a new server."""

    @property
    def home(self) -> Path:
        """Folder of the server."""
        return self.places.folder / "prefect"

    def set_up(self, template: Path | None) -> None:
        """Make the workspace and the folder of the server."""
        super().set_up(template)
        new_home(self.template, self.home)

    def open(self) -> None:
        """Start world, robot and server."""
        super().open()
        self.start_server()

    def start_server(self) -> None:
        """Start the Prefect server (again)."""
        self._start(SERVER, run_server, self.home, self._ports[2])
        with httpx.Client(base_url=self._api, timeout=5) as client:
            _wait(self._alive[SERVER], lambda: _is_well(client))

    def start_flow(self, task: FlowTask) -> Any:
        """Start a flow process that finds the server."""
        return super().start_flow(_with_server(task, self.home, self._ports[2]))

    def revive(self) -> None:
        """Bring robot and server back."""
        super().revive()
        if not self._alive[SERVER].is_alive():
            time.sleep(self._away_s)
            self.start_server()

    @property
    def _api(self) -> str:
        return f"http://127.0.0.1:{self._ports[2]}/api"


def _with_server(task: FlowTask, home: Path, port: int) -> FlowTask:
    return replace(task, prepare=partial(enter, home, port)) if task.work in IN_PREFECT else task


def _is_well(client: httpx.Client) -> bool:
    with suppress(httpx.HTTPError):
        return client.get("/health").is_success
    return False


class ServedScene(PrefectScene):
    """A scene whose flows are launched from a deployment and started by the runner of `nkloop serve`."""

    def open(self) -> None:
        """Start world, robot, server and runner."""
        super().open()
        self._groups: list[int] = []
        self._deployment = ""
        self._n_outcomes = 0
        self.start_worker()

    def start_worker(self) -> None:
        """Start the runner (again)."""
        from crash_lab.in_prefect import run_worker

        lab, places, procedure = self._lab, self.places, self._procedure
        bench = bench_at(procedure.bench, *(f"http://127.0.0.1:{port}" for port in self._ports[:2]))
        begin = partial(launched_process, lab, places, bench, procedure)
        opened = partial(session_of, lab, places, bench)
        told = (self.home, self._ports[2], places.folder, procedure.bench.name, begin, opened)
        self._groups.append(self._start(WORKER, run_worker, *told).pid or 0)

    def start_flow(self, task: FlowTask) -> Any:
        """Launch a flow run; what Prefect has no part in is done by a process of its own."""
        if task.work not in IN_PREFECT:
            return super().start_flow(task)
        self.places.note_launched(task)
        self._n_outcomes = len(self.places.outcomes())
        body = {"parameters": {"work": task.work}, "state": {"type": "SCHEDULED"}}
        with httpx.Client(base_url=self._api, timeout=30) as client:
            self._until(lambda: bool(self._found(client)), "deployment")
            self._until(lambda: client.post(f"/deployments/{self._deployment}/create_flow_run", json=body).is_success)
        return None

    def watch(self, who: str, strike: tuple[str, float] | None = None) -> int:
        """Wait for the end of a flow run that was launched, and for what the next runner makes of it."""
        if who in self._alive:
            return super().watch(who, strike)
        started = time.monotonic()

        def is_over() -> bool:
            nonlocal strike
            passed = time.monotonic() - started
            if strike is not None and passed >= strike[1]:
                self.places.kill(strike[0], f"after {passed:.3f} s")
                strike = None
            pid = self.places.pid(who)
            return pid is not None and _has_ended(pid)

        self._until(is_over, f"end of the {who} process")
        self.places.forget_pid(who)
        if any(line.startswith(WORKER) for line in self.places.killed()):
            with suppress(SceneError):
                self._until(self._is_settled, "runner that closes what was left", SETTLES_S)
        told = self.places.outcomes()[self._n_outcomes :]
        return 0 if told and not told[-1]["error"] else 3

    def revive(self) -> None:
        """Bring robot, server and runner back."""
        super().revive()
        if not self._alive[WORKER].is_alive():
            self.start_worker()

    def end(self, who: str) -> None:
        """End a process; the runner with all it started."""
        if who == WORKER:
            with suppress(ProcessLookupError):
                os.killpg(self._groups[-1], signal.SIGKILL)
        super().end(who)
        if who == WORKER:
            with suppress(ChildProcessError):
                while True:
                    os.waitpid(-self._groups[-1], 0)

    def _until(self, is_so: Any, what: str = "answer", seconds: float = LONGEST_LIFE_S) -> None:
        deadline = time.monotonic() + seconds
        while not _holds(is_so):
            if time.monotonic() > deadline:
                raise SceneError(f"no {what} within {seconds:g} s")
            self.revive()
            time.sleep(_LOOK_S)

    def _found(self, client: httpx.Client) -> str:
        from crash_lab.in_prefect import DEPLOYMENT, FLOW

        if not self._deployment:
            answer = client.get(f"/deployments/name/{FLOW}/{DEPLOYMENT}")
            self._deployment = answer.json()["id"] if answer.is_success else ""
        return self._deployment

    def come_to_rest(self) -> None:
        """Wait until the runner is done with what it found open at its start, and nobody holds a device any more.

        A runner that saw a run open right before it was closed claims its device for a moment, however late its process
        gets its turn; it must not be ended then.

        Raises:
            SceneError: it does not come to rest.
        """
        self._until(self._is_at_rest, "runner at rest", SETTLES_S)

    def _is_at_rest(self) -> bool:
        records = Records.open(Workspace(root=self.places.folder).state)
        try:
            return is_at_rest(records.claims.holders(), self._alive[WORKER].pid, self.places.pid(RECOVERED))
        finally:
            records.close()

    def _is_settled(self) -> bool:
        """Whether nothing is left that the runner closes; what a dead process held, whoever comes next takes over."""
        records = Records.open(Workspace(root=self.places.folder).state)
        try:
            holders = records.claims.holders()
            is_held = any(one.released_at is None and not has_ended(one.process) for one in holders)
            return not is_held and all(run.is_over for run in records.journal.runs())
        finally:
            records.close()


def is_at_rest(holders: Iterable[DeviceHolder], runner: int | None, recovered: int | None) -> bool:
    """Whether every device was given back, as the judge wants it, and this runner will not claim one by itself.

    Args:
        holders: the last of every device.
        runner: process of the runner that lives.
        recovered: process of the last runner that is done with what it found open.
    """
    return runner == recovered and all(one.released_at is not None for one in holders)


def _holds(is_so: Any) -> bool:
    with suppress(httpx.HTTPError):
        return bool(is_so())
    return False


def _has_ended(pid: int) -> bool:
    """Whether a process has ended, that may be ours since its parent was killed, or still another's."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
