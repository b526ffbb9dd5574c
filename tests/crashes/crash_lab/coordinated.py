"""`kill -9` of the Prefect server while a flow runs: `python -m crash_lab.coordinated --crashes 4` (JSON lines).

The server is a real one with its database and leases in a folder; it comes back on the same port some time after it
was killed. The run goes on without it or is made safe, and the next flow gets the robot.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from crash_lab.director import Director, Report
from crash_lab.flow import FlowTask
from crash_lab.plan import Crash
from crash_lab.scene import Scene, SceneError
from crash_lab.stage import warm_lab
from crash_lab.triggers import Trigger
from nkloop.coordination.server import PrefectServer
from nkloop.errors import NkloopError
from nkloop.vendor import answers_folder

SERVER = "prefect server"
LONGEST_S = 480.0
"""The client of a server that is away asks again for minutes, and a lease of a dead flow takes one to run out."""
AWAY_S = (0.0, 5.0)
WRITES = (
    "claim",
    "create_run",
    "append_events intended",
    "set_run_state prepared",
    "append_events sent",
    "set_run_state running",
    "append_events seen",
    "close_run succeeded",
    "post_run",
)
"""Transitions of a run, in order."""


class Coordinator:
    """The Prefect server of a folder, launched again on its port when it was killed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._server = PrefectServer.launch(home)
        self.wait()

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find it."""
        return self._server.environment

    @property
    def pid(self) -> int:
        """Process id."""
        return self._server.process.pid

    def revive(self, away_s: float) -> bool:
        """Launch it again when it has ended; True when that was so."""
        if self._server.process.poll() is None:
            return False
        time.sleep(away_s)
        self._server = PrefectServer.launch(self._home, port=self._server.port)
        return True

    def wait(self) -> None:
        """Return when it answers."""
        try:
            self._server.wait(LONGEST_S)
        except NkloopError:
            self._server.stop()
            raise

    def stop(self) -> None:
        """End it."""
        self._server.stop()


class CoordinatedScene(Scene):
    """A scene whose flows are coordinated by a Prefect server that may be killed."""

    coordinator: Coordinator
    server_away_s = 0.0

    def revive(self) -> None:
        """Bring robot and server back."""
        super().revive()
        if self.coordinator.revive(self.server_away_s) or not self.spared:
            self.places.note_pid(SERVER, self.coordinator.pid)
            self.spared = frozenset({self.coordinator.pid})


def play(scene: Scene, crash: Crash) -> float:
    """A flow whose server is killed, then a flow of the same kind, then the work taken up."""
    assert isinstance(scene, CoordinatedScene)
    scene.longest_s, scene.server_away_s = LONGEST_S, crash.away_s
    scene.open()
    scene.revive()
    started = time.monotonic()
    scene.start_flow(FlowTask("run in Prefect", trigger=crash.trigger))
    scene.watch("flow", None if crash.after_s is None else (crash.victim, crash.after_s))
    lived = round(time.monotonic() - started, 3)
    scene.coordinator.wait()
    scene.start_flow(FlowTask("take up"))
    if scene.watch("flow") != 0:
        raise SceneError("the work could not be taken up")
    return lived


def crashes(n: int, seed: int) -> list[Crash]:
    """`n` crashes of the server, at transitions of the flow; every fourth at random."""
    chance = random.Random(seed)
    fixed = [(name, phase) for name in WRITES for phase in ("before", "after")]
    chance.shuffle(fixed)
    made = []
    for number in range(n):
        away = chance.choice(AWAY_S)
        if number % 4 == 3:
            after = chance.uniform(0.0, 4.0)
            made.append(Crash(number, "medium_preparation", SERVER, after_s=after, away_s=away))
        else:
            name, phase = fixed[number % len(fixed)]
            trigger = Trigger(SERVER, "write", name, 1, phase)
            made.append(Crash(number, "medium_preparation", SERVER, trigger, away_s=away))
    return made


def main() -> int:
    """Print one report per crash; exit code 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m crash_lab.coordinated", description=__doc__)
    parser.add_argument("--crashes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first-steps", type=int, default=20)
    given = parser.parse_args()
    broken = 0
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        folder = Path(temporary)
        coordinator = Coordinator(folder / "prefect")
        os.environ.update(coordinator.environment)
        try:
            lab = warm_lab(answers_folder() or folder / "analyses", given.first_steps, ["medium_preparation"])
            CoordinatedScene.coordinator = coordinator
            director = Director(lab, folder, scene=CoordinatedScene, play=play)
            for crash in crashes(given.crashes, given.seed):
                report: Report = director.stage(crash)
                broken += bool(report.problems)
                sys.stdout.write(json.dumps(asdict(report)) + "\n")
                sys.stdout.flush()
        finally:
            coordinator.stop()
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
