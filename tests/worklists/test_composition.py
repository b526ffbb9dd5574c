from __future__ import annotations

import pytest

from nkloop.worklists.composition import ROUNDED, composition_rows, with_base_reason


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
