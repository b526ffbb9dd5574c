"""What a dosing request asks: its stage, the components the arms add, each arm's medium, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from math import ceil

from nkloop.errors import PlanError, Problem
from nkloop.feedback.models import Arm
from nkloop.labware.models import LabwareType
from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import Ingredient, Recipe, Stage
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.plans import DosingRequest, WellFeeding
from nkloop.worklists.recipe_arms import unknown_arm

ARM_TABLE = "arms"
"""Source of a concentration that only arms have."""


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


def added_ingredients(
    recipe: Recipe,
    stage: Stage,
    components: tuple[str, ...],
    where: str,
    arms: Sequence[Arm] = (),
    in_base: Collection[str] = (),
) -> tuple[Ingredient, ...]:
    """Ingredients that the arms add, the smallest concentration first.

    What only arms have and the stage has not is given at the highest concentration of any arm.

    Args:
        components: their names; empty means those the recipe's loop varies in this stage and those the arms change.
        where: for messages.
        arms: of the plan; whatever one of them changes must be among the components.
        in_base: what the base medium brings all the same.

    Raises:
        PlanError: a named component is not in the medium of the stage, is given in % v/v, or one that an arm changes is
            not named.
    """
    in_loop = [v.component for v in recipe.loop.vary if stage.id in v.stages]
    changed = changed_components(recipe, stage.id, arms)
    names = [name for name in dict.fromkeys(components or (*in_loop, *changed)) if name not in in_base]
    found = {i.component: i for i in stage.medium.additives} | _beyond_stage(stage, arms)
    wrong = [name for name in names if name not in found or found[name].amount.kind is Kind.FRACTION]
    if wrong:
        raise PlanError(
            f"arms cannot add {', '.join(wrong)}: not a dissolved additive of stage {stage.id}",
            where=where,
            remedy="name additives given as mass, activity or molar concentration",
        )
    if left := [name for name in changed if name not in names]:
        raise PlanError(
            f"arms differ in {', '.join(left)}, which they would not be given",
            where=where,
            remedy="name these components, too",
        )
    chosen = [found[name] for name in names]
    return tuple(
        sorted(chosen, key=lambda i: (i.amount.kind is Kind.ACTIVITY_CONCENTRATION, i.amount.of(i.component).canonical))
    )


def _beyond_stage(stage: Stage, arms: Sequence[Arm]) -> dict[str, Ingredient]:
    """What arms have and the stage has not, at the highest concentration of any arm."""
    found: dict[str, Ingredient] = {}
    for arm in arms:
        for key, amount in arm.amounts.items():
            name, _, stage_id = key.partition("@")
            known = found.get(name)
            if stage_id == stage.id and (known is None or amount.canonical > known.amount.canonical):
                found[name] = Ingredient(component=name, amount=amount, source=ARM_TABLE)
    return found


def varied_ingredients(request: DosingRequest) -> tuple[Ingredient, ...]:
    """Ingredients that the arms of a request add.

    Raises:
        PlanError: a named component cannot be added.
    """
    stage = stage_of(request.recipe, request.stage_id, request.name)
    return added_ingredients(request.recipe, stage, request.components, request.name, request.arms, request.in_base)


def arm_key(recipe: Recipe, stage_id: str, component: str) -> str:
    """Name of a component's factor in an arm: the loop's where it varies the component in the stage."""
    for varied in recipe.loop.vary:
        if varied.component == component and stage_id in varied.stages:
            return varied.key
    return f"{component}@{stage_id}"


def arm_factor(recipe: Recipe, stage_id: str, arm: Arm, component: str) -> float:
    """Factor of an arm for a component in a stage; 1 when the arm does not vary it."""
    return arm.factors.get(arm_key(recipe, stage_id, component), 1.0)


def arm_concentration(recipe: Recipe, stage_id: str, arm: Arm, component: str) -> Amount | None:
    """Final concentration of a component in an arm; None when neither stage nor arm have it."""
    own = recipe.stage(stage_id).medium.amount_of(component)
    if own is None:
        return arm.amounts.get(f"{component}@{stage_id}")
    return own.of(component).scaled(arm_factor(recipe, stage_id, arm, component))


def changed_components(recipe: Recipe, stage_id: str, arms: Iterable[Arm]) -> tuple[str, ...]:
    """Components that an arm has at another concentration than the stage, in the order the arms name them."""
    found: dict[str, None] = {}
    for arm in arms:
        keys = (*(key for key, factor in arm.factors.items() if factor != 1), *arm.amounts)
        for name in (key.partition("@")[0] for key in keys):
            own = recipe.stage(stage_id).medium.amount_of(name)
            has = arm_concentration(recipe, stage_id, arm, name)
            if has is not None and (own is None or has != own.of(name)):
                found[name] = None
    return tuple(found)


def unchanged_notes(recipe: Recipe, stage_id: str, arms: Iterable[Arm]) -> tuple[str, ...]:
    """What is told of arms that differ from the recipe in other stages only: here they are the recipe itself."""
    told = []
    for arm in arms:
        changes = [*(key for key, factor in arm.factors.items() if factor != 1), *arm.amounts]
        if changes and not changed_components(recipe, stage_id, (arm,)):
            told.append(f"{arm.name} is the recipe unchanged in {stage_id}: {', '.join(changes)} acts elsewhere")
    return tuple(told)


def targets_of(recipe: Recipe, stage_id: str, arm: Arm, ingredients: tuple[Ingredient, ...]) -> dict[str, float]:
    """Canonical concentration per component that an arm aims at; 0 of what it shall not have."""
    found = {i.component: arm_concentration(recipe, stage_id, arm, i.component) for i in ingredients}
    return {name: 0.0 if amount is None else amount.canonical for name, amount in found.items()}


def arm_ingredients(request: DosingRequest, arm: Arm) -> tuple[Ingredient, ...]:
    """The medium of the stage as one arm has it, and after it what only arms have; 0 of what this arm does not."""
    medium = request.recipe.stage(request.stage_id).medium
    added = {i.component: i for i in varied_ingredients(request)}
    beyond = [i for name, i in added.items() if medium.amount_of(name) is None]
    return tuple(_as_in(request, arm, one) if one.component in added else one for one in (*medium.ingredients, *beyond))


def _as_in(request: DosingRequest, arm: Arm, ingredient: Ingredient) -> Ingredient:
    amount = arm_concentration(request.recipe, request.stage_id, arm, ingredient.component)
    return ingredient.model_copy(update={"amount": ingredient.amount.scaled(0) if amount is None else amount})


def request_problems(
    request: DosingRequest, stage: Stage, catalogue: LabwareLookup, lowest_ul: float
) -> Iterator[Problem]:
    """Everything that is wrong with a request before anything is planned; `lowest_ul` is the least that is pipetted."""
    plate = catalogue[request.plate_load_name]
    fresh_plate = catalogue[request.new_plate_load_name] if request.new_plate_load_name else None
    arms = [arm.name for arm in request.arms]
    donors = {tube.donor for tube in request.donors}
    counted = Counter(well.well for well in request.wells)
    new_wells = Counter(well.to_well for well in request.wells if well.is_transferred)
    for well in request.wells:
        where = f"{request.name}, well {well.well}"
        if well.arm not in arms:
            yield unknown_arm(well.arm, arms, where)
        if counted[well.well] > 1:
            yield Problem("the well is fed twice", where, "name each well once")
        if well.well not in plate.wells:
            yield Problem(f"{plate.load_name} has no well {well.well}", where, "correct the well")
            continue
        yield from _volume_problems(well, plate, fresh_plate, where)
        yield from _seed_problems(well, lowest_ul, where)
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
            "add less or remove more"
            if well.present_ul > 0 or well.is_transferred
            else f"--volume of at most {target.working_volume_ul:g} µL, or a plate of larger wells",
        )


def _seed_problems(well: WellFeeding, lowest_ul: float, where: str) -> Iterator[Problem]:
    if not 0 < well.seed_ul < lowest_ul:
        return
    least = ceil(round(well.final_ul * lowest_ul / well.seed_ul, 3))
    yield Problem(
        f"{well.seed_ul:g} of the {well.final_ul:g} µL are cell suspension, at least {lowest_ul:g} µL can be pipetted",
        where,
        f"--volume of at least {least:g} µL, or a plate of larger wells",
    )


def request_warnings(request: DosingRequest) -> tuple[str, ...]:
    """What a person should know of a request that can be done."""
    told = []
    if mixed := [well.well for well in request.wells if well.mixed]:
        told.append(f"cells leave with the spent medium (split): {', '.join(mixed)}")
    shares = [well.seed_ul / (well.add_ul + well.seed_ul) for well in request.wells if well.seed_ul and well.add_ul]
    if shares and request.aim == "medium":
        told.append(
            f"seeding dilutes the arm medium in the well by up to {100 * max(shares):.3g} %, "
            "its doses too; --aim vessel makes up for it in the doses"
        )
    return tuple(told)
