"""The arms a recipe itself has: its product and the controls that leave process steps out, as arms of a plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from nkloop.errors import PlanError, Problem
from nkloop.feedback.envelope import Envelope
from nkloop.feedback.models import Arm
from nkloop.recipes.models import ProcessStep, Recipe, RecipeArm
from nkloop.yamlfile.problems import did_you_mean


def arm_name(way: RecipeArm) -> str:
    """Name of a recipe's arm in plans and tables."""
    return way.id.replace("_", "-")


def control_arms(recipe: Recipe) -> tuple[Arm, ...]:
    """One arm for each control of the recipe: the reference's media, without the control's process steps."""
    if not any(way.purpose == "control" for way in recipe.arms):
        return ()
    factors = Envelope.of(recipe).complete({})
    return tuple(
        Arm(name=arm_name(way), factors=factors, origin="control", way=way.id)
        for way in recipe.arms
        if way.purpose == "control"
    )


def with_controls(recipe: Recipe, arms: Iterable[Arm]) -> tuple[Arm, ...]:
    """Arms of a plan and after them the recipe's controls that are not among them."""
    told = tuple(arms)
    names = {arm.name for arm in told}
    return (*told, *(one for one in control_arms(recipe) if one.name not in names))


def goes_through(recipe: Recipe, arm: Arm, step_id: str) -> bool:
    """Whether an arm has a process step."""
    way = next((one for one in recipe.arms if one.id == arm.way), None)
    return way is None or step_id not in way.without


def process_step(recipe: Recipe, stage_id: str, step_id: str) -> ProcessStep:
    """A process step of a stage.

    Raises:
        PlanError: the stage has none of this id.
    """
    steps = {step.id: step for step in recipe.stage(stage_id).process}
    if step_id not in steps:
        known = ", ".join(steps) or "it has none"
        raise PlanError(
            f"stage {stage_id} of {recipe.id} has no process step '{step_id}'", where="step", remedy=f"use: {known}"
        )
    return steps[step_id]


def missing_controls(recipe: Recipe, samples: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """One sentence per donor whose product is tested without a control of the recipe beside it.

    Args:
        recipe: with its arms.
        samples: arm and donor of every sample.
    """
    told = []
    for way in recipe.arms:
        if way.purpose != "control":
            continue
        donors = {donor for arm, donor in samples if arm != arm_name(way)}
        alone = sorted(donors - {donor for arm, donor in samples if arm == arm_name(way)})
        if alone:
            why = f": {way.why[0].lower()}{way.why[1:]}" if way.why else ""
            told.append(f"{way.title} ({arm_name(way)}) is not among the samples of {', '.join(alone)}{why}")
    return tuple(told)


def unknown_arm(arm: str, known: Collection[str], where: str) -> Problem:
    """That a vessel is to get an arm which the request has not; how it was meant may be a slip of the name."""
    near = did_you_mean(arm, known)
    return Problem(
        f"arm '{arm}' is not in the request, which has {', '.join(known) or 'none'}",
        where,
        f"{f'{near} Then ' if near else ''}correct the name; or add the arm to those asked for (--arms), "
        "or to the recipe when it is a control",
    )
