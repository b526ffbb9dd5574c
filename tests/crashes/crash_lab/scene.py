"""The processes of one scene: world, robot, flows. All are forked from one warm process and ended at its end."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx

from crash_lab.analyst import SharedVendor
from crash_lab.flow import FlowTask, bench_at, flow_process
from crash_lab.judge import judge
from crash_lab.places import Places
from crash_lab.procedures import Lab, Procedure, known_analyses
from crash_lab.reality import PhysicalTrigger, run_reality
from crash_lab.robot import KnownAnalyses, run_robot
from nkloop.drivers.interfaces import ENDED
from nkloop.workspace import Workspace

FORK = multiprocessing.get_context("fork")
LONGEST_S = 60.0
"""Longest wait for any answer."""
LONGEST_LIFE_S = 480.0
"""Longest life of a flow process; a whole run on a busy machine takes minutes."""
PR_SET_PDEATHSIG = 1
"""<linux/prctl.h>: the signal a process gets when its parent ends."""
_STEP_S = 0.01
_PORTS = (12_000, 32_000)
_AGREED = {"Opentrons-Version": "*"}


class SceneError(Exception):
    """Something happened that no crash explains."""


class Scene:
    """A workspace of its own with a world, a robot and any number of flows on one procedure."""

    run_work, take_up_work, last_work = "run", "take up", "take up"
    """What a flow does, what is done after a crash, and what is when nobody is killed any more; keys of `flow.WORK`."""

    def __init__(
        self,
        lab: Lab,
        places: Places,
        procedure: Procedure,
        *,
        seed: int,
        physical: PhysicalTrigger | None = None,
        away_s: float = 0.1,
        speed: float = 0.0,
    ) -> None:
        """`away_s` is how long a killed robot stays away, `speed` bench seconds per wall second (0: no waiting)."""
        self._lab, self.places, self._procedure = lab, places, procedure
        self._seed, self._physical, self._away_s, self._speed = seed, physical, away_s, speed
        self._ports = _free_ports(3)
        """Of world, robot and Prefect server."""
        self._alive: dict[str, BaseProcess] = {}

    def set_up(self, template: Path | None) -> None:
        """Make the workspace: the shipped folders, and a copy of the database file `template` where there is one."""
        root, shipped = self.places.folder, self._lab.workspace
        root.mkdir(parents=True)
        for name in ("recipes", "protocols", "labware", "devices", "flows"):
            (root / name).symlink_to(shipped.root / name)
        state = Workspace(root=root).state
        state.mkdir(parents=True)
        if template is not None:
            shutil.copy(template, state / "records.db")

    def open(self) -> None:
        """Start world and robot."""
        world = self._lab.world(self._procedure, self._seed)
        self._start("reality", run_reality, world, self.places, self._ports[0], self._physical)
        _wait(self._alive["reality"], lambda: Path(self.places.hands).exists())
        self.start_robot()

    def start_robot(self) -> None:
        """Switch the robot on (again)."""
        analyse = KnownAnalyses(known_analyses(self._lab), SharedVendor(self._lab.analyst, self._lab.analyses))
        self._start("robot", run_robot, self._procedure.bench.deck, analyse, self.places, self._ports[1], self._speed)
        _wait(self._alive["robot"], lambda: _answers(self._ports[1]))

    def start_flow(self, task: FlowTask) -> BaseProcess:
        """Start a flow process."""
        bench = bench_at(self._procedure.bench, *(f"http://127.0.0.1:{port}" for port in self._ports[:2]))
        return self._start(task.who, flow_process, self._lab, self.places, bench, self._procedure, task)

    def watch(self, who: str, strike: tuple[str, float] | None = None) -> int:
        """Wait for the end of a process and return its exit code; bring a robot that was killed back meanwhile.

        `strike` names a victim and after how many seconds it is killed.

        Raises:
            SceneError: the process does not end.
        """
        process, started = self._alive[who], time.monotonic()
        while process.is_alive():
            passed = time.monotonic() - started
            if strike is not None and passed >= strike[1]:
                self.places.kill(strike[0], f"after {passed:.3f} s")
                strike = None
            self.revive()
            if passed > LONGEST_LIFE_S:
                self.end(who)
                raise SceneError(f"the {who} process did not end within {LONGEST_LIFE_S:g} s")
            process.join(_STEP_S)
        self._alive.pop(who)
        self.places.forget_pid(who)
        self.revive()
        return process.exitcode or 0

    def signal(self, who: str, number: signal.Signals) -> None:
        """Send a signal to a process."""
        os.kill(self._alive[who].pid or 0, number)

    def runs(self) -> list[dict[str, Any]]:
        """What the robot lists, oldest first."""
        answer = httpx.get(f"http://127.0.0.1:{self._ports[1]}/runs", headers=_AGREED, timeout=LONGEST_S)
        listed: list[dict[str, Any]] = answer.json()["data"]
        return listed

    def judged(self) -> list[str]:
        """Everything that is not as it must be, one sentence each."""
        return judge(self._lab, self.places, self._procedure)

    def come_to_rest(self) -> None:
        """Wait for whoever does something of its own accord still."""

    def left_on_robot(self) -> list[str]:
        """Runs that wait or go on on the robot although everything is over; somebody could press play."""
        waiting = [run for run in self.runs() if run["status"] not in ENDED]
        return [f"the robot still holds run {run['id']}, which is {run['status']}" for run in waiting]

    def keep_contents(self) -> None:
        """Write down what truly is in every well."""
        answer = httpx.get(f"http://127.0.0.1:{self._ports[0]}/virtual/contents", timeout=LONGEST_S)
        self.places.contents.write_bytes(answer.content)

    def clear(self) -> list[str]:
        """End what stands; tell of every process that should not be there."""
        for name in list(self._alive):
            self.end(name)
        return [f"a process was left: {name}" for name in _orphans(frozenset({self._lab.analyst_pid}))]

    def end(self, who: str) -> None:
        """End a process."""
        process = self._alive.pop(who)
        self.places.forget_pid(who)
        process.kill()
        process.join()

    def revive(self) -> None:
        """Bring back what was killed and comes back by itself."""
        if not self._alive["robot"].is_alive():
            time.sleep(self._away_s)
            self.start_robot()

    def _start(self, who: str, target: Callable[..., None], *args: Any) -> BaseProcess:
        gc.freeze()  # what is there already stays shared with the child
        process = FORK.Process(target=_in_child, args=(self.places, target, args), name=who)
        process.start()
        assert process.pid is not None
        self._alive[who] = process
        self.places.note_pid(who, process.pid)
        return process


def _in_child(places: Places, target: Callable[..., None], args: tuple[Any, ...]) -> None:
    # A lab that is killed itself must not leave its robots behind.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    log = os.open(places.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    target(*args)


def _wait(process: BaseProcess, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline and process.is_alive():
        if is_ready():
            return
        time.sleep(_STEP_S)
    raise SceneError(f"the {process.name} process does not answer")


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _free_ports(number: int) -> list[int]:
    """Ports nobody listens on, below those lent to the near end of connections.

    One of these would be taken while its robot is away for a moment.
    """
    found: list[int] = []
    while len(found) < number:
        port = random.SystemRandom().randrange(*_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found += [] if port in found else [port]
    return found


def _orphans(spared: frozenset[int]) -> list[str]:
    """Command lines of processes that have become ours because whoever started them is dead; they are ended."""
    found = []
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    for pid in set(map(int, children)) - spared:
        with suppress(OSError):
            if os.waitpid(pid, os.WNOHANG)[0]:
                continue  # it had ended
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            found.append(line or str(pid))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return found
