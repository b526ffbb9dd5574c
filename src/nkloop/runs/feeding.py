"""One feeding of a culture plate: what every well holds now, and the plan for what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import Field

from nkloop.errors import PlanError, RecordError, StepUnknownError
from nkloop.feedback.models import Arm
from nkloop.frozen import FrozenModel
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.recipes.models import Recipe
from nkloop.runs.contents import known_contents
from nkloop.runs.culture import PLATE
from nkloop.runs.media import medium_in
from nkloop.runs.reserved_plans import plan_on_stock
from nkloop.runs.session import Session
from nkloop.worklists.allowed_errors import allowed_errors
from nkloop.worklists.base_medium import BaseMaker, order_in, order_of
from nkloop.worklists.constants import Constants, settled, settled_by
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.dosing_assembly import Wanted, with_enough_base
from nkloop.worklists.dosing_request import stage_of, unchanged_notes
from nkloop.worklists.models import CELLS_OUT_MINUTES
from nkloop.worklists.plans import Aim, DonorTube, DosingPlan, DosingRequest, MediumOrder, MediumSource, WellFeeding


class PlateFeeding(FrozenModel):
    """What is asked of one feeding of one culture plate."""

    recipe: Recipe
    stage_id: str
    name: str
    plate: str
    """Barcode; a plate that was used before must be of the kind named."""
    arms: tuple[Arm, ...] = Field(min_length=1)
    wells: tuple[WellFeeding, ...] = Field(min_length=1)
    donors: tuple[DonorTube, ...] = ()
    seed: int | None = None
    plate_load_name: str = PLATE
    cells_out_minutes: float = CELLS_OUT_MINUTES
    """Longest time of cells outside the incubator; a longer feeding is cut into parts."""
    constants: Constants = "auto"
    aim: Aim = "vessel"


async def plan_feeding(session: Session, asked: PlateFeeding, base_medium: str, *, reservation: str = "") -> DosingPlan:
    """Plan a feeding; what the wells hold now is told from the worklists run on the plate.

    Args:
        session: of the bench.
        asked: what is fed with what.
        base_medium: barcode of the prepared base medium; what it holds of what all arms have alike is not dosed.
        reservation: name a plan was reserved under; found by itself when the plan is the same.

    Raises:
        PlanError: a well is fed without having been seeded, or the plan does not fit the bench.
        StepUnknownError: nobody knows what the plate or the medium holds.
    """
    now = await session.bench.clock.now()
    wells = _as_they_stand(session, asked)
    base = medium_in(session, base_medium)
    wanted, told = settled_by(_wanted(session, asked, now), asked.constants, base)
    request = _request(wanted, asked, wells, base)
    plan = plan_on_stock(
        session,
        now,
        lambda stocks: plan_dosing(request, stocks, session.bench_file.deck, session.catalogue),
        reservation=reservation,
    )
    alike = unchanged_notes(asked.recipe, asked.stage_id, asked.arms)
    return plan.model_copy(update={"notes": (*told, *alike, *plan.notes)})


async def base_order(session: Session, asked: PlateFeeding, barcode: str) -> MediumOrder:
    """The base medium a feeding takes when nobody has prepared one, as `nkloop plan dosing` orders it.

    Raises:
        PlanError: the feeding takes none, does not fit the bench, a well cannot be fed, or no base medium is accurate
            enough for it.
        ShortageError: no valid lot holds enough.
    """
    now = await session.bench.clock.now()
    wells, deck, catalogue = _as_they_stand(session, asked), session.bench_file.deck, session.catalogue

    def request(wanted: Wanted, base: MediumSource) -> DosingRequest:
        return _request(wanted, asked, wells, base)

    wanted, _ = settled(_wanted(session, asked, now), asked.constants, request)
    stocks = session.stocks(now)
    dosed = [one.component for one in wanted.added]

    def known(base: MediumSource, by_hand_ul: float, within: ErrorLimits | None) -> MediumSource | None:
        order = order_of(base, wanted.stage, dosed, by_hand_ul, catalogue)
        limits = wanted.error_limits or asked.recipe.error_limits
        maker = BaseMaker(base, order, asked.recipe, stocks, deck, catalogue, now.date())
        return maker.ordered(limits, within)

    plan = with_enough_base(
        wanted,
        catalogue,
        lambda base, like: plan_dosing(request(wanted, base), stocks, deck, catalogue, like=like),
        known,
    )
    order = order_in(plan.parts[0].worklist, wanted.stage, dosed, 0.0, catalogue)
    if order is None:
        raise PlanError(
            "nothing is added to any well, so no base medium is needed",
            where="wells",
            remedy="say what is added, or name the base medium that stands there",
        )
    return order.model_copy(update={"barcode": barcode, "within": plan.base_within})


def _as_they_stand(session: Session, asked: PlateFeeding) -> tuple[WellFeeding, ...]:
    """The wells with what they hold now."""
    is_new = any(well.seed_ul > 0 for well in asked.wells)
    held = _present(session, asked.plate, asked.plate_load_name, is_new=is_new)
    _refuse_discarded(session, asked.plate, asked.wells)
    return tuple(well.model_copy(update=held.get(well.well, {})) for well in asked.wells)


def _wanted(session: Session, asked: PlateFeeding, now: datetime) -> Wanted:
    return Wanted(
        recipe=asked.recipe,
        stage=stage_of(asked.recipe, asked.stage_id, "stage"),
        arms=asked.arms,
        donors=tuple(tube.donor for tube in asked.donors),
        use_until=(now + timedelta(days=1)).date(),
        seed=asked.seed or 0,
        name=asked.name,
        error_limits=allowed_errors(asked.recipe.error_limits, session.bench_file.deck),
    )


def _request(wanted: Wanted, asked: PlateFeeding, wells: tuple[WellFeeding, ...], base: MediumSource) -> DosingRequest:
    return DosingRequest(
        name=wanted.name,
        recipe=wanted.recipe,
        stage_id=wanted.stage.id,
        arms=wanted.arms,
        plate_barcode=asked.plate,
        plate_load_name=asked.plate_load_name,
        wells=wells,
        base=base,
        in_base=wanted.in_base,
        aim=asked.aim,
        donors=asked.donors,
        cells_out_minutes=asked.cells_out_minutes,
        use_until=wanted.use_until,
        seed=asked.seed,
        error_limits=wanted.error_limits,
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
            f"plate {plate} is of kind {known.load_name}, not {load_name}",
            where="plate",
            remedy="choose its kind, or check the barcode",
        )
    return {
        well: {"present_ul": contents.volume_ul, "present_per_ul": contents.per_ul}
        for well, contents in known.wells.items()
    }
