"""Combination of assays and Fieller's limits against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.assays.potency.combine import assay, combine
from nkloop.assays.potency.fieller import ratio


def made(log_potency: float, half_width: float, freedom: int = 20) -> object:
    low, high = 10 ** (log_potency - half_width), 10 ** (log_potency + half_width)
    return assay("a", 10**log_potency, low, high, freedom)


def test_equal_assays_give_the_mean_and_half_the_variance() -> None:
    one, two = made(0.0, 0.1), made(0.02, 0.1)
    both = combine("T", [one, two])  # type: ignore[list-item]
    assert both.method == "weighted"
    assert np.log10(both.potency) == pytest.approx(0.01)
    # t falls from 20 to 40 degrees of freedom, the standard error by the square root of two
    assert np.log10(both.ci_high / both.potency) == pytest.approx(0.1 / np.sqrt(2) * 2.021075 / 2.085963, rel=1e-5)


def test_assays_that_contradict_each_other_are_semi_weighted_and_wide() -> None:
    both = combine("T", [made(0.0, 0.02), made(0.3, 0.02), made(0.15, 0.2)])  # type: ignore[list-item]
    assert (both.method, both.freedom) == ("semi-weighted", 2)
    assert both.p < 1e-6
    assert both.between_variance > 0
    assert both.ci_low < 1 < 10**0.3 < both.ci_high


@given(
    top=st.floats(-5, 5),
    bottom=st.floats(1, 5),
    a=st.floats(0.01, 0.2),
    b=st.floats(0.001, 0.05),
    r=st.floats(-0.9, 0.9),
)
def test_fieller_limits_solve_their_equation(top: float, bottom: float, a: float, b: float, r: float) -> None:
    covariance = r * np.sqrt(a * b)
    found = ratio(top, bottom, a, b, covariance, 2.0)
    for end in (found.low, found.high):
        assert end is not None
        distance = (top - end * bottom) ** 2
        assert distance == pytest.approx(4 * (a - 2 * end * covariance + end**2 * b), rel=1e-6, abs=1e-9)


def test_a_slope_that_may_be_zero_has_no_limits() -> None:
    assert ratio(1.0, 0.1, 0.01, 0.01, 0.0, 2.0).low is None
    assert ratio(1.0, 0.0, 0.01, 0.01, 0.0, 2.0).high is None
