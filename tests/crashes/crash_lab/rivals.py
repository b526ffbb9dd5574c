"""Two flows, one robot: `python -m crash_lab.rivals both stale rest [--database URL]` prints what came of each as JSON.

`both`: two processes ask for the robot at the same instant.
`stale`: one process falls silent in mid-run until its lease has run out, another takes the device over, and the first
one wakes up again.
`rest`: a run was cut and decided about; two find the same rest, verify it and wait for the robot.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from crash_lab.flow import FlowTask
from crash_lab.judge import judge
from crash_lab.places import Places
from crash_lab.plan import FLOW
from crash_lab.procedures import Lab
from crash_lab.reality import PhysicalTrigger
from crash_lab.scene import LONGEST_S, Scene, SceneError
from crash_lab.stage import warm_lab
from crash_lab.template import make_template
from crash_lab.triggers import Trigger
from nkloop.records import Records
from nkloop.records.database import database_url
from nkloop.vendor import answers_folder
from nkloop.workspace import Workspace

LEASE_S = 1.0
SPEED = 120.0
"""Bench seconds per second: the run takes some ten seconds, so that a lease runs out in the middle of it."""
LOOKS = 6
"""Looks at its run after which a flow falls silent; two are made before the robot is told to play."""

CUT_AT = 60
"""Command of the robot after which the flow is killed and the robot stands still."""


@dataclass
class Encounter:
    """What came of it."""

    problems: list[str] = field(default_factory=list)
    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)
    """Per process, how it ended."""
    states: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    """What the robot was told to do, in order, over all its runs."""
    claims: list[str] = field(default_factory=list)
    """Who held the robot, one sentence per change."""


def both_at_once(scene: Scene) -> None:
    """Two flows ask for the robot; whoever is refused has touched nothing."""
    scene.open()
    for who in ("first", "second"):
        scene.start_flow(FlowTask("run", who))
    for who in ("first", "second"):
        scene.watch(who)
    scene.start_flow(FlowTask("take up", "next"))
    scene.watch("next")


def lease_runs_out(scene: Scene) -> None:
    """A flow falls silent in mid-run, its lease runs out, another takes over, the first wakes up while that goes on."""
    scene.open()
    # At a request, because frozen within a transaction it would hold the whole database, too.
    falls_silent = Trigger("silent", "request", "GET /runs/*", LOOKS, "after", signal.SIGSTOP)
    scene.start_flow(FlowTask("run", "silent", falls_silent, lease_s=LEASE_S))
    _until(lambda: bool(scene.places.killed()))
    time.sleep(1.5 * LEASE_S)
    scene.start_flow(FlowTask("take up", "next"))
    _until(lambda: any("taken over" in one for one in _history(scene.places)))
    scene.signal("silent", signal.SIGCONT)
    scene.watch("silent")
    scene.watch("next")


def one_rest(scene: Scene) -> None:
    """A flow dies in mid-run, a person stops the run and decides; two do what is left, each unaware of the other."""
    scene.open()
    scene.start_flow(FlowTask("run"))
    scene.watch(FLOW)
    for work in ("stop", "decide"):
        scene.start_flow(FlowTask(work, work, decision="continue"))
        scene.watch(work)
    both = ("first", "second")
    for who in both:
        scene.start_flow(FlowTask("go on", who, meets=both))
    for who in both:
        scene.watch(who)


SCENARIOS = {"both": both_at_once, "stale": lease_runs_out, "rest": one_rest}


def encounter(lab: Lab, folder: Path, scenario: str) -> Encounter:
    """Stage a scenario and judge it."""
    procedure = lab.procedures["medium_preparation"]
    cut = PhysicalTrigger(FLOW, CUT_AT, "after", is_stopped=True) if scenario == "rest" else None
    speed = 0.0 if cut else SPEED
    scene = Scene(lab, Places(folder / scenario), procedure, seed=1, physical=cut, speed=speed)
    scene.set_up(None)
    make_template(database_url(Workspace(root=scene.places.folder).state), lab)
    met = Encounter()
    try:
        SCENARIOS[scenario](scene)
        met.problems += scene.left_on_robot()
        met.actions = [action["actionType"] for run in scene.runs() for action in run["actions"]]
        scene.keep_contents()
    except SceneError as error:
        met.problems.append(str(error))
    finally:
        met.problems += scene.clear()
    met.problems += judge(lab, scene.places, procedure)
    met.outcomes = {one["who"]: one for one in scene.places.outcomes()}
    met.claims = list(_history(scene.places))
    met.states = [run.state for run in _opened(scene.places).journal.runs()]
    return met


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not is_so():
        if time.monotonic() > deadline:
            raise SceneError("it never came to this")
        time.sleep(0.05)


def _history(places: Places) -> tuple[str, ...]:
    records = _opened(places)
    try:
        return tuple(line for one in records.claims.holders() for line in records.claims.history(one.device))
    finally:
        records.close()


def _opened(places: Places) -> Records:
    return Records.open(Workspace(root=places.folder).state)


def main() -> int:
    """Print the encounters; exit code 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m crash_lab.rivals", description=__doc__)
    parser.add_argument("scenario", choices=sorted(SCENARIOS), nargs="+")
    parser.add_argument("--database", help="URL of an empty PostgreSQL database per scenario, joined by commas")
    parser.add_argument("--analyses", type=Path, help="folder of protocol analyses, kept for the next time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        lab = warm_lab(given.analyses or answers_folder() or Path(temporary) / "analyses", names=["medium_preparation"])
        urls = given.database.split(",") if given.database else [None] * len(given.scenario)
        broken = 0
        for scenario, url in zip(given.scenario, urls, strict=True):
            if url is not None:
                os.environ["NKLOOP_DATABASE_URL"] = url
            met = encounter(lab, Path(temporary), scenario)
            broken += bool(met.problems)
            sys.stdout.write(json.dumps(asdict(met)) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
