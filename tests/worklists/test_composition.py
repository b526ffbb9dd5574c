from __future__ import annotations

import pytest

from nkloop.worklists.composition import composition_rows


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
