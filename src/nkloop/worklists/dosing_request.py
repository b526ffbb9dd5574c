"""What a dosing request asks: its stage, the components the arms add, each arm's medium, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nkloop.errors import PlanError, Problem
from nkloop.feedback.models import Arm
from nkloop.labware.models import LabwareType
from nkloop.quantities import Kind
from nkloop.recipes.models import Ingredient, Recipe, Stage
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.plans import DosingRequest, WellFeeding


def stage_of(recipe: Recipe, stage_id: str, where: str) -> Stage:
    """The stage asked for.

    Raises:
        PlanError: the recipe has no such stage.
    """
    try:
        return recipe.stage(stage_id)
    except KeyError:
        raise PlanError(
            f"{recipe.id} has no stage '{stage_id}'", where=where, remedy=f"use {', '.join(recipe.stage_ids)}"
        ) from None


def added_ingredients(recipe: Recipe, stage: Stage, components: tuple[str, ...], where: str) -> tuple[Ingredient, ...]:
    """Ingredients of a stage that the arms add, the smallest concentration first.

    Args:
        components: their names; empty means those the recipe's loop varies in this stage.
        where: for messages.

    Raises:
        PlanError: a named component is not in the medium of the stage, or is given in % v/v.
    """
    in_loop = [v.component for v in recipe.loop.vary if stage.id in v.stages]
    names = dict.fromkeys(components or in_loop)
    found = {i.component: i for i in stage.medium.additives}
    wrong = [name for name in names if name not in found or found[name].amount.kind is Kind.FRACTION]
    if wrong:
        raise PlanError(
            f"arms cannot add {', '.join(wrong)}: not a dissolved additive of stage {stage.id}",
            where=where,
            remedy="name additives given as mass, activity or molar concentration",
        )
    chosen = [found[name] for name in names]
    return tuple(
        sorted(chosen, key=lambda i: (i.amount.kind is Kind.ACTIVITY_CONCENTRATION, i.amount.of(i.component).canonical))
    )


def varied_ingredients(request: DosingRequest) -> tuple[Ingredient, ...]:
    """Ingredients of the stage that the arms of a request add.

    Raises:
        PlanError: a named component cannot be added.
    """
    stage = stage_of(request.recipe, request.stage_id, request.name)
    return added_ingredients(request.recipe, stage, request.components, request.name)


def arm_factor(recipe: Recipe, stage_id: str, arm: Arm, component: str) -> float:
    """Factor of an arm for a component in a stage; 1 when the arm does not vary it."""
    for varied in recipe.loop.vary:
        if varied.component == component and stage_id in varied.stages:
            return arm.factors.get(varied.key, 1.0)
    return 1.0


def factor_of(request: DosingRequest, arm: Arm, component: str) -> float:
    """Factor of an arm for a component in the stage of the request."""
    return arm_factor(request.recipe, request.stage_id, arm, component)


def targets_of(recipe: Recipe, stage_id: str, arm: Arm, ingredients: tuple[Ingredient, ...]) -> dict[str, float]:
    """Canonical concentration per component that an arm aims at."""
    return {
        i.component: i.amount.of(i.component).canonical * arm_factor(recipe, stage_id, arm, i.component)
        for i in ingredients
    }


def arm_ingredients(request: DosingRequest, arm: Arm) -> tuple[Ingredient, ...]:
    """The medium of the stage as one arm has it."""
    medium = request.recipe.stage(request.stage_id).medium
    added = {i.component for i in varied_ingredients(request)}
    return tuple(
        i.model_copy(update={"amount": i.amount.scaled(factor_of(request, arm, i.component))})
        if i.component in added
        else i
        for i in medium.ingredients
    )


def request_problems(request: DosingRequest, stage: Stage, catalogue: LabwareLookup) -> Iterator[Problem]:
    """Everything that is wrong with a request before anything is planned."""
    plate = catalogue[request.plate_load_name]
    fresh_plate = catalogue[request.new_plate_load_name] if request.new_plate_load_name else None
    arms = {arm.name for arm in request.arms}
    donors = {tube.donor for tube in request.donors}
    counted = Counter(well.well for well in request.wells)
    new_wells = Counter(well.to_well for well in request.wells if well.is_transferred)
    for well in request.wells:
        where = f"{request.name}, well {well.well}"
        if well.arm not in arms:
            yield Problem(f"arm '{well.arm}' is not in the request", where, f"use {', '.join(sorted(arms))}")
        if counted[well.well] > 1:
            yield Problem("the well is fed twice", where, "name each well once")
        if well.well not in plate.wells:
            yield Problem(f"{plate.load_name} has no well {well.well}", where, "correct the well")
            continue
        yield from _volume_problems(well, plate, fresh_plate, where)
        if well.seed_ul and well.donor not in donors:
            yield Problem(f"no tube of donor {well.donor}", where, "name the donor's tube and its cell density")
        if new_wells[well.to_well] > 1:
            yield Problem(f"two wells go to {well.to_well} of the new plate", where, "give each its own well")
    for ingredient in varied_ingredients(request):
        if request.base.per_ul.get(ingredient.component, 0.0) > 0:
            yield Problem(
                f"the base medium {request.base.barcode} already holds {ingredient.component}",
                request.name,
                f"prepare it without {ingredient.component} for stage {stage.id}",
            )


def _volume_problems(
    well: WellFeeding, plate: LabwareType, fresh_plate: LabwareType | None, where: str
) -> Iterator[Problem]:
    taken = well.remove_ul + well.transfer_ul
    left = well.present_ul - taken
    if taken > 0 and left < plate.dead_volume_ul:
        yield Problem(
            f"removing {taken:g} of {well.present_ul:g} µL leaves less than {plate.dead_volume_ul:g} µL",
            where,
            "remove less",
        )
    if well.is_transferred and (fresh_plate is None or well.to_well not in fresh_plate.wells):
        yield Problem(
            f"cells go to well '{well.to_well}' of a new plate, which is not there", where, "name plate and well"
        )
        return
    target = fresh_plate if well.is_transferred and fresh_plate is not None else plate
    if well.final_ul > target.working_volume_ul + 1e-6:
        yield Problem(
            f"the well would hold {well.final_ul:g} µL, its working volume is {target.working_volume_ul:g} µL",
            where,
            "add less or remove more",
        )


def request_warnings(request: DosingRequest) -> tuple[str, ...]:
    """What a person should know of a request that can be done."""
    told = []
    if mixed := [well.well for well in request.wells if well.mixed]:
        told.append(f"cells leave with the spent medium (split): {', '.join(mixed)}")
    shares = [well.seed_ul / (well.add_ul + well.seed_ul) for well in request.wells if well.seed_ul and well.add_ul]
    if shares and request.aim == "medium":
        told.append(f"seeding dilutes the arm medium in the well by up to {100 * max(shares):.3g} %")
    return tuple(told)
