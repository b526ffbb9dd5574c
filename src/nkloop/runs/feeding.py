"""One feeding of a culture plate: what every well holds now, and the plan for what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from nkloop.errors import PlanError, RecordError, StepUnknownError
from nkloop.feedback.models import Arm
from nkloop.recipes.models import Recipe
from nkloop.runs.contents import known_contents
from nkloop.runs.culture import PLATE
from nkloop.runs.media import medium_in
from nkloop.runs.reserved_plans import plan_on_stock
from nkloop.runs.session import Session
from nkloop.worklists.allowed_errors import allowed_errors
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.models import CELLS_OUT_MINUTES
from nkloop.worklists.plans import DonorTube, DosingPlan, DosingRequest, WellFeeding


async def plan_feeding(
    session: Session,
    recipe: Recipe,
    stage_id: str,
    *,
    name: str,
    plate: str,
    base_medium: str,
    arms: Sequence[Arm],
    wells: Sequence[WellFeeding],
    donors: Sequence[DonorTube] = (),
    seed: int | None = None,
    plate_load_name: str = PLATE,
    cells_out_minutes: float = CELLS_OUT_MINUTES,
    reservation: str = "",
) -> DosingPlan:
    """Plan a feeding; what the wells hold now is told from the worklists run on the plate.

    Args:
        plate_load_name: kind of the plate; a plate that was used before must be of it.
        cells_out_minutes: longest time of cells outside the incubator; a longer feeding is cut into parts.
        reservation: name a plan was reserved under; found by itself when the plan is the same.

    Raises:
        PlanError: a well is fed without having been seeded, or the plan does not fit the bench.
        StepUnknownError: nobody knows what the plate or the medium holds.
    """
    held = _present(session, plate, plate_load_name, is_new=any(well.seed_ul > 0 for well in wells))
    _refuse_discarded(session, plate, wells)
    now = await session.bench.clock.now()
    request = DosingRequest(
        name=name,
        recipe=recipe,
        stage_id=stage_id,
        arms=tuple(arms),
        plate_barcode=plate,
        plate_load_name=plate_load_name,
        wells=tuple(well.model_copy(update=held.get(well.well, {})) for well in wells),
        base=medium_in(session, base_medium),
        donors=tuple(donors),
        cells_out_minutes=cells_out_minutes,
        use_until=(now + timedelta(days=1)).date(),
        seed=seed,
        error_limits=allowed_errors(recipe.error_limits, session.bench_file.deck),
    )
    return plan_on_stock(
        session,
        now,
        lambda stocks: plan_dosing(request, stocks, session.bench_file.deck, session.catalogue),
        reservation=reservation,
    )


def _refuse_discarded(session: Session, plate: str, wells: Sequence[WellFeeding]) -> None:
    named = {well.well for well in wells}
    gone = [one for one in session.records.decisions.discarded(plate) if one.well in named]
    if gone:
        raise PlanError(
            f"well {gone[0].well} of {plate} was discarded by {gone[0].by} ({gone[0].reason})",
            where="wells",
            remedy=f"leave out {', '.join(dict.fromkeys(one.well for one in gone))}",
        )


def _present(session: Session, plate: str, load_name: str, *, is_new: bool) -> dict[str, dict[str, object]]:
    try:
        known = known_contents(session.records, session.catalogue, session.bench_file.deck, plate)
    except StepUnknownError:
        raise
    except RecordError:
        if is_new:
            return {}
        raise PlanError(
            f"no run has seeded plate {plate}", where="plate", remedy="seed it first, or check the barcode"
        ) from None
    if is_new:
        raise PlanError(
            f"plate {plate} was used before, seeding it again would put cells on cells",
            where="plate",
            remedy="take a new plate with its own barcode",
        )
    if known.load_name != load_name:
        raise PlanError(
            f"plate {plate} is a {known.load_name}, not a {load_name}",
            where="plate",
            remedy="choose its kind, or check the barcode",
        )
    return {
        well: {"present_ul": contents.volume_ul, "present_per_ul": contents.per_ul}
        for well, contents in known.wells.items()
    }
