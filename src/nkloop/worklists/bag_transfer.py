"""Moving a culture into another closed vessel: how much of it, how much medium, what stays behind.

The culture comes to the seeding density of the stage it enters. All of it goes over when no volume is asked for;
otherwise as much as that volume takes, and the rest stays where it is or is thrown away.
"""

from __future__ import annotations

import math

from nkloop.errors import PlanError
from nkloop.labware.bags import Bag
from nkloop.recipes.models import Stage
from nkloop.worklists.bag_plans import BagTransfer
from nkloop.worklists.bag_weights import READ_UL, readable
from nkloop.worklists.present_table import Present
from nkloop.worklists.stage_day import times_denser

SAMPLE_UL = 1000.0
"""Taken out of the culture before it is moved, for count and viability."""


def plan_transfer(
    name: str, present: Present, source: Bag, stage: Stage, *, volume_ul: float | None, dose_ul: float
) -> BagTransfer:
    """Volumes of one transfer.

    Args:
        name: barcode of the vessel the culture is in.
        present: what it holds, with its cell count.
        source: its kind.
        stage: stage the culture enters; gives seeding density and vessel.
        volume_ul: volume of the new vessel afterwards; None moves all of the culture.
        dose_ul: what the dose tube brings.

    Raises:
        PlanError: the culture is not counted or too thin, there is too little of it, or rinse and dose bring more than
            comes in.
    """
    where = f"bag {name}"
    times = times_denser(present, "transfer", stage, where)
    available = present.volume_ul - SAMPLE_UL - 1000 * source.residual_ml
    moved, final = _moved_ul(available, times, volume_ul, stage, where)
    goes_on = available - moved >= 1000 * source.lowest_ml - 1000 * source.residual_ml
    rest = round(available - moved, 0)  # what no scale shows stays with what cannot be drained
    rinse = 0.0 if goes_on else 1000 * source.rinse_ml
    room = final - moved - dose_ul
    if room < rinse:
        raise PlanError(
            f"{(final - moved) / 1000:.3g} mL come in to reach the seeding density, the dose brings {dose_ul / 1000:g} "
            f"mL and the rinse {rinse / 1000:g} mL",
            where=where,
            remedy="choose a smaller dose, or wait until the culture is denser",
        )
    return BagTransfer(
        from_bag=name,
        from_kind=source.name,
        held_ul=present.volume_ul,
        cells_per_ul=present.cells_per_ul or 0.0,
        sample_ul=SAMPLE_UL,
        moved_ul=moved,
        rinse_ul=rinse,
        discarded_ul=0.0 if goes_on or rest < READ_UL else rest,
        medium_ul=readable(room - rinse),
        is_emptied=not goes_on,
    )


def _moved_ul(
    available_ul: float, times: float, volume_ul: float | None, stage: Stage, where: str
) -> tuple[float, float]:
    """How much of the culture moves, and the volume it comes to.

    Args:
        available_ul: what comes out of the old vessel.
        times: how many times denser the culture is than the stage is seeded.
        volume_ul: what is asked for; None moves all.
        stage: that the culture enters.
        where: the vessel, for messages.

    Raises:
        PlanError: there is less of it than is needed, or the stage does not grow in that volume.
    """
    moved = available_ul if volume_ul is None else volume_ul / times
    final = readable(available_ul * times) if volume_ul is None else volume_ul
    if moved > available_ul + 0.5:
        raise PlanError(
            f"{moved / 1000:.4g} mL of the culture are needed for {final / 1000:.4g} mL at {stage.seeding_density}, "
            f"{available_ul / 1000:.4g} mL come out of it",
            where=where,
            remedy=f'choose a smaller volume, at most --volume "{available_ul * times / 1000:.4g} mL"',
        )
    low, high = (one.canonical for one in stage.vessel.volume)
    if not low <= final <= high:
        raise PlanError(
            f"the culture would come to {final / 1000:.4g} mL, stage {stage.id} grows in {low / 1000:g} to "
            f"{high / 1000:g} mL",
            where=where,
            remedy="give another volume with --volume, or wait until there are more cells",
        )
    most = READ_UL * math.floor(available_ul / READ_UL)
    return min(readable(moved), most), final
