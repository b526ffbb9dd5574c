"""Robust figures against numpy and scipy, Westgard rules case by case."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from nkloop.assays.quality.history import broken_rules, westgard
from nkloop.assays.quality.statistics import robust_sd, robust_ssmd, robust_z_prime, ssmd, z_prime

VALUES = st.lists(st.floats(0.1, 5), min_size=3, max_size=12)


@given(VALUES)
def test_robust_sd_is_scipys(values: list[float]) -> None:
    assert robust_sd(values) == pytest.approx(median_abs_deviation(values, scale="normal"), rel=1e-4, abs=1e-12)


@given(VALUES, VALUES)
def test_figures_are_the_formulas_in_numpy(high: list[float], low: list[float]) -> None:
    spread = np.std(high, ddof=1) + np.std(low, ddof=1)
    if abs(np.mean(high) - np.mean(low)) > 1e-6:
        assert z_prime(high, low) == pytest.approx(1 - 3 * spread / abs(np.mean(high) - np.mean(low)))
    both = np.hypot(np.std(high, ddof=1), np.std(low, ddof=1))
    if both > 1e-6:
        assert ssmd(high, low) == pytest.approx((np.mean(high) - np.mean(low)) / both)


def test_one_outlier_ruins_z_prime_and_leaves_the_robust_one() -> None:
    high, low = [2.0, 2.02, 1.98, 2.01, 1.99, 0.9], [0.2, 0.21, 0.19, 0.2, 0.22, 0.18]
    assert (z_prime(high, low) or 1) < 0.2
    assert (robust_z_prime(high, low) or 0) > 0.9
    assert (robust_ssmd(high, low) or 0) > 20
    assert robust_ssmd([1, 1, 1], [2, 2, 2]) is None
    assert robust_z_prime([1, 1, 3], [1, 1, 4]) is None


@pytest.mark.parametrize(
    ("z", "rules"),
    [
        pytest.param([0.1], (), id="first"),
        pytest.param([0.5, 2.1], ("1-2s",), id="1-2s"),
        pytest.param([0.5, -3.1], ("1-2s", "1-3s"), id="1-3s"),
        pytest.param([2.2, 2.1], ("1-2s", "2-2s"), id="2-2s"),
        pytest.param([-2.2, 2.1], ("1-2s", "R-4s"), id="R-4s"),
        pytest.param([-1.9, 2.2], ("1-2s",), id="4 SD apart but one within 2 SD"),
        pytest.param([1.1, 1.2, 1.5, 1.01], ("4-1s",), id="4-1s"),
        pytest.param([1.1, 1.2, -1.5, 1.01], (), id="one on the other side"),
        pytest.param([0.1] * 10, ("10-x",), id="10-x"),
        pytest.param([0.1] * 9, (), id="nine"),
        pytest.param([-0.1] * 6 + [-1.2] * 4, ("4-1s", "10-x"), id="both"),
    ],
)
def test_westgard_rules(z: list[float], rules: tuple[str, ...]) -> None:
    assert broken_rules(z) == rules


def test_a_new_value_does_not_widen_its_own_limits() -> None:
    history = [40.0, 42.0, 38.0, 41.0, 39.0, 40.0]
    control = westgard(history, 60.0)
    assert control.mean == pytest.approx(40.0)
    assert control.z[-1] == pytest.approx(20 / np.std(history, ddof=1))
    assert control.broken[:2] == ("1-2s", "1-3s")


def test_a_history_without_spread_alarms_on_any_other_value() -> None:
    assert westgard([40.0] * 5, 40.0).broken == ()
    assert "1-3s" in westgard([40.0] * 5, 41.0).broken
