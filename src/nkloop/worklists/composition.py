"""Compares what a recipe asks with what the ledger says comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nkloop.errors import PlanError, Problem
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.recipes.models import Ingredient
from nkloop.worklists.dilution import concentration_problems
from nkloop.worklists.models import Worklist
from nkloop.worklists.plans import CompositionRow
from nkloop.worklists.strength import in_unit
from nkloop.worklists.uncertainty import Uncertainty

DECIMALS = 2
"""Of what is told in percent; volumes are given to a hundredth of a µL, so more digits would tell nothing."""


def composition_rows(
    ingredients: Sequence[Ingredient],
    per_ul: Mapping[str, float],
    destination: str = "",
    errors: Mapping[str, Uncertainty] | None = None,
) -> tuple[CompositionRow, ...]:
    """One row per ingredient in the unit the recipe writes.

    Args:
        per_ul: what the ledger, not the plan, says is reached; component to canonical concentration.
        destination: what holds it.
        errors: predicted errors of the same well, by component.
    """
    told = errors or {}
    return tuple(_row(i, per_ul.get(i.component, 0.0), destination, told.get(i.component)) for i in ingredients)


def _row(ingredient: Ingredient, reached: float, destination: str, error: Uncertainty | None) -> CompositionRow:
    target = ingredient.amount
    expected = in_unit(reached, target, ingredient.component)
    return CompositionRow(
        destination=destination,
        component=ingredient.component,
        target=target.magnitude,
        expected=expected,
        unit=target.unit,
        deviation_percent=_percent(100 * (expected / target.magnitude - 1)),
        cv_percent=None if error is None else _percent(error.cv_percent),
        bias_percent=None if error is None else _percent(error.bias_percent),
    )


def held_to(worklist: Worklist, limits: ErrorLimits) -> Worklist:
    """The worklist with its limits of predicted error, which every later check keeps it to."""
    more = {"cv_percent": limits.cv_percent, "bias_percent": limits.bias_percent}
    return worklist.model_copy(update={"limits": worklist.limits.model_copy(update=more)})


def uncertain_rows(rows: Sequence[CompositionRow], limits: ErrorLimits) -> list[Problem]:
    """Components whose predicted error is beyond the limits asked for."""
    told = []
    for row in rows:
        for name, value, limit in (
            ("CV", row.cv_percent, limits.cv_percent),
            ("systematic error", row.bias_percent, limits.bias_percent),
        ):
            if value is not None and value > limit:
                message = f"predicted {name} of {row.component} is {value:.2f} %, at most {limit:g} % is allowed"
                remedy = "plan a larger volume, use a stock of another concentration, or raise the limit"
                told.append(Problem(message, row.destination, remedy))
    return told


def refuse_uncertain(rows: Sequence[CompositionRow], limits: ErrorLimits) -> None:
    """Refuse a plan whose predicted errors are beyond the limits asked for.

    Raises:
        PlanError: with every component that is beyond one.
    """
    problems = uncertain_rows(rows, limits)
    if problems:
        raise PlanError.from_problems(problems)


def _percent(deviation: float) -> float:
    """Rounded; adding 0 turns a negative zero into 0."""
    return round(deviation, DECIMALS) + 0.0


def refuse_off_target(where: str, rows: Sequence[CompositionRow], tolerance_percent: float) -> None:
    """Refuse a plan whose composition is off, naming a tenfold slip as such.

    Raises:
        PlanError: a component is off target by more than the tolerance.
    """
    compared = [(row.component, row.target, row.expected) for row in rows]
    problems = [
        Problem(sentence, where, f"check the lot and the dilution of {component}")
        for component, sentence in concentration_problems(compared, tolerance_percent)
    ]
    if problems:
        raise PlanError.from_problems(problems)
