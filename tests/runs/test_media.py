"""Medium batches from the bench's lots, and finding them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nkloop.errors import PlanError, RecordError, ShortageError, StepUnknownError
from nkloop.feedback import Envelope
from nkloop.feedback.models import Arm
from nkloop.inventory import Inventory
from nkloop.quantities import Amount
from nkloop.recipes.models import Recipe
from nkloop.runs.feeding import PlateFeeding, base_order, plan_feeding
from nkloop.runs.media import medium_in, plan_batch
from nkloop.runs.session import Session
from nkloop.worklists.base_errors import ASSUMED
from nkloop.worklists.medium_vessels import TUBES_15
from nkloop.worklists.models import Filling, Liquid
from nkloop.worklists.plans import DonorTube, WellFeeding

Journalled = Callable[..., str]
ML_50 = Amount(50, "mL")


async def test_a_batch_is_what_the_recipe_asks_and_is_found_again(
    session: Session, recipe: Recipe, journalled: Journalled
) -> None:
    plan = await plan_batch(session, recipe, "expansion_i", ML_50, barcode="M-1")
    assert {row.component for row in plan.composition} >= {"GBGM", "human serum", "SCF", "TPO"}
    assert all(abs(row.deviation_percent) < 1 for row in plan.composition)
    journalled(plan.worklist)
    found = medium_in(session, "M-1")
    assert found.barcode == plan.source.barcode == "M-1"
    assert found.volume_ul == pytest.approx(plan.source.volume_ul, rel=1e-6)
    assert found.volume_ul >= 50_000
    assert found.per_ul == pytest.approx(plan.source.per_ul, rel=1e-6)


@pytest.mark.parametrize("is_planned_before", [False, True])
async def test_the_errors_of_a_batch_are_those_of_the_run_that_made_it_also_after_a_dose_from_it(
    session: Session, recipe: Recipe, journalled: Journalled, is_planned_before: bool
) -> None:
    """Also where the dose was planned before the batch was made."""
    varied = [v.component for v in recipe.loop.vary if "expansion_i" in v.stages]
    plan = await plan_batch(session, recipe, "expansion_i", ML_50, leave_out=varied, barcode="M-1")
    run = journalled(plan.worklist)
    made = medium_in(session, "M-1")
    assert made.errors == plan.source.errors
    assert made.errors["GM-CSF"].bias_percent > 5
    assert made.errors_from == f"of run {run}, which prepared it"
    reference = Arm(name="reference", factors=Envelope.of(recipe).complete({}), origin="reference")
    asked = PlateFeeding(
        recipe=recipe, stage_id="expansion_i", name="feed", plate="C-1", arms=(reference,),
        wells=(WellFeeding(arm="reference", donor="U1", well="A1", add_ul=1350, seed_ul=150),),
        donors=(DonorTube(donor="U1", cells_per_ul=1000),),
    )  # fmt: skip
    fed = await plan_feeding(session, asked, "M-1")
    unknowing = tuple(one.model_copy(update={"run": "", "origin": "assumed"}) for one in fed.worklist.prepared)
    drawn = {"prepared": unknowing} if is_planned_before else {}
    journalled(fed.worklist.model_copy(update=drawn))
    later = medium_in(session, "M-1")
    assert later.volume_ul < made.volume_ul
    assert later.prepared_by == run
    assert later.errors == {n: e for n, e in made.errors.items() if made.per_ul.get(n)}
    assert later.errors_from == made.errors_from


async def test_the_errors_of_a_batch_that_no_run_tells_of_are_assumed(
    session: Session, recipe: Recipe, journalled: Journalled
) -> None:
    plan = await plan_batch(session, recipe, "expansion_i", ML_50, barcode="M-1")
    stood = Filling(
        labware="medium", well="A1", volume_ul=50_000, liquid=Liquid(name="medium", per_ul={"GBGM": 1.0}, lot="bought")
    )
    journalled(plan.worklist.model_copy(update={"fillings": (*plan.worklist.fillings, stood)}))
    made = medium_in(session, "M-1")
    assert set(made.errors.values()) == {ASSUMED}
    assert "made only a part of it" in made.errors_from


async def test_a_base_for_a_feeding_is_ordered_and_made_as_accurate_as_its_wells_need_it(
    session: Session, recipe: Recipe, journalled: Journalled
) -> None:
    arms = [
        Arm(name=name, factors=Envelope.of(recipe).complete({"SCF": factor}), origin=origin)
        for name, factor, origin in (("reference", 1.0, "reference"), ("more", 2.0, "exploration"))
    ]
    asked = PlateFeeding(
        recipe=recipe, stage_id="expansion_i", name="feed", plate="C-1", arms=tuple(arms),
        plate_load_name="corning_96_wellplate_360ul_flat",
        wells=tuple(
            WellFeeding(arm=arm.name, donor="U1", well=well, add_ul=54, seed_ul=6)
            for arm, well in zip(arms, ("A1", "B1"), strict=True)
        ),
        donors=(DonorTube(donor="U1", cells_per_ul=1000),),
    )  # fmt: skip
    order = await base_order(session, asked, "M-1")
    assert order.within is not None
    limit = recipe.error_limits.bias_percent
    assert order.within.bias_percent < limit - 0.25
    for own in (0.0, order.within.bias_percent):
        made = await plan_batch(
            session, recipe, "expansion_i", order.volume, leave_out=order.omit, barcode=f"M-{own}",
            load_name=order.load_name, max_bias=own,
        )  # fmt: skip
        journalled(made.worklist)
    with pytest.raises(PlanError, match="the base medium alone is predicted to be off"):
        await plan_feeding(session, asked, "M-0.0")
    plan = await plan_feeding(session, asked, f"M-{order.within.bias_percent}")
    assert max(row.bias_percent or 0.0 for row in plan.composition) <= limit


async def test_what_the_arms_add_is_left_out(session: Session, recipe: Recipe) -> None:
    plan = await plan_batch(session, recipe, "expansion_i", ML_50, leave_out=("SCF", "TPO"))
    assert not {"SCF", "TPO"} & {row.component for row in plan.composition}
    assert plan.source.barcode == "medium-expansion_i-20260105-0800"


async def test_two_batches_of_one_minute_go_into_two_vessels(session: Session, recipe: Recipe) -> None:
    first, second, third = [(await plan_batch(session, recipe, "expansion_i", ML_50)).source.barcode for _ in range(3)]
    assert (second, third) == (f"{first}.2", f"{first}.3")


async def test_a_batch_does_not_go_into_a_vessel_that_was_filled(
    session: Session, recipe: Recipe, journalled: Journalled
) -> None:
    made = await plan_batch(session, recipe, "expansion_i", ML_50, barcode="M-1")
    run = journalled(made.worklist)
    with pytest.raises(RecordError, match=rf"M-1 \(Finished medium.*was filled before, by {run} .*fresh vessel"):
        await plan_batch(session, recipe, "expansion_i", Amount(40, "mL"), barcode="M-1")


@pytest.mark.parametrize(
    ("ml", "load_name", "told"),
    [
        pytest.param(60, TUBES_15, r"60 mL .* one 15 mL tube, .* choose trough, which holds it", id="tubes"),
        pytest.param(20, TUBES_15, r"20 mL .* one 15 mL tube.* choose tube-50", id="the next larger one"),
        pytest.param(500, "", r"500 mL .* one trough.* prepare several batches", id="no vessel"),
    ],
)
async def test_what_would_take_several_vessels_is_refused_with_the_one_that_holds_it(
    session: Session, recipe: Recipe, ml: float, load_name: str, told: str
) -> None:
    with pytest.raises(PlanError, match=told):
        await plan_batch(session, recipe, "expansion_i", Amount(ml, "mL"), load_name=load_name)


@pytest.mark.parametrize(
    ("stage", "volume", "leave_out", "told"),
    [
        pytest.param("expansion_9", ML_50, (), "expansion_9", id="unknown stage"),
        pytest.param("expansion_i", Amount(50, "ng"), (), "ng", id="a mass is no volume"),
        pytest.param("expansion_i", Amount(500, "L"), (), "mL", id="no vessel is so large"),
        pytest.param("expansion_i", ML_50, ("Wnt3a",), "Wnt3a", id="left out, never in"),
    ],
)
async def test_what_cannot_be_made_is_refused(
    session: Session, recipe: Recipe, stage: str, volume: Amount, leave_out: tuple[str, ...], told: str
) -> None:
    with pytest.raises(PlanError, match=told):
        await plan_batch(session, recipe, stage, volume, leave_out=leave_out)


async def test_lots_must_last_until_the_medium_is_used_up(session: Session, recipe: Recipe, tmp_path: Any) -> None:
    lots = [
        lot.model_copy(update={"expires": (session.bench.clock.time).date()})  # type: ignore[attr-defined]
        if lot.component == "TPO"
        else lot
        for lot in session.inventory.lots
    ]
    session.inventory = Inventory.model_construct(**{**dict(session.inventory), "lots": tuple(lots)})
    with pytest.raises(ShortageError, match="TPO"):
        await plan_batch(session, recipe, "expansion_i", ML_50)


async def test_an_unknown_medium_and_one_of_unknown_contents_are_refused(
    session: Session, recipe: Recipe, journalled: Journalled
) -> None:
    with pytest.raises(RecordError, match="no run had a labware 'M-1'"):
        medium_in(session, "M-1")
    plan = await plan_batch(session, recipe, "expansion_i", ML_50, barcode="M-1")
    journalled(plan.worklist, "interrupted", "unknown")
    with pytest.raises(StepUnknownError, match="nobody knows what M-1 holds"):
        medium_in(session, "M-1")
