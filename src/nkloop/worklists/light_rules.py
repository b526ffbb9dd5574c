"""Rule of light: how long a light-sensitive liquid stands open before it is used or put away in the dark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nkloop.errors import Problem
from nkloop.worklists import rules
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import OperatorTask, Step, Worklist
from nkloop.worklists.reach import Reach, Spot, step_minutes

BRINGS = frozenset({"thaw", "warm", "equilibrate"})
"""Tasks at whose end a person sets something on the deck."""
HIDES = frozenset({"incubate", "store"})
"""Tasks that take labware off the deck and into the dark."""


def light_problems(worklist: Worklist, minutes: Mapping[int, float], catalogue: LabwareLookup) -> Iterator[Problem]:
    """Light-sensitive lots that stand open for longer than the limit.

    Args:
        worklist: its limit, its lots, and what people bring and put away.
        minutes: robot time of each step by its number; the time of a person's task is added to it.
        catalogue: labware types by load name.
    """
    limit = worklist.limits.light_minutes
    for lot in worklist.lots:
        spots = {(f.labware, f.well) for f in worklist.fillings if f.liquid.lot == lot.id}
        if not lot.light_sensitive or not spots:
            continue
        number, open_for = minutes_in_light(worklist, minutes, catalogue, spots)
        if open_for > limit:
            told = f"{lot.component} ({lot.id}) stands open for {open_for:.0f} min by then; at most {limit:g} min"
            remedy = "use an amber tube or cover it, or bring it to the deck at a pause before it is used"
            yield Problem(told, f"step {number}", remedy, rules.LIGHT)


def minutes_in_light(
    worklist: Worklist, minutes: Mapping[int, float], catalogue: LabwareLookup, spots: set[Spot]
) -> tuple[int, float]:
    """The step by which a liquid has been open longest, and for how long.

    It is open from the start of the run, or the end of the task that brings it, to its last use; where it was given to,
    from its arrival until that labware is put away in the dark.

    Args:
        worklist: the run.
        minutes: robot time of each step by its number.
        catalogue: labware types by load name.
        spots: where the liquid stands.
    """
    reach, clock, longest = Reach(worklist, catalogue), 0.0, (0, 0.0)
    since = dict.fromkeys(spots, 0.0)
    for step in worklist.steps:
        if step.operator is not None and step.operator.kind in HIDES:
            since = {spot: at for spot, at in since.items() if spot in spots or not is_about(step.operator, spot)}
        clock += step_minutes(step, minutes)
        if step.operator is not None and step.operator.kind in BRINGS:
            since |= {spot: clock for spot in spots if is_about(step.operator, spot)}
        for source, target in reach.pairs(step) if step.action == "transfer" else ():
            if source not in since:
                continue
            longest = max(longest, (step.number, clock - since[source]), key=lambda one: one[1])
            since.setdefault(target, clock)
        for spot in _touched(step, reach, since):
            longest = max(longest, (step.number, clock - since[spot]), key=lambda one: one[1])
    return longest


def is_about(task: OperatorTask, spot: Spot) -> bool:
    """Whether a task names a well: its labware, and the well where it names wells."""
    return spot[0] in task.labware and (not task.wells or spot[1] in task.wells)


def _touched(step: Step, reach: Reach, since: Mapping[Spot, float]) -> Iterator[Spot]:
    """Wells that get something more in a step and hold the liquid already."""
    if step.action == "transfer":
        yield from (target for _, target in reach.pairs(step) if target in since)
