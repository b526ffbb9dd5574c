"""The hard bounds of the loop: nothing outside them is proposed, planned by hand, or tested as an arm."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nkloop.errors import FeedbackError, Problem
from nkloop.recipes.models import Recipe, VariedComponent

_PLAUSIBLE_MARGIN = 0.005
"""Amounts are written with three digits: stay this far inside a plausible range so that rounding cannot leave it."""


@dataclass(frozen=True)
class Bound:
    """Range of the factor of one varied component, and what sets each end."""

    key: str
    lowest: float
    highest: float
    lowest_because: str
    highest_because: str


@dataclass(frozen=True)
class Envelope:
    """All bounds of a recipe's loop."""

    bounds: tuple[Bound, ...]
    max_components_changed: int

    @classmethod
    def of(cls, recipe: Recipe) -> Envelope:
        """Bounds from the recipe: per component, the largest step of one revision, and plausible concentrations.

        Raises:
            FeedbackError: a varied component is not in the medium of a stage it is varied in.
        """
        return cls(
            tuple(_bound(recipe, varied) for varied in recipe.loop.vary),
            min(recipe.loop.max_components_changed, len(recipe.loop.vary)),
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """Varied components in the order of the recipe."""
        return tuple(bound.key for bound in self.bounds)

    def complete(self, factors: Mapping[str, float]) -> dict[str, float]:
        """All factors in order; the ones left out are 1."""
        return {**dict.fromkeys(self.keys, 1.0), **factors}

    def check(self, factors: Mapping[str, float], *, where: str) -> None:
        """Refuse factors outside the limits, whoever chose them.

        Raises:
            FeedbackError: with one problem per component, its value and its bound.
        """
        known = {bound.key: bound for bound in self.bounds}
        problems = [
            Problem(f"component '{key}' is not varied by this recipe", where, f"use one of: {', '.join(known)}")
            for key in factors
            if key not in known
        ]
        problems += [p for key, b in known.items() if key in factors for p in _outside(b, factors[key], where)]
        changed = [key for key in known if factors.get(key, 1.0) != 1.0]
        if len(changed) > self.max_components_changed:
            problems.append(
                Problem(
                    f"{len(changed)} components changed ({', '.join(changed)}), at most {self.max_components_changed}",
                    where,
                    "leave more components at factor 1",
                )
            )
        if problems:
            raise FeedbackError.from_problems(problems)


def _outside(bound: Bound, value: float, where: str) -> list[Problem]:
    if not math.isfinite(value) or value <= 0:
        return [Problem(f"factor {value:g} of {bound.key} must be a number above 0", where, "use 1 for no change")]
    if value < bound.lowest:
        message = f"factor {value:g} of {bound.key} is below {bound.lowest:g} ({bound.lowest_because})"
        return [Problem(message, where, f"use at least {bound.lowest:g}")]
    if value > bound.highest:
        message = f"factor {value:g} of {bound.key} is above {bound.highest:g} ({bound.highest_because})"
        return [Problem(message, where, f"use at most {bound.highest:g}")]
    return []


def _bound(recipe: Recipe, varied: VariedComponent) -> Bound:
    step = recipe.loop.max_step_factor
    lows = [(varied.lowest_factor, "lowest_factor of the component"), (1 / step, "max_step_factor")]
    highs = [(varied.highest_factor, "highest_factor of the component"), (step, "max_step_factor")]
    low, high = recipe.component(varied.component).plausible
    for stage_id in varied.stages:
        amount = recipe.stage(stage_id).medium.amount_of(varied.component)
        if amount is None:
            raise FeedbackError(
                f"{varied.component} is varied in stage {stage_id}, whose medium does not contain it",
                where=f"{recipe.id}: loop.vary",
                remedy="take the stage out or add the component to its medium",
            )
        lows.append((low.canonical / amount.canonical * (1 + _PLAUSIBLE_MARGIN), f"plausible range in {stage_id}"))
        highs.append((high.canonical / amount.canonical * (1 - _PLAUSIBLE_MARGIN), f"plausible range in {stage_id}"))
    (lowest, why_low), (highest, why_high) = max(lows), min(highs)
    # a concentration at the edge of its plausible range may stay where it is, but not go further
    lowest, highest = min(_inward(lowest, math.ceil), 1.0), max(_inward(highest, math.floor), 1.0)
    return Bound(varied.key, lowest, highest, why_low, why_high)


def _inward(value: float, direction: Callable[[float], int]) -> float:
    # bounds with four decimals can be read, typed and met exactly
    return direction(round(value * 1e4, 6)) / 1e4
