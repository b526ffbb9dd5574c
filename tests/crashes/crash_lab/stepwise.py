"""`kill -9` of a flow that drives a STAR step by step: `python -m crash_lab.stepwise --crashes 12` (JSON lines).

The device is PyLabRobot's simulator of a Hamilton STAR, which lives in the flow process and remembers nothing of it.
Every operation that reached it is written down before its answer is used; only the judge reads that.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crash_lab.director import Director, print_reports, staged
from crash_lab.flow import FlowTask
from crash_lab.hidden import place_of
from crash_lab.places import Places
from crash_lab.plan import DECISIONS, FLOW, KINDS, Course, Crash, at_transitions
from crash_lab.procedures import STAR
from crash_lab.reality import PhysicalTrigger
from crash_lab.scene import Scene
from crash_lab.stage import warm_lab
from crash_lab.triggers import Trigger
from nkloop.drivers.interfaces import Fence, StepListener
from nkloop.drivers.pylabrobot.run import HandlerRun
from nkloop.labware import Catalogue
from nkloop.vendor import answers_folder
from nkloop.worklists.models import Step, Worklist

NAMES = tuple(f"{kind}{STAR}" for kind in KINDS)
LIQUID = frozenset({"aspirate", "dispense"})


class StepwiseScene(Scene):
    """A scene without a robot process: the device lives and dies with the flow."""

    def start_robot(self) -> None:
        """Nothing: each flow process builds its own device."""

    def revive(self) -> None:
        """Nothing comes back by itself."""

    def left_on_robot(self) -> list[str]:
        """Nothing can be left on a device without memory."""
        return []

    def keep_contents(self) -> None:
        """Nobody but the record of operations knows what is in the wells."""

    def start_flow(self, task: FlowTask) -> Any:
        """Start a flow process whose operations are written down; the first is hit."""
        is_hit = task.work == "run"
        hands = _Hands(self.places, self._lab.catalogue, self._physical if is_hit else None)
        return super().start_flow(replace(task, prepare=hands.install))


class _Hands:
    """Writes down what reached the device, and strikes before or after the n-th operation."""

    def __init__(self, places: Places, catalogue: Catalogue, trigger: PhysicalTrigger | None) -> None:
        self._places, self._catalogue, self._trigger = places, catalogue, trigger
        self._count = 0
        self._of_step: Counter[int] = Counter()

    def install(self) -> None:
        """Hook into the runs of this process."""
        begin, operate, hands = HandlerRun.begin, HandlerRun._operate, self

        def begun(run: HandlerRun, fence: Fence, on_step: StepListener | None) -> None:
            if on_step is not None:  # else it only simulates a worklist that is being verified
                hands.write({"begin": run.id, "steps": planned_ids(run.worklist)})
            begin(run, fence, on_step)

        async def operated(
            run: HandlerRun, kind: str, params: dict[str, Any], work: Callable[[], Awaitable[Any]]
        ) -> Any:
            async def seen() -> Any:
                hands.strike("before")
                outcome = await work()
                if outcome.error is None:
                    hands.note(run, kind, params)
                hands.strike("after")
                return outcome

            return await operate(run, kind, params, work if run.on_step is None else seen)

        HandlerRun.begin = begun  # type: ignore[method-assign, assignment]
        HandlerRun._operate = operated  # type: ignore[method-assign]

    def note(self, run: HandlerRun, kind: str, params: dict[str, Any]) -> None:
        """Write down an operation that took effect."""
        step = run.marks[-1][0]
        told = {"run": run.id, "step": step, "kind": kind, "pipette": str(params["channels"])}
        if kind in LIQUID:
            self._of_step[step] += 1
            item = run.worklist.item(params["labwareId"])
            names = self._catalogue[item.load_name].reached(params["wellName"], len(params["channels"]))
            told |= {"volume": params["volume"], "spots": [(place_of(item), name) for name in names]}
        number = self._of_step[step] if kind in LIQUID else 0
        self.write({**told, "planned": f"{step}-{number}", "step": step if kind in LIQUID else 0})

    def strike(self, phase: str) -> None:
        """Kill when this is the instant."""
        self._count += phase == "before"
        trigger = self._trigger
        if trigger is not None and (self._count, phase) == (trigger.nth, trigger.phase):
            self._places.kill(trigger.victim, f"{phase} operation {trigger.nth}")

    def write(self, line: dict[str, Any]) -> None:
        """Write it where only the judge looks."""
        with self._places.physical.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def planned_ids(worklist: Worklist) -> dict[int, list[str]]:
    """Names of the liquid operations of every step."""
    return {step.number: [f"{step.number}-{n}" for n in range(1, _n_operations(step) + 1)] for step in worklist.steps}


def _n_operations(step: Step) -> int:
    """One stroke each way per mix, and one for the transfer."""
    if step.action not in {"transfer", "mix"}:
        return 0
    return 2 * (step.mix_before + step.mix_after + (step.action == "transfer"))


def crashes(courses: Mapping[str, Course], n: int, seed: int) -> list[Crash]:
    """Half at durable writes of the flow, half before or after an operation of the device; procedures in turn."""
    chance = random.Random(seed)
    writes: dict[str, Iterator[Trigger]] = {}
    for name, course in courses.items():
        every = [trigger for _, _, trigger in at_transitions({name: course}, [FLOW]) if trigger.kind == "write"]
        writes[name] = itertools.cycle(chance.sample(every, len(every)))
    made = []
    for number in range(n):
        turn, place = divmod(number // 2, len(courses))
        name, decision = list(courses)[place], DECISIONS[(turn + place) % len(DECISIONS)]
        if number % 2:
            nth, phase = chance.randint(1, courses[name].n_commands), chance.choice(("before", "after"))
            made.append(Crash(number, name, FLOW, physical=PhysicalTrigger(FLOW, nth, phase), decision=decision))
        else:
            made.append(Crash(number, name, FLOW, next(writes[name]), decision=decision))
    return made


def main() -> int:
    """Print one report per crash; exit code 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m crash_lab.stepwise", description=__doc__)
    parser.add_argument("--crashes", type=int, default=12)
    parser.add_argument("--procedure", choices=NAMES, help="this one only")
    parser.add_argument("--beside", type=int, default=1, help="so many crashes beside each other")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first-steps", type=int, help="run only so many steps of each worklist, to save time")
    parser.add_argument("--folder", type=Path, help="where crashes leave their files; those that went wrong stay")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        names = [given.procedure] if given.procedure else NAMES
        lab = warm_lab(answers_folder() or folder / "analyses", given.first_steps, names)
        director = Director(lab, folder, scenes={FLOW: StepwiseScene})
        courses = {name: director.course(name) for name in names}
        return print_reports(staged(director, crashes(courses, given.crashes, given.seed), given.beside))


if __name__ == "__main__":
    raise SystemExit(main())
