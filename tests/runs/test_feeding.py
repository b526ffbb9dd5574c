"""One feeding: what stands in the wells is known or the feeding is refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from nkloop.errors import PlanError, RecordError, StepUnknownError
from nkloop.feedback import Envelope
from nkloop.feedback.models import Arm
from nkloop.quantities import Amount
from nkloop.recipes.models import Recipe
from nkloop.runs.feeding import PlateFeeding, plan_feeding
from nkloop.runs.media import plan_batch
from nkloop.runs.session import Session
from nkloop.worklists.plans import DonorTube, DosingPlan, WellFeeding

Journalled = Callable[..., str]
Plan = Callable[..., Any]
SEEDED = WellFeeding(arm="reference", donor="U1", well="A1", add_ul=1350, seed_ul=150)
FED = WellFeeding(arm="reference", donor="U1", well="A1", remove_ul=750, add_ul=750)


@pytest.fixture
def plan(session: Session, recipe: Recipe, journalled: Journalled) -> Plan:
    """`plan(*wells)`: a feeding of plate C-1 from a base medium prepared for it."""
    media = count(1)
    reference = Arm(name="reference", factors=Envelope.of(recipe).complete({}), origin="reference")
    varied = [v.component for v in recipe.loop.vary if "expansion_i" in v.stages]

    async def planned(*wells: WellFeeding, extra: tuple[Arm, ...] = (), **more: Any) -> DosingPlan:
        barcode = f"M-{next(media)}"
        made = await plan_batch(session, recipe, "expansion_i", Amount(60, "mL"), leave_out=varied, barcode=barcode)
        journalled(made.worklist)
        asked = PlateFeeding(
            recipe=recipe, stage_id="expansion_i", name="feed", plate="C-1", arms=(reference, *extra), wells=wells,
            donors=(DonorTube(donor="U1", cells_per_ul=1000),), **more,
        )  # fmt: skip
        return await plan_feeding(session, asked, barcode)

    return planned


async def test_a_new_plate_is_seeded_to_the_recipes_concentrations(plan: Plan, recipe: Recipe) -> None:
    wanted = recipe.stage("expansion_i").medium.amount_of("TPO")
    assert wanted is not None
    # a tenth of the well is the donor's suspension
    for aim, share in (("vessel", 1.0), ("medium", 0.9)):
        seeded: DosingPlan = await plan(SEEDED, aim=aim)
        (well,) = seeded.after
        assert well.volume_ul == pytest.approx(1500)
        assert well.per_ul["TPO"] == pytest.approx(share * wanted.canonical, rel=0.02)


async def test_an_arm_that_differs_in_another_stage_only_is_told(plan: Plan, recipe: Recipe) -> None:
    elsewhere, here = (
        Arm(name=name, factors=Envelope.of(recipe).complete({key: 1.5}), origin="exploration")
        for name, key in (("arm-1-1", "IL-15@expansion_ii+differentiation"), ("arm-1-2", "TPO@expansion_i"))
    )
    wells = [
        SEEDED.model_copy(update={"arm": arm, "well": well}) for arm, well in (("arm-1-1", "A2"), ("arm-1-2", "A3"))
    ]
    made: DosingPlan = await plan(SEEDED, *wells, extra=(elsewhere, here))
    told = "arm-1-1 is the recipe unchanged in expansion_i: IL-15@expansion_ii+differentiation acts elsewhere"
    assert [note for note in made.notes if "unchanged" in note] == [told]


async def test_a_feeding_starts_from_what_the_last_one_left(plan: Plan, journalled: Journalled) -> None:
    seeded: DosingPlan = await plan(SEEDED, aim="medium")
    journalled(seeded.worklist)
    fed: DosingPlan = await plan(FED)
    before, after = seeded.after[0], fed.after[0]
    assert after.volume_ul == pytest.approx(1500)
    assert before.per_ul["TPO"] < after.per_ul["TPO"]
    present = next(f for f in fed.worklist.fillings if f.volume_ul == pytest.approx(before.volume_ul))
    assert present.liquid.per_ul["TPO"] == pytest.approx(before.per_ul["TPO"], rel=1e-6)


async def test_of_two_feeds_planned_on_the_same_contents_one_is_run(plan: Plan, journalled: Journalled) -> None:
    """A launch that was clicked twice: both were planned before either of them had the bench."""
    seeded: DosingPlan = await plan(SEEDED, aim="medium")
    left = journalled(seeded.worklist)
    feeds = [await plan(FED), await plan(FED)]
    for feed in feeds:
        (stands,) = feed.worklist.planned_on
        assert (stands.barcode, stands.run, stands.wells) == ("C-1", left, ("A1",))
    run_id = journalled(feeds[0].worklist)
    with pytest.raises(RecordError, match=rf"A1 was changed since, by {run_id}.*plan anew on what C-1 holds now"):
        journalled(feeds[1].worklist)
    anew: DosingPlan = await plan(FED)
    assert anew.worklist.planned_on[0].run == run_id
    journalled(anew.worklist)


async def test_a_plan_that_was_kept_comes_back_as_it_was(plan: Plan, session: Session) -> None:
    made: DosingPlan = await plan(SEEDED)
    session.records.plans.keep("flow-1", "flow-1/feeding/1", made)
    kept = session.records.plans.last("flow-1", "flow-1/feeding/1", DosingPlan)
    assert kept == made
    assert kept.worklist.content_hash == made.worklist.content_hash


async def test_feeding_a_plate_nobody_seeded_is_refused(plan: Plan) -> None:
    with pytest.raises(PlanError, match=r"no run has seeded plate C-1.*seed it first"):
        await plan(FED)


async def test_cells_on_cells_are_refused(plan: Plan, journalled: Journalled) -> None:
    journalled((await plan(SEEDED)).worklist)
    with pytest.raises(PlanError, match=r"plate C-1 was used before.*take a new plate"):
        await plan(SEEDED)


async def test_a_plate_of_unknown_contents_is_not_fed(plan: Plan, journalled: Journalled) -> None:
    journalled((await plan(SEEDED)).worklist, "interrupted", "unknown")
    for well in (FED, SEEDED):
        with pytest.raises(StepUnknownError, match="nobody knows what C-1 holds"):
            await plan(well)
