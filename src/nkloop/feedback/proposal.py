"""A proposal in plain sentences: what changes, why, how sure, and what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nkloop.feedback.designs import to_factors
from nkloop.feedback.effects import REFERENCE, summarise
from nkloop.feedback.models import ArmSummary, ComponentChange, Observation, Proposal
from nkloop.feedback.optimizer import Beliefs, gain_of
from nkloop.recipes import apply_factors
from nkloop.recipes.models import Recipe

Array = NDArray[np.float64]


def make_proposal(
    campaign: str,
    recipe: Recipe,
    beliefs: Beliefs,
    point: Array,
    observations: Sequence[Observation],
    *,
    note: str = "",
) -> tuple[Proposal, Recipe]:
    """Turn the chosen point into a proposed revision and the text a person decides on.

    `note` is what a reader must know of the campaign; it goes into the revision's reason and the source of its values.

    Raises:
        FeedbackError: the point is outside the limits.
        RecipeError: the changed recipe would not be a valid recipe.
    """
    factors = to_factors(beliefs.envelope, point)
    beliefs.envelope.check(factors, where=f"proposal of campaign {campaign}")
    mean, sd = (float(v[0]) for v in beliefs.score.predict(point[None, :]))
    probability = float(ndtr(mean / sd)) if sd > 0 else float(mean > 0)
    reference = fmean(o.score for o in observations if o.arm == REFERENCE)
    best = _best_arm(observations)
    after_round = max(o.round for o in observations)
    changed = {key: value for key, value in factors.items() if value != 1.0}
    proposed = apply_factors(
        recipe,
        changed,
        reason=f"Proposed by campaign {campaign} after round {after_round}.",
        source=campaign,
        note=note,
    )
    changes = _changes(recipe, proposed, beliefs, point, factors)
    proposal = Proposal(
        campaign=campaign,
        after_round=after_round,
        parent=recipe.revision_id,
        revision_id=proposed.revision_id,
        changes=changes,
        expected_score=reference + mean,
        expected_score_sd=sd,
        reference_score=reference,
        best_arm=best.arm,
        best_score=reference + best.delta,
        probability_better=probability,
        rationale=_rationale(recipe, changes, mean, sd, probability, best, beliefs, point, observations),
    )
    return proposal, proposed


def _best_arm(observations: Sequence[Observation]) -> ArmSummary:
    """Feasible arm with the largest measured difference to its own reference; the reference when there is none."""
    rows = summarise(observations)
    return max((r for r in rows if r.feasible and r.arm != REFERENCE), key=lambda r: r.delta, default=rows[0])


def _changes(
    recipe: Recipe, proposed: Recipe, beliefs: Beliefs, point: Array, factors: dict[str, float]
) -> tuple[ComponentChange, ...]:
    rows = []
    for index, varied in enumerate(recipe.loop.vary):
        if factors[varied.key] == 1.0:
            continue
        reason = _contribution(beliefs, point, index)
        for stage_id in varied.stages:
            before = recipe.stage(stage_id).medium.amount_of(varied.component)
            after = proposed.stage(stage_id).medium.amount_of(varied.component)
            rows.append(
                ComponentChange(
                    stage=stage_id,
                    component=varied.component,
                    before=str(before),
                    after=str(after),
                    factor=factors[varied.key],
                    reason=reason,
                )
            )
    return tuple(rows)


def _contribution(beliefs: Beliefs, point: Array, index: int) -> str:
    gain, sd = gain_of(beliefs, point, index)
    n_arms = sum(1 for tested in beliefs.tested if tested[index] != 0)
    arms = "1 tested arm changed" if n_arms == 1 else f"{n_arms} tested arms changed"
    return f"expected to add {gain:+.2f} ± {sd:.2f} to the score; {arms} this component"


def _titles(recipe: Recipe, stages: Sequence[str]) -> str:
    """Titles of stages: `Expansion I and Expansion II`."""
    return " and ".join(recipe.stage(stage).title for stage in stages)


def _told(changes: Sequence[ComponentChange], recipe: Recipe) -> list[str]:
    """`raise IL-15 in Expansion I and Expansion II from …`, stages with the same amounts in one phrase."""
    stages: dict[tuple[str, str, str, bool], list[str]] = {}
    for change in changes:
        stages.setdefault((change.component, change.before, change.after, change.factor > 1), []).append(change.stage)
    return [
        f"{'raise' if up else 'lower'} {component} in {_titles(recipe, where)} from {before} to {after}"
        for (component, before, after, up), where in stages.items()
    ]


def _percent(probability: float) -> str:
    """A model of a few arms is never sure: nothing above 99 % or below 1 % is claimed."""
    if probability > 0.99:
        return "above 99 %"
    return "below 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"


def _rationale(
    recipe: Recipe,
    changes: Sequence[ComponentChange],
    mean: float,
    sd: float,
    probability: float,
    best: ArmSummary,
    beliefs: Beliefs,
    point: Array,
    observations: Sequence[Observation],
) -> str:
    n_donors = len({o.donor for o in observations})
    n_rounds = len({o.round for o in observations})
    listed = "; ".join(_told(changes, recipe))
    tested = tuple(float(v) for v in point) in beliefs.tested
    interval = "" if best.delta_low is None else f" (95 % interval {best.delta_low:+.2f} to {best.delta_high:+.2f})"
    untried = [
        f"{varied.component} in {_titles(recipe, varied.stages)}"
        for index, varied in enumerate(recipe.loop.vary)
        if not any(p[index] != 0 for p in beliefs.tested)
    ]
    sentences = [
        f"{listed[0].upper()}{listed[1:]}.",
        f"The score is expected to change by {mean:+.2f} ± {sd:.2f} against {recipe.revision_id}; the probability that "
        f"it is better is {_percent(probability)}.",
        f"The best arm tested, {best.arm} of round {best.round}, differed from the reference on the same donors by "
        f"{best.delta:+.2f}{interval}.",
        "This combination was tested as an arm."
        if tested
        else "This exact combination has not been tested; the expectation comes from a model of the arms that were.",
        f"Not known: how it does on donors other than the {n_donors} tested in {n_rounds} "
        f"{'round' if n_rounds == 1 else 'rounds'}"
        + (f"; what {', '.join(untried)} would do, never varied." if untried else "."),
    ]
    return " ".join(sentences)
