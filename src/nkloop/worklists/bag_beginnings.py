"""What people begin before the robot's work so that it is ready when closed vessels need it: the bath, and settling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nkloop.labware.bags import BagCatalogue
from nkloop.worklists.bag_exchange import settling_task
from nkloop.worklists.bag_plans import BagFeeding
from nkloop.worklists.bag_seeding import by_hand_ul, suspended_in_base_ul
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.models import OperatorTask, Worklist
from nkloop.worklists.operator_tasks import preceded_by
from nkloop.worklists.temperature_rules import warming_minutes

LINES_SHARE = 0.05
"""Base medium prepared for people in addition to what the vessels get, for lines; a working value."""


def with_warm_base(
    worklist: Worklist, bags: Sequence[BagFeeding], deck: BenchDeck, *, celsius: float, batch: str
) -> Worklist:
    """The bath for what people run in is filled first; the robot waits only for what its own work does not take."""
    by_hand = by_hand_ul(bags)
    if not by_hand:
        return worklist
    needed = warming_minutes(max(*(bag.medium_ul for bag in bags), suspended_in_base_ul(bags)))
    own = _minutes_until(worklist, deck, lambda task: any(not move.from_vessel for move in task.moves))
    told = (
        f"Put {prepared_ml(by_hand):g} mL base medium for the {count_words(bags)} into the bath at {celsius:g} °C, for "
        f"at least {needed:g} min; it is needed about {own:.0f} min after this step. It is of the same batch as "
        f"{batch}, which stands on the deck."
    )
    wait = max(0.0, float(round(needed - own)))
    return preceded_by(worklist, [OperatorTask(kind="warm", instruction=told, minutes=wait, temperature_c=celsius)])


def with_settling(
    worklist: Worklist, bags: Sequence[BagFeeding], deck: BenchDeck, known: BagCatalogue, settling_minutes: float
) -> Worklist:
    """Cultures settle while the robot works; it waits only for what its own work does not take."""
    task = settling_task(bags, known, settling_minutes)
    if task is None:
        return worklist
    own = _minutes_until(worklist, deck, lambda one: any(move.is_without_cells for move in one.moves))
    wait = max(0.0, float(math.ceil(settling_minutes - own)))
    return preceded_by(worklist, [task.model_copy(update={"minutes": wait})])


def prepared_ml(by_hand_ul: float) -> float:
    """What is prepared for people to run in, in mL: to the next 5 mL, what stays in lines included."""
    return 5 * math.ceil(by_hand_ul * (1 + LINES_SHARE) / 5000)


def count_words(bags: Sequence[BagFeeding]) -> str:
    """`1 vessel`, `3 vessels`."""
    return f"{len(bags)} vessel{'s' if len(bags) != 1 else ''}"


def _minutes_until(worklist: Worklist, deck: BenchDeck, is_end: Callable[[OperatorTask], bool]) -> float:
    """Time of robot and people before the first task of a sort."""
    robot, passed = busy_minutes(worklist, deck), 0.0
    for step in worklist.steps:
        task = step.operator
        if task is not None and is_end(task):
            break
        passed += task.minutes if task is not None else robot[step.number]
    return passed
