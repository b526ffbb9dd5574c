"""From measured values of one arm and donor to the score the loop maximises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from nkloop.errors import FeedbackError
from nkloop.feedback.models import Observation
from nkloop.recipes.models import Objective, Recipe


def score_of(
    objective: Objective, *, log10_fold: float, potency: float, purity_percent: float, cost_factor: float = 1.0
) -> float:
    """w_fold log10 fold + w_potency AUC + w_purity purity/100 - w_cost log10(cost against the reference)."""
    return (
        objective.log10_fold_weight * log10_fold
        + objective.potency_weight * potency
        + objective.purity_weight * purity_percent / 100
        - objective.cost_weight * math.log10(cost_factor)
    )


def observe(
    recipe: Recipe,
    *,
    round_number: int,
    arm: str,
    donor: str,
    factors: Mapping[str, float],
    log10_fold: float,
    viability_percent: float,
    purity_percent: float,
    potency: float,
    plate: str,
    plate_verdict: Literal["accepted", "flagged", "rejected"],
    cost_factor: float = 1.0,
) -> Observation:
    """Build an observation with its score and feasibility from the objective of `recipe`.

    Raises:
        FeedbackError: the plate was rejected, or a value is not a finite number.
    """
    where = f"round {round_number}, {arm}, donor {donor}"
    if plate_verdict == "rejected":
        raise FeedbackError(f"plate {plate} was rejected", where=where, remedy="repeat the assay; leave this value out")
    numbers = {
        "log10 fold": log10_fold,
        "viability": viability_percent,
        "purity": purity_percent,
        "potency": potency,
        "cost factor": cost_factor,
    }
    broken = [name for name, value in numbers.items() if not math.isfinite(value)]
    if broken or cost_factor <= 0:
        shown = ", ".join(broken) or "cost factor"
        raise FeedbackError(f"not a usable number: {shown}", where=where, remedy="measure again or leave it out")
    return Observation(
        round=round_number,
        arm=arm,
        donor=donor,
        factors=dict(factors),
        log10_fold=log10_fold,
        viability_percent=viability_percent,
        purity_percent=purity_percent,
        potency=potency,
        plate=plate,
        plate_verdict=plate_verdict,
        recipe_revision=recipe.revision_id,
        cost_factor=cost_factor,
        score=score_of(
            recipe.loop.objective,
            log10_fold=log10_fold,
            potency=potency,
            purity_percent=purity_percent,
            cost_factor=cost_factor,
        ),
        feasible=viability_percent >= recipe.loop.objective.min_viability_percent,
    )
