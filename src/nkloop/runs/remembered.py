"""Incubations, spins and settling that an interrupted run has behind it, told to the run that carries it on.

A plate does not forget that it was incubated, but a worklist that begins after that does not know it. A person says so
at its first pause, and does again what the interruption has undone.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from nkloop.runs.ways import Fate
from nkloop.worklists import rules
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.models import OperatorTask, Step, Worklist
from nkloop.worklists.operator_tasks import preceded_by
from nkloop.worklists.reach import step_minutes

_NEED_REST = frozenset({rules.PAUSE_MISSING, rules.CELLS_NOT_MIXED})
"""Rules that a rest in the run before may satisfy."""


def remembering(
    run_id: str,
    made: Worklist,
    fates: Sequence[Fate],
    rested: Collection[str],
    catalogue: LabwareLookup,
    deck: BenchDeck | None = None,
) -> Worklist:
    """A worklist that follows a run, behind pauses that tell of its rests where the rules ask for one.

    Args:
        run_id: the run it follows.
        made: the worklist.
        fates: what became of the steps of the run.
        rested: labware that stands there rested, however its unknown steps went.
        catalogue: labware types by load name.
        deck: the bench's deck.
    """
    made = _settled(run_id, made, deck)
    if not any(problem.rule in _NEED_REST for problem in follow(made, catalogue, deck).violations):
        return made
    steps = (*_rests(run_id, made, fates, rested), *made.steps)
    numbered = tuple(step.model_copy(update={"number": number}) for number, step in enumerate(steps, start=1))
    return made.model_copy(update={"steps": numbered})


def _rests(run_id: str, worklist: Worklist, fates: Sequence[Fate], rested: Collection[str]) -> Iterator[Step]:
    """The last rest of each labware, in the order they were done."""
    open_names, found = set(rested), list[tuple[Step, OperatorTask, tuple[str, ...]]]()
    everything = tuple(item.nickname for item in worklist.deck)
    for fate in reversed(fates):
        task = fate.step.operator
        if fate.what != "done" or task is None or not Ledger.is_rest(task):
            continue
        names = tuple(name for name in task.labware or everything if name in open_names)
        if names:
            found.append((fate.step, task, names))
            open_names -= set(names)
    for step, task, names in reversed(found):
        told = f"Done in {run_id}, before it was interrupted: {task.instruction.rstrip('. ')}. Confirm that it still "
        told += "holds; do again only what the interruption has undone."
        again = OperatorTask(kind=task.kind, instruction=told, labware=names, temperature_c=task.temperature_c)
        yield step.model_copy(update={"operator": again, "comment": f"done in {run_id}"})


def _settled(run_id: str, made: Worklist, deck: BenchDeck | None) -> Worklist:
    """Behind a rest of the closed vessels whose medium is drained off their cells, where it does not let them rest.

    How they stood since the interruption no record tells, so the whole time is asked for once more.
    """
    tasks = [step.operator for step in made.steps if step.operator is not None]
    names = dict.fromkeys(move.from_vessel for task in tasks for move in task.moves if move.is_without_cells)
    if not names or any(task.kind == "settle" for task in tasks):
        return made
    needed = made.limits.settling_minutes or 0.0
    least = f"at least {needed:g} min" if needed else "until the cells have settled"
    told = (
        f"{', '.join(names)} rested in {run_id}, before it was interrupted. Let each rest again, upright or without "
        f"motion and not mixed, {least} before it is taken out; what has stood so all the time needs no more."
    )
    wait = max(0.0, float(math.ceil(needed - _minutes_until_drain(made, deck))))
    return preceded_by(made, [OperatorTask(kind="settle", instruction=told, minutes=wait)])


def _minutes_until_drain(worklist: Worklist, deck: BenchDeck | None) -> float:
    robot, passed = ({} if deck is None else busy_minutes(worklist, deck)), 0.0
    for step in worklist.steps:
        if any(move.is_without_cells for move in step.moves):
            break
        passed += step_minutes(step, robot)
    return passed
