"""What a µL of a medium holds: of a stage as the recipe has it, and of what cells of new vessels are suspended in."""

from __future__ import annotations

from collections.abc import Collection

from nkloop.errors import PlanError
from nkloop.quantities import Kind
from nkloop.recipes.models import Recipe, Stage

BASE_MEDIUM, NO_MEDIUM = "base", "none"
"""Suspended in the prepared base medium of the plan, or in the base liquid alone."""


def medium_per_ul(stage: Stage, without: Collection[str] = ()) -> dict[str, float]:
    """Component to canonical concentration of a stage's medium, as the recipe has it, without some of them."""
    return {
        i.component: i.amount.to("v/v") if i.amount.kind is Kind.FRACTION else i.amount.of(i.component).canonical
        for i in stage.medium.ingredients
        if i.component not in without
    }


def suspension_per_ul(recipe: Recipe, stage: Stage, suspended_in: str, without: Collection[str]) -> dict[str, float]:
    """What the cells of new vessels come in.

    Args:
        recipe: with its stages.
        stage: that is seeded.
        suspended_in: `base`, `none`, or a stage of the recipe whose complete medium it is.
        without: what the base medium lacks because the arms add it.

    Raises:
        PlanError: it is none of these.
    """
    if suspended_in == BASE_MEDIUM:
        return medium_per_ul(stage, without)
    if suspended_in == NO_MEDIUM:
        return {stage.medium.base.component: 1.0}
    if suspended_in not in recipe.stage_ids:
        raise PlanError(
            f"cells cannot be suspended in '{suspended_in}'",
            where="suspended-in",
            remedy=f"use {BASE_MEDIUM}, {NO_MEDIUM}, or a stage: {', '.join(recipe.stage_ids)}",
        )
    return medium_per_ul(recipe.stage(suspended_in))


def suspension_words(stage: Stage, suspended_in: str) -> str:
    """What the cells of new vessels come in, as the end of a sentence."""
    if suspended_in == BASE_MEDIUM:
        return "base medium without what the arms add"
    if suspended_in == NO_MEDIUM:
        return f"{stage.medium.base.component} alone"
    return f"complete medium of {suspended_in}"


def stage_held(recipe: Recipe, stage: Stage, day: float, from_stage: str | None) -> Stage:
    """The stage whose medium stands in the vessels: the one before on a stage's first day, else the stage itself.

    Args:
        recipe: with its stages.
        stage: that is planned.
        day: of the culture.
        from_stage: named by a person; None when nobody did.

    Raises:
        PlanError: the recipe has no such stage.
    """
    if from_stage is not None:
        if from_stage not in recipe.stage_ids:
            raise PlanError(
                f"{recipe.id} has no stage '{from_stage}'",
                where="from-stage",
                remedy=f"use {', '.join(recipe.stage_ids)}",
            )
        return recipe.stage(from_stage)
    at = recipe.stage_ids.index(stage.id)
    return recipe.stages[at - 1] if at > 0 and day <= stage.start_day else stage


def other_stage(recipe: Recipe, stage_id: str, held: str) -> Stage | None:
    """The stage whose medium vessels hold (`held`, its id), when it is another than the one planned."""
    return recipe.stage(held) if held and held != stage_id else None
