from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.worklists.accuracy import volume_error


@pytest.mark.parametrize(
    ("volume", "systematic", "random"),
    [
        pytest.param(5, 5.0, 2.5, id="lowest line"),
        pytest.param(50, 0.5, 0.3, id="a line in between"),
        pytest.param(50**0.5 * 5**0.5, 2.75, 1.4, id="halfway in the logarithm"),
        pytest.param(100, 0.5, 0.225, id="between two lines"),
        pytest.param(2000, 0.5, 0.15, id="above the last line its values hold"),
    ],
)
def test_errors_are_those_of_the_table_and_linear_in_the_logarithm(deck, volume, systematic, random):
    error = volume_error(deck.pipette(1), volume)
    assert 100 * error.systematic == pytest.approx(systematic)
    assert 100 * error.random == pytest.approx(random)


def test_a_volume_below_the_table_is_refused(deck):
    with pytest.raises(
        PlanError, match=r"error of 4.9 µL is not known for flex_1channel_1000: its table starts at 5 µL"
    ):
        volume_error(deck.pipette(1), 4.9)


def test_the_order_of_the_lines_does_not_matter(deck):
    spec = deck.pipette(1)
    turned = spec.model_copy(update={"accuracy": spec.accuracy[::-1]})
    assert volume_error(turned, 20) == volume_error(spec, 20)


@given(st.lists(st.floats(5, 1000), min_size=2, max_size=20).map(sorted))
def test_a_larger_volume_is_never_less_accurate_when_the_table_says_so(deck, volumes):
    errors = [volume_error(deck.pipette(1), volume) for volume in volumes]
    assert all(b.systematic <= a.systematic + 1e-12 and b.random <= a.random + 1e-12 for a, b in pairwise(errors))
