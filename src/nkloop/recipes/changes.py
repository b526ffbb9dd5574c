"""New revisions by factors, and what differs between two recipes."""

from __future__ import annotations

from collections.abc import Mapping

from nkloop.errors import Problem, RecipeError
from nkloop.frozen import FrozenModel
from nkloop.quantities import Amount
from nkloop.recipes.checks import check_recipe
from nkloop.recipes.models import Ingredient, Recipe, Revision, Source, Stage, VariedComponent
from nkloop.yamlfile.problems import did_you_mean

_DIGITS = 3
"""Significant digits of a new amount: finer than any pipette doses, short enough to read and type."""
SIMULATED = "SIMULATED bench: not evidence about real cells"
"""Note of every source and revision that was learnt on a simulated bench; `simulated_values` looks for it."""


class IngredientChange(FrozenModel):
    """One ingredient that differs between two recipes; None where a recipe does not have it."""

    stage: str
    """Id of the stage."""
    component: str
    before: Amount | None
    after: Amount | None
    factor: float | None
    """After divided by before; None when one is missing or they are of different kinds."""


def apply_factors(recipe: Recipe, factors: Mapping[str, float], *, reason: str, source: str, note: str = "") -> Recipe:
    """The proposed revision in which varied components are multiplied by their factors.

    `factors` maps `VariedComponent.key` to a factor of the present amount; keys left out stay as they are. New
    amounts have three significant digits, cite `source` (the campaign, added to the recipe's sources) and are
    verified by nobody. `note` says what a reader must know of the campaign, for example `SIMULATED`; it stands with the
    source and the reason. Nothing to change returns the recipe itself, since equal content is the same revision.

    Raises:
        RecipeError: a key is not varied by the recipe's loop limits, a factor is outside its bounds, or a new
            amount leaves the plausible range of its component.
    """
    varied = {entry.key: entry for entry in recipe.loop.vary}
    problems = [problem for key, value in factors.items() for problem in _refused(recipe, key, value, varied)]
    if problems:
        raise RecipeError.from_problems(problems)
    by_place = {(stage, varied[key].component): value for key, value in factors.items() for stage in varied[key].stages}
    stages = tuple(_changed_stage(stage, by_place, source) for stage in recipe.stages)
    if stages == recipe.stages:
        return recipe
    chosen = "chosen by the loop from own results"
    entry = Source(
        title=f"Campaign {source}", reference="nkloop campaign record", note=f"{chosen}; {note}" if note else chosen
    )
    known = recipe.sources.get(source, entry)
    revision = Revision(
        number=recipe.revision.number + 1,
        parent=recipe.revision_id,
        status="proposed",
        reason=f"{reason} {note}." if note else reason,
    )
    changed = recipe.model_copy(
        update={
            "stages": stages,
            "sources": {**recipe.sources, source: known if note in known.note else entry},
            "revision": revision,
        }
    )
    found = check_recipe(changed)
    if found:
        raise RecipeError.from_problems(found)
    return changed


def simulated_values(recipe: Recipe) -> tuple[str, ...]:
    """Values that were learnt on a simulated bench, as `IL-15 in Differentiation`."""
    return tuple(
        f"{ingredient.component} in {stage.title}"
        for stage in recipe.stages
        for ingredient in stage.medium.ingredients
        if ingredient.source in recipe.sources and SIMULATED in recipe.sources[ingredient.source].note
    )


def diff(before: Recipe, after: Recipe) -> tuple[IngredientChange, ...]:
    """Ingredients whose amount differs, stage by stage in the order of the recipes; sources are not compared."""
    rows = []
    for stage in dict.fromkeys((*before.stage_ids, *after.stage_ids)):
        old, new = _amounts(before, stage), _amounts(after, stage)
        for component in dict.fromkeys((*old, *new)):
            a, b = old.get(component), new.get(component)
            if a != b:
                factor = b.canonical / a.canonical if a and b and a.kind is b.kind else None
                rows.append(IngredientChange(stage=stage, component=component, before=a, after=b, factor=factor))
    return tuple(rows)


def _refused(recipe: Recipe, key: str, value: float, varied: Mapping[str, VariedComponent]) -> list[Problem]:
    where = f"{recipe.revision_id}: {key}"
    if key not in varied:
        remedy = did_you_mean(key, varied) or "add it to loop.vary of the recipe"
        return [Problem(f"the loop may not vary '{key}', it may vary: {', '.join(varied)}", where, remedy)]
    low, high = varied[key].lowest_factor, varied[key].highest_factor
    if not low <= value <= high:  # NaN fails too
        return [Problem(f"factor {value:g} is outside {low:g} to {high:g}", where, "choose a factor inside the bounds")]
    return []


def _changed_stage(stage: Stage, factors: Mapping[tuple[str, str], float], source: str) -> Stage:
    additives = tuple(
        _scaled(ingredient, factors.get((stage.id, ingredient.component), 1.0), source)
        for ingredient in stage.medium.additives
    )
    if additives == stage.medium.additives:
        return stage
    return stage.model_copy(update={"medium": stage.medium.model_copy(update={"additives": additives})})


def _scaled(ingredient: Ingredient, factor: float, source: str) -> Ingredient:
    if factor == 1.0:
        return ingredient
    old = ingredient.amount
    new = Amount(float(f"{old.magnitude * factor:.{_DIGITS}g}"), old.unit, substance=old.substance)
    if new == old:
        return ingredient
    return Ingredient(component=ingredient.component, amount=new, source=source, verified_by=None)


def _amounts(recipe: Recipe, stage_id: str) -> dict[str, Amount]:
    if stage_id not in recipe.stage_ids:
        return {}
    return {i.component: i.amount for i in recipe.stage(stage_id).medium.ingredients}
