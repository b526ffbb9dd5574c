"""The rule of settled cells: medium is drained off a closed vessel only after its rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nkloop.errors import Problem
from nkloop.worklists import rules
from nkloop.worklists.models import OperatorTask, Worklist
from nkloop.worklists.reach import step_minutes
from nkloop.worklists.vessel_times import is_about

_SLACK_MINUTES = 0.5


def settling_problems(worklist: Worklist, minutes: Mapping[int, float]) -> Iterator[Problem]:
    """Drains of supernatant whose vessel has not rested, or not for the time of the recipe.

    Args:
        worklist: its tasks, and the rest its limits ask for.
        minutes: the robot's time of each step by its number; what a person takes is added from the tasks.
    """
    needed = worklist.limits.settling_minutes or 0.0
    resting: dict[str, float] = {}
    clock = 0.0
    for step in worklist.steps:
        task, start = step.operator, clock
        clock += step_minutes(step, minutes)
        if task is None:
            continue
        if task.kind == "settle":
            resting |= {vessel.name: start for vessel in worklist.vessels if is_about(task, vessel.name)}
        for name in _drained(task):
            rested = None if name not in resting else start - resting[name]
            if rested is None or rested < needed - _SLACK_MINUTES:
                yield _problem(name, step.number, rested, needed)
        for move in task.moves:
            for name in {move.to_vessel} if move.is_without_cells else {move.from_vessel, move.to_vessel}:
                resting.pop(name, None)


def _drained(task: OperatorTask) -> list[str]:
    return [move.from_vessel for move in task.moves if move.is_without_cells]


def _problem(name: str, number: int, rested: float | None, needed: float) -> Problem:
    told = f"medium is drained off {name}, whose cells have not settled"
    if rested is not None:
        told = f"medium is drained off {name} after {rested:.0f} min of rest, its cells need {needed:g} min to settle"
    return Problem(told, f"step {number}", "let it rest before, without moving it", rules.NOT_SETTLED)
