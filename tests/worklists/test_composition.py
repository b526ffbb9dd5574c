from __future__ import annotations

import pytest

from nkloop.errors import PlanError
from nkloop.worklists.composition import ROUNDED, composition_rows, refuse_off_target, with_base_reason


@pytest.mark.parametrize(
    ("reached", "told"),
    [
        (0.9 * (1 - 1e-15), "+0.00"),
        (0.9 * (1 - 4e-5), "+0.00"),
        (0.9, "+0.00"),
        (0.9 * (1 - 2e-4), "-0.02"),
        (0.909, "+1.00"),
    ],
)
def test_what_rounds_to_nothing_is_no_deviation(recipe, reached, told):
    (row,) = composition_rows([recipe.stages[0].medium.base], {"base": reached})
    assert f"{row.deviation_percent:+.2f}" == told
    assert row.expected == pytest.approx(100 * reached)


def test_what_is_off_target_says_why(recipe):
    (row,) = composition_rows([recipe.stages[0].medium.base], {"base": 0.8995})
    assert row.why == ROUNDED
    (on_target,) = composition_rows([recipe.stages[0].medium.base], {"base": 0.9})
    assert on_target.why == ""


def test_the_base_says_what_takes_its_room(recipe):
    medium = recipe.stages[0].medium
    serum = next(i for i in medium.ingredients if i.amount.unit == "% v/v" and i is not medium.base)
    per_ul = {medium.base.component: 0.894, serum.component: serum.amount.canonical, "PBS": 0.006}
    rows = with_base_reason(
        composition_rows([medium.base, serum], per_ul), medium.base.component, [medium.base, serum], per_ul
    )
    assert [row.why for row in rows] == ["the liquid that the stocks come in takes 0.6 % of the volume", ""]


def test_a_base_that_stocks_leave_too_little_room_is_refused_for_the_stocks(recipe):
    base = recipe.stages[0].medium.base
    rows = with_base_reason(composition_rows([base], {"base": 0.84}), "base", [base], {"base": 0.84, "serum": 0.1})
    with pytest.raises(PlanError, match=r"-6\.7 % off target .*: the liquid that the stocks come in .*stronger stocks"):
        refuse_off_target("M-1", rows, 5)
    with pytest.raises(PlanError, match="check the lot and the dilution of base"):
        refuse_off_target("M-1", composition_rows([base], {"base": 0.99}), 5)
