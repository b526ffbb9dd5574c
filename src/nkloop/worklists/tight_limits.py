"""Why a plan does not fit the deck when only its limits of predicted error make it so large."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nkloop.errors import PlanError
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.worklists.builder import DeckFullError
from nkloop.worklists.composition import LIMITED
from nkloop.worklists.plans import CompositionRow

_STEP = 1.15
"""Each limit that is tried is so many times the one before."""
Planned = TypeVar("Planned")


def fitting(
    asked: ErrorLimits, plan: Callable[[ErrorLimits], Planned], rows: Callable[[Planned], tuple[CompositionRow, ...]]
) -> Planned:
    """Plan within limits; a plan that is too large for the deck because of one of them is refused by naming it.

    Args:
        asked: the limits.
        plan: plans within limits; raises `DeckFullError` when the deck cannot hold it.
        rows: the composition of what was planned.

    Raises:
        PlanError: the limit and the least error of a plan that fits, or whatever `plan` raises.
    """
    try:
        return plan(asked)
    except DeckFullError as full:
        for field in LIMITED:
            if refusal := _by_limit(field, asked, plan, rows, full):
                raise refusal from full
        raise


def _by_limit(
    field: str,
    asked: ErrorLimits,
    plan: Callable[[ErrorLimits], Planned],
    rows: Callable[[Planned], tuple[CompositionRow, ...]],
    full: DeckFullError,
) -> PlanError | None:
    """The refusal that names this limit; None when a looser one fits the deck no better."""
    limit = getattr(asked, field)
    tried = [limit]
    while tried[-1] < 100:
        tried.append(min(100.0, max(round(tried[-1] * _STEP, 2), tried[-1] + 0.01)))
    found = _tightest(tried, lambda value: _made(plan, asked.model_copy(update={field: value})))
    if found is None:
        return None
    (value, made), (title, option) = found, LIMITED[field]
    worst = max(rows(made), key=lambda row: getattr(row, field) or 0.0)
    first = full.problems[0]
    return PlanError(
        f"at most {limit:g} % {title} asks for more dilutions than the deck holds ({first.message}); the best "
        f"plan found that fits reaches {getattr(worst, field):.2f} % ({worst.component})",
        where=first.where,
        remedy=f"raise {option} to {value:.3g}, plan a larger volume, or use stocks of another concentration",
    )


def _made(plan: Callable[[ErrorLimits], Planned], limits: ErrorLimits) -> Planned | None:
    try:
        return plan(limits)
    except PlanError:
        return None


def _tightest(tried: list[float], made: Callable[[float], Planned | None]) -> tuple[float, Planned] | None:
    """The lowest of these limits that can be planned, the first of them being known not to; None when none can."""
    low, high = 0, len(tried) - 1
    best = made(tried[high])
    if best is None:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        found = made(tried[middle])
        if found is None:
            low = middle
        else:
            high, best = middle, found
    return tried[high], best
