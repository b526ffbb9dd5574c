"""A plan that is too large for the deck because of what it was asked to keep."""

from __future__ import annotations

import pytest

from nkloop.errors import PlanError
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.worklists.builder import DeckFullError
from nkloop.worklists.plans import CompositionRow
from nkloop.worklists.tight_limits import fitting

FULL = DeckFullError("the rack 'dilutions' is full", where="medium", remedy="plan a smaller run")


def rows(reached: tuple[float, float]) -> tuple[CompositionRow, ...]:
    cv, bias = reached
    row = CompositionRow(
        component="IL-6", target=1, expected=1, unit="ng/mL", deviation_percent=0, cv_percent=cv, bias_percent=bias
    )
    return (row.model_copy(update={"component": "SCF", "cv_percent": cv / 2, "bias_percent": bias / 2}), row)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        pytest.param(
            ErrorLimits(cv_percent=1, bias_percent=12),
            ("at most 1 % CV asks for more dilutions", "reaches 1.60 % .IL-6.", "raise --max-cv to 1.7"),
            id="cv",
        ),
        pytest.param(
            ErrorLimits(cv_percent=5, bias_percent=2),
            ("at most 2 % systematic error asks for more dilutions", "reaches 7.90 % .IL-6.", "raise --max-bias to 8"),
            id="bias",
        ),
    ],
)
def test_the_limit_and_not_the_deck_is_named_with_what_fits(asked: ErrorLimits, told: tuple[str, ...]) -> None:
    def plan(limits: ErrorLimits) -> tuple[float, float]:
        if limits.cv_percent < 1.6 or limits.bias_percent < 7.9:
            raise FULL
        return 1.6, 7.9

    for part in told:
        with pytest.raises(PlanError, match=part):
            fitting(asked, plan, rows)


def test_a_deck_that_is_too_small_whatever_is_asked_is_named() -> None:
    def plan(limits: ErrorLimits) -> tuple[float, float]:
        raise FULL

    with pytest.raises(DeckFullError, match="the rack 'dilutions' is full"):
        fitting(ErrorLimits(), plan, rows)
