"""Compares what a recipe asks with what the ledger says comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from nkloop.errors import NkloopError, PlanError, Problem
from nkloop.quantities import Kind
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.recipes.models import Ingredient
from nkloop.worklists.dilution import TooInaccurateError, concentration_problems
from nkloop.worklists.models import Uncertainty, Worklist
from nkloop.worklists.plans import CompositionRow
from nkloop.worklists.strength import in_unit

ROUNDED = "volumes are rounded to 0.01 µL, the finest the robot is asked for"
"""Why a dosed component is off target when nothing else is said."""
DECIMALS = 2
"""Of what is told in percent; volumes are given to a hundredth of a µL, so more digits would tell nothing."""
LIMITED: Mapping[str, tuple[str, str]] = {
    "cv_percent": ("CV", "--max-cv"),
    "bias_percent": ("systematic error", "--max-bias"),
}
"""Predicted errors that are limited: what people call them, and the options that set their limits."""


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
    return composition_row(
        destination,
        ingredient.component,
        target=target.magnitude,
        expected=expected,
        unit=target.unit,
        share=expected / target.magnitude if target.magnitude else None,
        error=error,
    )


def composition_row(
    destination: str,
    component: str,
    *,
    target: float,
    expected: float,
    unit: str,
    share: float | None,
    error: Uncertainty | None,
    why: str = ROUNDED,
) -> CompositionRow:
    """One row of a composition; percentages are rounded here.

    Args:
        destination: what holds it.
        component: that is compared.
        target: what is wanted, in `unit`.
        expected: what the ledger says is reached, in `unit`.
        unit: of both.
        share: what is reached to what is wanted; None when nothing is.
        error: predicted; None when it was not.
        why: what keeps it off target; told only when it is.
    """
    deviation = None if share is None else _percent(100 * (share - 1))
    return CompositionRow(
        destination=destination,
        component=component,
        target=target,
        expected=expected,
        unit=unit,
        deviation_percent=deviation,
        cv_percent=None if error is None else _percent(error.cv_percent),
        bias_percent=None if error is None else _percent(error.bias_percent),
        why=why if deviation else "",
    )


def with_base_reason(
    rows: Iterable[CompositionRow], base: str, ingredients: Sequence[Ingredient], per_ul: Mapping[str, float]
) -> list[CompositionRow]:
    """The rows of a medium, with what takes the room of its base where there is less of it than asked.

    Args:
        rows: of one vessel.
        base: the component that fills it up.
        ingredients: of the medium, the base among them.
        per_ul: what the vessel holds; liquids are counted in µL per µL.
    """
    liquids = [one.component for one in ingredients if one.amount.kind is Kind.FRACTION]
    others = 100 * (1 - sum(per_ul.get(name, 0.0) for name in liquids))
    why = f"the liquid that the stocks come in takes {others:.2g} % of the volume"
    return with_reason(rows, why, lambda component: component == base)


def with_reason(rows: Iterable[CompositionRow], why: str, is_meant: Callable[[str], bool]) -> list[CompositionRow]:
    """The rows, with why there is less than asked of the components that are meant."""
    return [
        row.model_copy(update={"why": why}) if is_meant(row.component) and (row.deviation_percent or 0) < 0 else row
        for row in rows
    ]


def held_to(worklist: Worklist, limits: ErrorLimits) -> Worklist:
    """The worklist with its limits of predicted error, which every later check keeps it to."""
    more = {"cv_percent": limits.cv_percent, "bias_percent": limits.bias_percent}
    return worklist.model_copy(update={"limits": worklist.limits.model_copy(update=more)})


def with_unverified(worklist: Worklist, ingredients: Iterable[Ingredient]) -> Worklist:
    """The worklist with what of its ingredients nobody has verified, for everything that shows the run."""
    names = dict.fromkeys(one.component for one in ingredients if one.verified_by is None)
    return worklist.model_copy(update={"unverified": tuple(names)})


def uncertain_rows(rows: Sequence[CompositionRow], limits: ErrorLimits) -> list[Problem]:
    """Components whose predicted error is beyond the limits asked for."""
    told = []
    for row in rows:
        for field, (name, option) in LIMITED.items():
            value, limit = getattr(row, field), getattr(limits, field)
            if value is not None and value > limit:
                message = f"predicted {name} of {row.component} is {value:.2f} %, at most {limit:g} % is allowed"
                remedy = f"plan a larger volume, use a stock of another concentration, or raise the limit ({option})"
                told.append(Problem(message, row.destination, remedy))
    return told


class TooUncertainError(PlanError):
    """A finished plan whose predicted error is beyond the limits."""

    over_cv = 0.0
    over_bias = 0.0
    """By how many percent."""

    def less(self, limits: ErrorLimits, more: float) -> ErrorLimits:
        """Limits for chains with what was too much taken off, and `more` percent."""
        return limits.less(self.over_cv and self.over_cv + more, self.over_bias and self.over_bias + more)


_STRICTER_PERCENT = 0.05
"""Taken off beyond what was too much, twice as much in each attempt: the next chain may be no better by less."""
_ATTEMPTS = 6
"""Chains are chosen before the whole plan is known; when it is off by too much they are chosen again, stricter."""


def refuse_uncertain(rows: Sequence[CompositionRow], limits: ErrorLimits) -> None:
    """Refuse a plan whose predicted errors are beyond the limits asked for.

    Raises:
        TooUncertainError: with every component that is beyond one.
    """
    told = uncertain_rows(rows, limits)
    if told:
        error = TooUncertainError(told[0].message)
        error.problems = tuple(told)
        error.over_cv = max(0.0, max((row.cv_percent or 0.0) for row in rows) - limits.cv_percent)
        error.over_bias = max(0.0, max((row.bias_percent or 0.0) for row in rows) - limits.bias_percent)
        raise error


Planned = TypeVar("Planned")


def accurate_enough(
    asked: ErrorLimits, first: ErrorLimits | None, plan: Callable[[ErrorLimits | None], Planned]
) -> Planned:
    """Plan, and choose the chains again, stricter, as long as the finished plan is beyond its limits.

    Args:
        asked: limits of the finished plan.
        first: limits of the chains in the first attempt; None takes the cheapest whatever their error.
        plan: plans with limits for the chains; raises `TooUncertainError` when the finished plan is beyond its own.

    Raises:
        PlanError: no choice of chains is accurate enough, or whatever `plan` raises.
    """
    left, refusal = first, None
    for attempt in range(_ATTEMPTS):
        try:
            return plan(left)
        except TooInaccurateError as error:
            raise refusal or _naming(asked, error) from error
        except TooUncertainError as error:
            refusal = error
            left = asked if left is None else error.less(left, _STRICTER_PERCENT * 2**attempt)
    raise refusal or AssertionError("at least one attempt was made")


def _naming(asked: ErrorLimits, error: PlanError) -> NkloopError:
    """The refusal of a dilution, which knows only what base and cocktails leave of the limits, with what was asked."""
    told = f"at most {asked.cv_percent:g} % CV and {asked.bias_percent:g} % systematic error are allowed in the medium"
    return PlanError.from_problems(replace(one, message=f"{one.message}; {told}") for one in error.problems)


def _percent(deviation: float) -> float:
    """Rounded; adding 0 turns a negative zero into 0."""
    return round(deviation, DECIMALS) + 0.0


def refuse_off_target(where: str, rows: Sequence[CompositionRow], tolerance_percent: float) -> None:
    """Refuse a plan whose composition is off, naming a tenfold slip as such.

    Raises:
        PlanError: a component is off target by more than the tolerance.
    """
    reasons = {row.component: row.why for row in rows if row.why not in {"", ROUNDED}}
    compared = [(row.component, row.target, row.expected) for row in rows]
    problems = [
        Problem(sentence, where, f"check the lot and the dilution of {component}")
        if component not in reasons
        else Problem(f"{sentence}: {reasons[component]}", where, "stronger stocks")
        for component, sentence in concentration_problems(compared, tolerance_percent)
    ]
    if problems:
        raise PlanError.from_problems(problems)
