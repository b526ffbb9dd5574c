"""What belongs to one launch of a flow: the same work at the same place of it is done once, however often it resumes.

A launch is named by whoever coordinates it, and keeps its name when it is resumed; a new launch is a new occurrence of
everything in it. Places are counted in the order the flow comes to them, which is the same every time it runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from nkloop.frozen import FrozenModel
from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.worklists.models import Worklist

Plan = TypeVar("Plan", bound=FrozenModel)


@dataclass
class Launch:
    """One launch of a flow; without a name nothing of it can be told again."""

    name: str = ""
    _places: Counter[str] = field(default_factory=Counter)

    def place(self, what: str) -> str | None:
        """The next place at which this is done in this launch; None for a launch without a name."""
        if not self.name:
            return None
        self._places[what] += 1
        return f"{self.name}/{what}/{self._places[what]}"


def last_of(occurrence: str | None, records: Records) -> RunRecord | None:
    """The last run that moved something at this place of a launch, or continued one of it; None when none did."""
    runs = records.journal.of_occurrence(occurrence) if occurrence else ()
    return next((run for run in reversed(runs) if has_moved(run)), None)


def has_moved(run: RunRecord) -> bool:
    """Whether a step of a run happened, or may have."""
    return any(step.has_moved for step in run.steps)


async def planned_once(
    launch: Launch,
    name: str,
    model: type[Plan],
    records: Records,
    make: Callable[[], Awaitable[Plan]],
    worklists_of: Callable[[Plan], Iterable[Worklist]],
) -> Plan:
    """A plan, made anew unless a part of it was begun in this launch: then the plan as it was made.

    What was begun has taken from the stock and from the wells, so that planning anew would give another plan, or none.

    Args:
        launch: the launch of the flow.
        name: what is planned, the same whenever the flow runs again.
        model: the plan's model.
        records: where plans and runs are kept.
        make: plans.
        worklists_of: gives the worklists of a plan.
    """
    place = launch.place(name)
    if place is None:
        return await make()
    kept = records.plans.last(launch.name, place, model)
    if kept is not None and any(_was_begun(launch.name, one, records) for one in worklists_of(kept)):
        return kept
    made = await make()
    records.plans.keep(launch.name, place, made)
    return made


async def kept_once(
    launch: Launch, name: str, model: type[Plan], records: Records, make: Callable[[], Awaitable[Plan]]
) -> Plan:
    """A value that a launch made once and keeps: one that would be another when the flow runs again, as a label."""
    place = launch.place(name)
    if place is None:
        return await make()
    kept = records.plans.last(launch.name, place, model)
    if kept is None:
        kept = await make()
        records.plans.keep(launch.name, place, kept)
    return kept


def _was_begun(launch: str, worklist: Worklist, records: Records) -> bool:
    for run in records.journal.by_hash(worklist.content_hash):
        is_ours = run.occurrence is not None and run.occurrence.startswith(f"{launch}/")
        if is_ours and any(step.event != "intended" for step in run.steps):
            return True
    return False
