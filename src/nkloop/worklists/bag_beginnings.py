"""What people begin before the robot's work so that it is ready when closed vessels need it: the bath, and settling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nkloop.labware.bags import BagCatalogue
from nkloop.worklists.bag_exchange import settling_task
from nkloop.worklists.bag_plans import BagFeeding
from nkloop.worklists.bag_seeding import by_hand_ul
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import Spot
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.models import OperatorTask, Step, Worklist
from nkloop.worklists.operator_tasks import preceded_by
from nkloop.worklists.temperature_rules import warming_minutes

LINES_SHARE = 0.05
"""Base medium prepared for people in addition to what the vessels get, for lines; a working value."""


def with_warm_base(
    worklist: Worklist,
    bags: Sequence[BagFeeding],
    deck: BenchDeck,
    *,
    celsius: float,
    stands: Spot,
    batch: str,
    n_made: int = 1,
) -> Worklist:
    """One bath for what people run in and for what stands on the deck; the robot waits for what is left of it.

    Args:
        worklist: with the robot's work and what people do.
        bags: vessels of the run.
        deck: gives the time of the robot's work.
        celsius: temperature at which medium meets cells, as the recipe says.
        stands: labware and well the robot takes its share from.
        batch: barcode of that labware, in which the batch was made.
        n_made: number of vessels the batch is made in, numbered from the second on.
    """
    by_hand = by_hand_ul(bags)
    if not by_hand:
        return worklist
    ml = prepared_ml(by_hand)
    share = sum(f.volume_ul for f in worklist.fillings if (f.labware, f.well) == stands)
    for_people, for_robot = warming_minutes(1000 * ml), warming_minutes(share)
    own = _minutes_until(worklist, deck, _runs_in)
    pooled = ""
    if n_made > 1:
        names = ", ".join([batch, *(f"{batch}-{number}" for number in range(2, n_made + 1))])
        least = 10 * math.ceil((1000 * ml + share) / 10_000)
        pooled = (
            f"Pour {names} together into one sterile vessel of at least {least} mL and mix, if not done yet: every "
            "vessel shall get the same medium. "
        )
    told = (
        f"{pooled}Fill {ml:g} mL of {batch} into a bag with a weldable line, label it {batch}: base medium for the "
        f"{count_words(bags)}, {for_people:g} min in the bath at {celsius:g} °C; it is needed about {own:.0f} min "
        f"after this step. Warm the other {share / 1000:.4g} mL in the same bath, {for_robot:g} min, then wipe it "
        f"dry and bring it to slot {worklist.item(stands[0]).slot}."
    )
    to_robot = _minutes_until(worklist, deck, lambda step: step.operator is None)
    wait = max(0.0, float(math.ceil(max(for_people - own, for_robot - to_robot))))
    task = OperatorTask(
        kind="warm", instruction=told, labware=(stands[0],), wells=(stands[1],), minutes=wait, temperature_c=celsius
    )
    return preceded_by(worklist, [task])


def with_settling(
    worklist: Worklist, bags: Sequence[BagFeeding], deck: BenchDeck, known: BagCatalogue, settling_minutes: float
) -> Worklist:
    """Cultures settle while the robot works; it waits only for what its own work does not take."""
    task = settling_task(bags, known, settling_minutes)
    if task is None:
        return worklist
    own = _minutes_until(worklist, deck, _drains_off)
    wait = max(0.0, float(math.ceil(settling_minutes - own)))
    return preceded_by(worklist, [task.model_copy(update={"minutes": wait})])


def prepared_ml(by_hand_ul: float) -> float:
    """What is prepared for people to run in, in mL: to the next 5 mL, what stays in lines included."""
    return 5 * math.ceil(by_hand_ul * (1 + LINES_SHARE) / 5000)


def count_words(bags: Sequence[BagFeeding]) -> str:
    """`1 vessel`, `3 vessels`."""
    return f"{len(bags)} vessel{'s' if len(bags) != 1 else ''}"


def _minutes_until(worklist: Worklist, deck: BenchDeck, is_end: Callable[[Step], bool]) -> float:
    """Time of robot and people before the first step of a sort."""
    robot, passed = busy_minutes(worklist, deck), 0.0
    for step in worklist.steps:
        if is_end(step):
            break
        passed += step.operator.minutes if step.operator is not None else robot[step.number]
    return passed


def _runs_in(step: Step) -> bool:
    return any(not move.from_vessel for move in step.moves)


def _drains_off(step: Step) -> bool:
    return any(move.is_without_cells for move in step.moves)
