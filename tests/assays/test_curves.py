"""Curves against closed forms: recovered parameters, area, intervals that cover, ET50 never extrapolated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nkloop.assays import fit_curve
from nkloop.assays.fitting.effect_dose import figure
from nkloop.assays.series import Series, area
from nkloop.errors import AssayError

RATIOS = np.array([7.2, 3.6, 1.8, 0.9, 0.45, 0.225])


def logistic(x: np.ndarray, top: float, midpoint: float, slope: float) -> np.ndarray:
    return top / (1 + (midpoint / x) ** slope)


@pytest.mark.parametrize(
    ("top", "midpoint", "slope"),
    [(100.0, 1.5, 1.0), (85.0, 1.0, 1.4), (70.0, 0.8, 0.7), (95.0, 2.0, 2.5)],
)
def test_exact_curve_is_recovered(top: float, midpoint: float, slope: float) -> None:
    fit = fit_curve("s", RATIOS, logistic(RATIOS, top, midpoint, slope))
    assert (fit.top, fit.midpoint, fit.slope) == pytest.approx((top, midpoint, slope), rel=1e-3)
    half = midpoint * (50 / (top - 50)) ** (1 / slope)  # logistic(half) = 50 by definition
    assert fit.determined
    assert fit.et50 == pytest.approx(half, rel=1e-3)


def test_interval_contains_the_estimate_and_is_inside_the_tested_range() -> None:
    chance = np.random.default_rng(3)
    x = np.repeat(RATIOS, 3)
    fit = fit_curve("s", x, logistic(x, 90, 1.2, 1.1) + 3 * chance.standard_normal(x.size))
    assert fit.determined
    assert RATIOS.min() <= fit.et50_low < fit.et50 < fit.et50_high <= RATIOS.max()  # type: ignore[operator]
    assert fit.et50_text == f"{fit.et50:#.3g} ({fit.et50_low:#.3g} to {fit.et50_high:#.3g})"
    assert len(fit.grid) == 60
    assert all(low <= value <= high for _, value, low, high in fit.grid)
    assert set(fit.standard_errors) == {"top", "log10_midpoint", "slope"}


def test_standard_errors_agree_with_the_scatter_of_repeated_fits() -> None:
    chance = np.random.default_rng(5)
    x = np.repeat(RATIOS, 4)
    fits = [fit_curve("s", x, logistic(x, 80, 1.0, 1.5) + 2 * chance.standard_normal(x.size)) for _ in range(60)]
    scatter = np.std([np.log10(f.midpoint) for f in fits if f.midpoint], ddof=1)
    stated = np.median([f.standard_errors["log10_midpoint"] for f in fits])
    assert stated == pytest.approx(scatter, rel=0.35)


@pytest.mark.slow
def test_intervals_cover_the_truth_also_when_replicates_share_their_effector_control() -> None:
    chance = np.random.default_rng(11)
    x, hits, n = np.repeat(RATIOS, 2), 0, 60
    for _ in range(n):
        shared = np.repeat(3 * chance.standard_normal(RATIOS.size), 2)  # one effector-only well per E:T
        y = logistic(x, 95, 1.1, 1.3) + 3 * chance.standard_normal(x.size) - shared
        fit = fit_curve("s", x, y, effector_replicates=1)
        truth = 1.1 * (50 / 45) ** (1 / 1.3)
        hits += fit.determined and (fit.et50_low or 0) <= truth <= (fit.et50_high or np.inf)
    assert 0.86 <= hits / n < 1  # binomial 99 % range of 95 % at n = 60; benchmarks/coverage.py takes 2,000


@pytest.mark.parametrize(
    ("lysis", "text", "reason"),
    [
        pytest.param(logistic(RATIOS, 90, 30, 1.2), "> 7.20", "lies above", id="too_weak"),
        pytest.param(logistic(RATIOS, 40, 1, 1.2), "> 7.20", "lies above", id="plateau_below_half"),
        pytest.param(logistic(RATIOS, 95, 0.05, 1.5), "< 0.225", "lies below", id="too_strong"),
        pytest.param(np.zeros(6), "> 7.20", "no killing", id="no_killing"),
        pytest.param(np.full(6, 60.0), "not determined", "does not rise", id="constant"),
        pytest.param(logistic(RATIOS, 90, 1, 1.2)[::-1], "not determined", "does not rise", id="inverted"),
        pytest.param(np.array([52, 20, 80, 30, 70, 10.0]), "not determined", "unbounded", id="scattered"),
    ],
)
def test_et50_is_never_extrapolated(lysis: np.ndarray, text: str, reason: str) -> None:
    fit = fit_curve("s", RATIOS, lysis)
    assert not fit.determined
    assert fit.et50 is None
    assert fit.et50_text == text
    assert reason in fit.reason


def test_an_interval_end_outside_the_range_is_told_but_not_given_as_a_number() -> None:
    chance = np.random.default_rng(2)
    x = np.repeat(RATIOS, 3)
    fit = fit_curve("s", x, logistic(x, 100, 6.3, 1.2) + 3 * chance.standard_normal(x.size))
    assert fit.determined
    assert fit.et50_high is None
    assert fit.et50_text.endswith("to > 7.20)")


def test_three_ratios_give_an_area_but_no_curve() -> None:
    fit = fit_curve("s", [4, 2, 1], [60, 40, 20])
    assert (fit.determined, fit.et50_text) == (False, "not determined")
    assert fit.auc == pytest.approx(0.4)


def test_area_closed_forms() -> None:
    assert area(Series.of([0.1, 1, 10], [30, 30, 30]))[0] == pytest.approx(0.3)
    # a straight line from 0 to 100 % over log E:T encloses one half, wherever the points lie
    assert area(Series.of([0.1, 0.3, 10], [0, 100 * np.log10(3) / 2, 100]))[0] == pytest.approx(0.5)


def test_area_standard_error_by_hand() -> None:
    # two decades, weights 1/4, 1/2, 1/4; two replicates 2 % apart: variance of a well 2, of a mean 1
    value, error = area(Series.of([0.1, 0.1, 1, 1, 10, 10], [9, 11, 49, 51, 89, 91]))
    assert value == pytest.approx(0.5)
    assert error == pytest.approx(np.sqrt(1 / 16 + 1 / 4 + 1 / 16) / 100)
    # one shared effector-only well adds the variance of one well to every mean: 1/2 + 1 instead of 1/2
    _, larger = area(Series.of([0.1, 0.1, 1, 1, 10, 10], [9, 11, 49, 51, 89, 91], effector_replicates=1))
    assert larger == pytest.approx(error * np.sqrt(3))
    assert area(Series.of([1, 10], [10, 20]))[1] is None


@settings(max_examples=25, deadline=None)
@given(
    factor=st.floats(0.1, 10),
    top=st.floats(60, 100),
    midpoint=st.floats(0.5, 3),
)
def test_rescaling_all_ratios_moves_et50_and_leaves_the_area(factor: float, top: float, midpoint: float) -> None:
    y = logistic(RATIOS, top, midpoint, 1.3)
    a, b = fit_curve("s", RATIOS, y), fit_curve("s", RATIOS * factor, y)
    assert b.auc == pytest.approx(a.auc, rel=1e-9)
    assert a.determined == b.determined
    if a.et50 and b.et50:
        assert b.et50 == pytest.approx(a.et50 * factor, rel=1e-3)


@pytest.mark.parametrize(
    ("ratios", "lysis", "message"),
    [
        pytest.param([1, 2], [1, 2, 3], "2 E:T and 3 lysis values", id="lengths"),
        pytest.param([1, 2], [1, float("nan")], "not a number", id="nan"),
        pytest.param([0, 2], [1, 2], "not above 0", id="zero_ratio"),
        pytest.param([2, 2], [1, 2], "1 E:T, at least 2", id="one_ratio"),
    ],
)
def test_broken_series_are_refused(ratios: list[float], lysis: list[float], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        fit_curve("s", ratios, lysis)


@pytest.mark.parametrize(
    ("value", "text"), [(1.5, "1.50"), (10, "10.0"), (0.3125, "0.312"), (100, "100"), (7.2, "7.20"), (0.996, "0.996")]
)
def test_an_e_t_has_three_digits(value: float, text: str) -> None:
    assert figure(value) == text
