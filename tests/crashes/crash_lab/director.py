"""Kills processes, one crash after the other: `python -m crash_lab.director --crashes 40 --seed 1` (JSON lines)."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import queue
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

from crash_lab.flow import FlowTask
from crash_lab.places import Places
from crash_lab.plan import FLOW, SERVER, SERVICE, WORKER, Course, Crash, coordinated, storm
from crash_lab.procedures import Lab
from crash_lab.scene import FORK, Scene, SceneError
from crash_lab.stage import adopt_orphans, warm_lab
from crash_lab.template import make_template
from nkloop.records import Records
from nkloop.vendor import answers_folder
from nkloop.workspace import Workspace

TAKEN_UP = 3
"""How often a user tries to take the work up before he calls for help."""


@dataclass
class Report:
    """What came of a crash."""

    number: int
    procedure: str
    victim: str
    instant: str
    struck: bool = False
    problems: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    run_seconds: float = 0.0
    """Until the flow process of the run had ended."""
    decisions: list[str] = field(default_factory=list)
    """What was decided about its runs, in their order."""
    said: list[str] = field(default_factory=list)
    """What a person said of unknown steps other than whether they happened."""
    followed: int = 0
    """Runs that carried on what another had left and succeeded."""
    refused: list[str] = field(default_factory=list)
    """Decisions that were refused, and why."""
    told: list[str] = field(default_factory=list)
    """What flow processes that ended by themselves said."""


class Director:
    """Stages crashes in one lab."""

    def __init__(self, lab: Lab, folder: Path, *, scenes: Mapping[str, type[Scene]] = MappingProxyType({})) -> None:
        """`scenes` is where crashes of a victim are staged, when not in the plain scene (key `FLOW` for all others)."""
        self._lab = lab
        self._scenes = {FLOW: Scene, **scenes}
        self._folder = folder
        self._template = folder / "template.db"
        self._template.unlink(missing_ok=True)
        make_template(f"sqlite:///{self._template}", lab)

    def stage(self, crash: Crash, *, keep: bool = False) -> Report:
        """Run a procedure, let the crash happen, take the work up again, judge; files stay when something is wrong."""
        started = time.monotonic()
        places = Places(self._folder / f"crash-{crash.number}")
        shutil.rmtree(places.folder, ignore_errors=True)
        procedure = self._lab.procedures[crash.procedure]
        scene = self._scenes.get(crash.victim, self._scenes[FLOW])(
            self._lab, places, procedure, seed=abs(crash.number), physical=crash.physical, away_s=crash.away_s
        )
        report = Report(crash.number, crash.procedure, crash.victim, crash.instant)
        scene.set_up(self._template)
        try:
            report.run_seconds = play(scene, crash)
            scene.come_to_rest()
            report.problems += scene.left_on_robot()
            scene.keep_contents()
        except SceneError as error:
            report.problems.append(str(error))
        finally:
            report.problems += scene.clear()
        report.problems += scene.judged()
        report.struck = any(line.startswith(crash.victim) for line in places.killed())
        _tell(places, report)
        report.seconds = round(time.monotonic() - started, 2)
        if not keep and not report.problems:
            shutil.rmtree(places.folder)
        return report

    def course(self, procedure: str) -> Course:
        """How a run of the procedure goes when nobody is killed.

        Raises:
            SceneError: it does not go as it must.
        """
        number = -1 - list(self._lab.procedures).index(procedure)
        report = self.stage(Crash(number, procedure, "nobody"), keep=True)
        places = Places(self._folder / f"crash-{number}")
        if report.problems or report.states != ["succeeded"] or set(report.events) != {"done"}:
            raise SceneError(f"{procedure} without a crash: {report}")
        lines = (line.split("\t") for line in places.transitions.read_text(encoding="utf-8").splitlines())
        transitions = tuple((kind, name, int(number)) for kind, name, number in lines)
        n_commands = len(places.physical.read_text(encoding="utf-8").splitlines()) - 1
        shutil.rmtree(places.folder)
        return Course(transitions, n_commands, report.run_seconds)


def play(scene: Scene, crash: Crash) -> float:
    """The run with its crash, then the work taken up until it is at an end; seconds the flow of the run lived."""
    scene.open()
    started = time.monotonic()
    scene.start_flow(FlowTask(scene.run_work, trigger=crash.trigger))
    scene.watch("flow", None if crash.after_s is None else (crash.victim, crash.after_s))
    lived = round(time.monotonic() - started, 3)
    if crash.physical is not None and crash.physical.is_stopped and scene.places.killed():
        scene.start_flow(FlowTask("stop"))
        if scene.watch("flow") != 0:
            raise SceneError("the run could not be stopped")
    again, work = crash.again, scene.take_up_work if crash.again else scene.last_work
    for _ in range(TAKEN_UP):
        scene.start_flow(FlowTask(work, trigger=again, decision=crash.decision))
        again, work = None, scene.last_work
        if scene.watch("flow") == 0:
            return lived
    raise SceneError(f"the work could not be taken up in {TAKEN_UP} attempts")


def _tell(places: Places, report: Report) -> None:
    report.told = [f"{one['error']}: {one['message']}" for one in places.outcomes() if one["error"]]
    records = Records.open(Workspace(root=places.folder).state)
    runs = records.journal.runs()
    records.close()
    report.states = [run.state for run in runs]
    report.decisions = [run.decision.decision for run in runs if run.decision]
    rulings = [one for run in runs if run.decision for one in run.decision.rulings if one.is_given or one.is_drawn]
    report.said = [one.word for one in rulings]
    report.followed = sum(run.parent is not None and run.state == "succeeded" for run in runs)
    report.refused = [f"{one['kind']}: {one['why']}" for one in places.refusals()]
    report.events = dict(Counter(step.event for run in runs for step in run.steps))


def main() -> int:
    """Stage crashes and print one report per line; exit code 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m crash_lab.director", description=__doc__)
    parser.add_argument("--crashes", type=int, default=40)
    parser.add_argument("--server-crashes", type=int, default=0, help="so many of them of the Prefect server")
    parser.add_argument("--worker-crashes", type=int, default=0, help="so many of them of the runner of flows")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first-steps", type=int, help="run only so many steps of each worklist, to save time")
    parser.add_argument("--whole-up-to", type=int, default=0, help="run worklists of so many steps whole all the same")
    parser.add_argument("--only", type=int, help="stage this one of them only")
    parser.add_argument("--beside", type=int, default=1, help="so many crashes beside each other")
    parser.add_argument("--folder", type=Path, help="where crashes leave their files; those that went wrong stay")
    parser.add_argument("--analyses", type=Path, help="folder of protocol analyses, kept for the next time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        analyses = given.analyses or answers_folder() or folder / "analyses"
        lab = warm_lab(analyses, given.first_steps, whole_up_to=given.whole_up_to)
        n_server, n_worker = given.server_crashes, given.worker_crashes
        director = Director(lab, folder, scenes=_prefect_scenes(folder) if n_server + n_worker else {})
        courses = {name: director.course(name) for name in lab.procedures}
        crashes = storm(courses, given.crashes - n_server - n_worker, given.seed)
        crashes += coordinated(courses, n_server, given.seed, (SERVER,), len(crashes))
        crashes += coordinated(courses, n_worker, given.seed, (WORKER, SERVICE), len(crashes))
        crashes = [one for one in crashes if given.only in {None, one.number}]
        return print_reports(staged(director, crashes, given.beside))


def print_reports(reports: Iterable[Report]) -> int:
    """Print reports, one per line, as they come; exit code 1 when anything is not as it must be."""
    broken = 0
    for report in reports:
        broken += bool(report.problems)
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
        sys.stdout.flush()
    return 1 if broken else 0


def _prefect_scenes(folder: Path) -> dict[str, type[Scene]]:
    """Where Prefect server and runner are killed; Prefect is loaded for that only."""
    from crash_lab.prefect_scene import PrefectScene, ServedScene
    from crash_lab.prefect_server import warm_prefect

    PrefectScene.template = folder / "prefect"
    warm_prefect(PrefectScene.template)
    return {SERVER: PrefectScene, WORKER: ServedScene, SERVICE: ServedScene}


def staged(director: Director, crashes: Sequence[Crash], beside: int = 1) -> Iterator[Report]:
    """Stage crashes, so many beside each other, each in processes and a folder of its own; reports as they come.

    Raises:
        SceneError: a process that stages crashes ended before its share was staged.
    """
    if beside == 1:
        yield from map(director.stage, crashes)
        return
    found: multiprocessing.Queue[Report] = FORK.Queue()
    stagers = [FORK.Process(target=_stage, args=(director, crashes[n::beside], found)) for n in range(beside)]
    for stager in stagers:
        stager.start()
    for _ in crashes:
        while True:
            with suppress(queue.Empty):
                yield found.get(timeout=1)
                break
            if any(stager.exitcode for stager in stagers):
                raise SceneError("a process that stages crashes has died")
    for stager in stagers:
        stager.join()


def _stage(director: Director, crashes: Sequence[Crash], found: multiprocessing.Queue[Report]) -> None:
    adopt_orphans()
    for crash in crashes:
        found.put(director.stage(crash))


if __name__ == "__main__":
    raise SystemExit(main())
