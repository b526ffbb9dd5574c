"""How long the cells of closed vessels are outside the incubator: the time people take, step by step."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from nkloop.worklists.models import OperatorTask, Worklist

_INSIDE = frozenset({"settle", "equilibrate"})
"""Tasks that name a vessel which is in the incubator."""


def vessel_times_out(worklist: Worklist, minutes: Mapping[int, float]) -> Iterator[tuple[str, int, float]]:
    """Every closed vessel with cells: its name, its last step, and the minutes its cells have been out by then.

    A vessel is out from the first step that names it or moves something of it, to the last; while it settles, or its
    dose tube warms up, it is still in the incubator. Cells that come out of another vessel have been out as long as
    those.

    Args:
        worklist: its vessels, and what its operator tasks say and move.
        minutes: the robot's time of each step by its number; what a person takes is added from the tasks.
    """
    begun: dict[str, float] = {}
    ended: dict[str, tuple[int, float]] = {}
    holders = {vessel.name for vessel in worklist.vessels if vessel.volume_ul > 0}
    known, clock = {vessel.name for vessel in worklist.vessels}, 0.0
    for step in worklist.steps:
        start, task = clock, step.operator
        clock += minutes.get(step.number, 0.0) + (task.minutes if task is not None else 0.0)
        if task is None or task.kind in _INSIDE:
            continue
        for name in [name for name in holders if is_about(task, name)]:
            begun.setdefault(name, start)
            ended[name] = (step.number, clock)
        for move in task.moves:
            if move.from_vessel in holders and move.to_vessel in known - holders:
                holders.add(move.to_vessel)
                begun[move.to_vessel] = begun[move.from_vessel]
                ended[move.to_vessel] = (step.number, clock)
    for name, (number, at) in ended.items():
        yield name, number, at - begun[name]


def is_about(task: OperatorTask, name: str) -> bool:
    """Whether a task moves something of a vessel, or names it."""
    if any(name in (move.from_vessel, move.to_vessel) for move in task.moves):
        return True
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", task.instruction) is not None
