"""Medium batches: planned with the bench's lots, for as long as they keep."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from nkloop.inventory import Inventory
from nkloop.quantities import Amount
from nkloop.recipes.media import SHELF_LIFE
from nkloop.recipes.models import Recipe
from nkloop.runs.contents import known_contents
from nkloop.runs.made_errors import with_recorded_errors
from nkloop.runs.reserved_plans import plan_on_stock
from nkloop.runs.session import Session
from nkloop.worklists.allowed_errors import allowed_errors
from nkloop.worklists.medium import plan_media
from nkloop.worklists.medium_vessels import require_one_vessel
from nkloop.worklists.plans import MediumOrder, MediumPlan, MediumSource


def shelf_life(recipe: Recipe, stage_id: str) -> timedelta:
    """How long the complete medium of a stage keeps; an unknown stage is told by the planner."""
    life = recipe.stage(stage_id).medium.shelf_life if stage_id in recipe.stage_ids else SHELF_LIFE
    return timedelta(days=life.to("d"))


async def plan_batch(
    session: Session,
    recipe: Recipe,
    stage_id: str,
    volume: Amount,
    *,
    leave_out: Collection[str] = (),
    barcode: str = "",
    load_name: str = "",
    reservation: str = "",
    max_cv: float = 0.0,
    max_bias: float = 0.0,
) -> MediumPlan:
    """Plan a batch in one vessel that keeps for the shelf life of its medium from the bench's today.

    Args:
        barcode: of the vessel; made from stage and time, and no other vessel's, when empty.
        load_name: labware it is made in; the smallest that takes the volume when empty.
        reservation: name the plan was reserved under; found by itself when the plan is the same.
        max_cv: largest predicted CV in percent; that of the recipe or the bench when 0.
        max_bias: largest predicted systematic error in percent, in the same way.

    Raises:
        InventoryError: the named reservation holds nothing.
        PlanError: stage, volume or left-out components do not fit the recipe or the bench, or the volume no one vessel.
        RecordError: the vessel was filled by an earlier run.
        ShortageError: no valid lot holds enough.
    """
    now, vessels = await session.bench.clock.now(), session.records.vessels
    order = MediumOrder(
        stage_id=stage_id,
        volume=volume,
        omit=tuple(leave_out),
        barcode=barcode or vessels.give(f"medium-{stage_id}-{now:%Y%m%d-%H%M}"),
        load_name=load_name,
    )

    require_one_vessel(order, session.catalogue)
    allowed = allowed_errors(recipe.error_limits, session.bench_file.deck)
    given = {"cv_percent": max_cv, "bias_percent": max_bias}

    def plan(stocks: Inventory) -> MediumPlan:
        return plan_media(
            recipe,
            [order],
            stocks,
            session.bench_file.deck,
            session.catalogue,
            use_until=(now + shelf_life(recipe, stage_id)).date(),
            today=now.date(),
            limits=allowed.model_copy(update={name: value for name, value in given.items() if value > 0}),
        )

    made = plan_on_stock(session, now, plan, reservation=reservation)
    for part in made.parts:
        vessels.require_unused(part.worklist, session.bench_file.name)
    return made


def medium_in(session: Session, barcode: str) -> MediumSource:
    """A medium prepared earlier, as it stands now, with the predicted errors of the run that prepared it.

    Raises:
        RecordError: no run prepared it.
        StepUnknownError: nobody knows what it holds.
    """
    held = known_contents(session.records, session.catalogue, session.bench_file.deck, barcode)
    well, contents = max(held.wells.items(), key=lambda entry: entry[1].volume_ul)
    stands = MediumSource(
        barcode=barcode,
        load_name=held.load_name,
        well=well,
        per_ul=contents.per_ul,
        volume_ul=round(contents.volume_ul, 3),
    )
    file = session.bench_file
    return with_recorded_errors(stands, session.records, session.stocks(), session.catalogue, file.deck)
