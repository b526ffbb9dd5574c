"""Killing compared over one window of true E:T."""

from __future__ import annotations

from math import log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.assays.comparison import compare_killing
from nkloop.assays.models import WellLysis
from nkloop.assays.series import Series, area_within
from nkloop.errors import AssayError

NOMINAL = (10.0, 5.0, 2.5, 1.25, 0.625, 0.3125)


def wells(sample: str, quality: float, kill: float = 30.0) -> list[WellLysis]:
    """A sample whose lysis rises by `kill` percent per tenfold TRUE E:T, from 40 % at 1:1."""
    return [
        WellLysis(
            well="B2",
            sample=sample,
            nominal_ratio=r,
            true_ratio=r * quality,
            lysis_percent=40 + kill * log10(r * quality),
        )
        for r in NOMINAL
    ]


def test_equal_killers_of_unequal_purity_have_equal_areas() -> None:
    compared = compare_killing([*wells("pure", 0.9), *wells("impure", 0.5)])
    assert compared.areas["pure"] == pytest.approx(compared.areas["impure"])
    assert (compared.lowest_ratio, compared.highest_ratio) == (pytest.approx(0.3125 * 0.9), pytest.approx(10 * 0.5))


def test_the_better_killer_wins_though_it_is_less_pure() -> None:
    compared = compare_killing([*wells("pure", 0.9), *wells("better", 0.5, kill=45.0)])
    assert compared.areas["better"] > compared.areas["pure"] + 0.005


@given(low=st.floats(0.32, 2.0), width=st.floats(0.1, 0.6), level=st.floats(-10, 110))
def test_area_of_a_constant_is_the_constant(low: float, width: float, level: float) -> None:
    series = Series.of(list(NOMINAL), [level] * 6)
    assert area_within(series, low, low * 10**width) == pytest.approx(level / 100, abs=1e-9)


def test_a_window_nobody_covers_is_refused() -> None:
    with pytest.raises(AssayError, match=r"true E:T .* is not within the tested"):
        compare_killing([*wells("dense", 1.0), *wells("thin", 0.01)])
