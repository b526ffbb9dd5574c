"""New closed vessels: the cell suspension each one gets, how it is prepared, and the base medium people need for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from nkloop.errors import PlanError
from nkloop.labware.bags import BagCatalogue
from nkloop.quantities.display import number
from nkloop.recipes.models import Stage
from nkloop.worklists.bag_plans import BagFeeding, BagSeeding
from nkloop.worklists.bag_weights import READ_UL, back_words, change_g, in_all, ml, readable
from nkloop.worklists.models import SUSPENSION, OperatorTask, Vessel, VesselMove
from nkloop.worklists.stage_day import SEED_SHARE

SUSPEND_MINUTES, RUN_IN_MINUTES = 10.0, 10.0
"""Counting and diluting one suspension; welding it on and running it in. Estimates."""
EXCESS_SHARE = 0.05
"""Suspension made in addition to what the vessels get, for lines; a working value."""


def new_vessel(name: str, stage: Stage, volume_ul: float, dose_ul: float, suspended_in: str = "") -> dict[str, object]:
    """Volumes of one new vessel, as fields of `BagFeeding`: a tenth is cell suspension, dose and base medium the rest.

    Args:
        name: of the vessel.
        stage: gives the seeding density.
        volume_ul: of the vessel afterwards.
        dose_ul: what the dose tube brings.
        suspended_in: what the cells come in, as words; empty for the base medium of the plan.

    Raises:
        PlanError: suspension and dose bring more than the volume.
    """
    suspension = readable(SEED_SHARE * volume_ul)
    medium = readable(volume_ul - suspension - dose_ul)
    if medium < 0:
        raise PlanError(
            f"bag {name} shall hold {volume_ul / 1000:g} mL, cells bring {suspension / 1000:g} mL and the dose "
            f"{dose_ul / 1000:g} mL",
            where="volume",
            remedy="choose a larger volume, or a smaller dose",
        )
    density = stage.seeding_density.canonical * volume_ul / suspension
    seeding = BagSeeding(cells_per_ul=density, suspended_in=suspended_in)
    return {"present_ul": suspension, "drain_ul": 0.0, "medium_ul": medium, "seeding": seeding}


def suspension_of(donor: str) -> str:
    """Name of a donor's cell suspension, as it stands on its label."""
    return f"cells-{donor}"


def suspended_ul(bags: Sequence[BagFeeding]) -> float:
    """Cell suspension that is made for new vessels, what stays in lines included, of each donor so much as is read."""
    needed = [sum(bag.present_ul for bag in some) * (1 + EXCESS_SHARE) for some in _by_donor(bags).values()]
    return sum(READ_UL * math.ceil(volume / READ_UL - 1e-6) for volume in needed)


def suspended_in_base_ul(bags: Sequence[BagFeeding]) -> float:
    """Base medium that cells of new vessels are suspended in."""
    return suspended_ul([bag for bag in bags if bag.seeding is not None and not bag.seeding.suspended_in])


def by_hand_ul(bags: Sequence[BagFeeding]) -> float:
    """Base medium people need besides the robot's: run into vessels, and what cells are suspended in."""
    return sum(bag.medium_ul for bag in bags) + suspended_in_base_ul(bags)


def suspension_vessels(bags: Sequence[BagFeeding]) -> Iterator[Vessel]:
    """The suspension of each donor, from which the cells of its new vessels come."""
    for donor, some in _by_donor(bags).items():
        made, seeding = suspended_ul(some), some[0].seeding
        assert seeding is not None
        yield Vessel(
            name=suspension_of(donor),
            title=f"{SUSPENSION} {donor}",
            lowest_ul=1,
            capacity_ul=made,
            volume_ul=made,
            cells_per_ul=seeding.cells_per_ul,
            end_ul=made - sum(bag.present_ul for bag in some),
            is_emptied=True,
        )


def seeding_tasks(
    bags: Sequence[BagFeeding], known: BagCatalogue, final_ul: Callable[[BagFeeding], float]
) -> Iterator[OperatorTask]:
    """Cells into vessels that already hold medium and dose, one donor open at a time.

    Args:
        bags: vessels of the run.
        known: their kinds.
        final_ul: what a vessel holds at the end.
    """
    for donor, some in _by_donor(bags).items():
        yield _suspend(donor, some)
        for bag in some:
            kind = known.bag(bag.kind)
            until = f"until it is {change_g(bag.present_ul)} heavier{in_all(kind, final_ul(bag))}"
            yield OperatorTask(
                kind="weld",
                instruction=f"Mix {suspension_of(donor)} gently, check both labels with a second person, weld it to "
                f"{bag.bag} ({bag.arm}/{bag.donor}), run in {ml(bag.present_ul)}, {until}; mix, seal the line. "
                f"{back_words(bag.bag, kind)} Note the time.",
                minutes=RUN_IN_MINUTES,
                moves=(VesselMove(from_vessel=suspension_of(donor), to_vessel=bag.bag, volume_ul=bag.present_ul),),
            )


def _suspend(donor: str, bags: Sequence[BagFeeding]) -> OperatorTask:
    seeding, made_ml = bags[0].seeding, suspended_ul(bags) / 1000
    assert seeding is not None
    density = 1000 * seeding.cells_per_ul
    medium = seeding.suspended_in or "base medium without what the arms add"
    return OperatorTask(
        kind="confirm",
        instruction=f"Count the cells of {donor}. Bring {number(density * made_ml)} viable cells (that many divided by "
        f"your count, in mL) into warm {medium}, {made_ml:.4g} mL in all, {number(density)} "
        f"cells/mL; label it {suspension_of(donor)}. Fewer cells: stop, plan again with a smaller --volume.",
        minutes=SUSPEND_MINUTES,
    )


def _by_donor(bags: Sequence[BagFeeding]) -> dict[str, list[BagFeeding]]:
    found: dict[str, list[BagFeeding]] = {}
    for bag in bags:
        if bag.seeding is not None:
            found.setdefault(bag.donor, []).append(bag)
    return found
