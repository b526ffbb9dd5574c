"""Do observations belong to the campaign they are added to?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nkloop.errors import FeedbackError, Problem
from nkloop.feedback.models import Observation, Round
from nkloop.feedback.score import score_of
from nkloop.recipes.models import Recipe

_TOLERANCE = 1e-6


def check_observations(
    new: Sequence[Observation], *, known: Sequence[Observation], rounds: Sequence[Round], recipe: Recipe
) -> None:
    """Refuse observations that do not belong to the campaign, naming every problem.

    Raises:
        FeedbackError: see `Campaign.add`.
    """
    by_number = {r.number: r for r in rounds}
    seen = {(o.round, o.arm, o.donor) for o in known}
    problems: list[Problem] = []
    for observation in new:
        where = f"round {observation.round}, {observation.arm}, donor {observation.donor}"
        identity = (observation.round, observation.arm, observation.donor)
        if identity in seen:
            problems.append(Problem("observed twice", where, "keep one observation per arm, donor and round"))
        seen.add(identity)
        problems += _place_problems(observation, by_number, where)
        problems += _value_problems(observation, recipe, where)
    if problems:
        raise FeedbackError.from_problems(problems)


def _place_problems(observation: Observation, rounds: dict[int, Round], where: str) -> list[Problem]:
    found = rounds.get(observation.round)
    if found is None:
        return [Problem(f"there is no round {observation.round}", where, "check the round")]
    arm = next((a for a in found.arms if a.name == observation.arm), None)
    if arm is None:
        names = ", ".join(a.name for a in found.arms)
        return [Problem(f"round {found.number} has no arm '{observation.arm}'", where, f"use one of: {names}")]
    problems = []
    if observation.donor not in found.donors:
        shown = ", ".join(found.donors)
        problems.append(Problem(f"donor {observation.donor} is not in the round", where, f"use one of: {shown}"))
    if set(arm.factors) != set(observation.factors) or any(
        not math.isclose(arm.factors[key], value, rel_tol=_TOLERANCE) for key, value in observation.factors.items()
    ):
        problems.append(Problem("its factors are not those of the arm", where, "copy the factors from the arm"))
    return problems


def _value_problems(observation: Observation, recipe: Recipe, where: str) -> list[Problem]:
    problems = []
    if observation.recipe_revision != recipe.revision_id:
        message = f"it belongs to recipe revision '{observation.recipe_revision}', the campaign to {recipe.revision_id}"
        problems.append(Problem(message, where, "add it to the campaign of its own revision"))
    if observation.plate_verdict == "rejected":
        problems.append(Problem(f"plate {observation.plate} was rejected", where, "repeat the assay"))
    objective = recipe.loop.objective
    score = score_of(
        objective,
        log10_fold=observation.log10_fold,
        potency=observation.potency,
        purity_percent=observation.purity_percent,
        cost_factor=observation.cost_factor,
    )
    feasible = observation.viability_percent >= objective.min_viability_percent
    if abs(score - observation.score) > _TOLERANCE or feasible != observation.feasible:
        message = f"score {observation.score:g} or feasibility does not follow from its values (score {score:g})"
        problems.append(Problem(message, where, "build observations with observe()"))
    return problems
