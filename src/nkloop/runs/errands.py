"""Names of incubations that stay the same after a crash, wherever what was cut is taken up again.

An incubator keeps for what a plate went in and came out. The same incubation is asked for by the run it is a step of,
as a task that run left, and by the run that does its rest, where the step has another number.
"""

from __future__ import annotations

from collections.abc import Iterator

from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.runs.ways import fates_in
from nkloop.worklists.models import Step, Worklist


def errands_of(run_id: str, step: Step | None, worklist: Worklist, records: Records) -> tuple[str, ...]:
    """Names of what an incubator is asked for in a step: of its run first, then of the runs this one continues.

    They tell databases apart as well, for every one counts its runs from 1: by a name that stays when the database is
    moved, and by when the run was opened, in which a copy that went its own way differs. The names of older versions,
    which went by where the database is, come after them. Empty for what is no incubation.
    """
    if step is None or step.operator is None or step.operator.kind != "incubate":
        return ()
    steps = tuple(_steps(run_id, step, worklist, records))
    name, place = records.name[:12], records.identity
    opened = [f"{name}, {run.id} of {run.created_at:%Y-%m-%d %H:%M:%S} step {number}" for run, number in steps]
    return (*opened, *(f"{place}, {run.id} step {number}" for run, number in steps))


def _steps(run_id: str, step: Step, worklist: Worklist, records: Records) -> Iterator[tuple[RunRecord, int]]:
    """The step in its run, then in every run that this one continues."""
    number: int | None = step.number
    while number is not None:
        run = records.journal.run(run_id)
        yield run, number
        if run.parent is None:
            return
        parent = records.journal.run(run.parent)
        above = records.journal.worklist(parent.worklist_hash)
        left = [fate.step for fate in fates_in(parent, above, records) if fate.what != "done"]
        number = _alike(number, worklist, left)
        run_id, worklist = parent.id, above


def _alike(number: int, worklist: Worklist, left: list[Step]) -> int | None:
    """Number of the step above that a step of a rest is: as many equal ones were left before it there."""
    task = next(step.operator for step in worklist.steps if step.number == number)
    before = sum(step.operator == task and step.number < number for step in worklist.steps)
    equal = [step.number for step in left if step.operator == task]
    return equal[before] if before < len(equal) else None
