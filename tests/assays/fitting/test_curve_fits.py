"""Logistic curves against closed forms, lmfit, and simulated plates."""

from __future__ import annotations

import lmfit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nkloop.assays.curve_groups import compare_arms, compare_models
from nkloop.assays.curve_report import Points, analyse_curve
from nkloop.assays.fitting.batch import fit_batch
from nkloop.assays.fitting.data import CurveData, Request
from nkloop.assays.fitting.effect_dose import LyticUnits
from nkloop.assays.fitting.logistic import ANCHOR, HALF, ZERO_DOSE, Level, logistic, move_anchor
from nkloop.assays.fitting.profile import profile_interval
from nkloop.assays.fitting.selection import aicc

DOSES = np.repeat(np.geomspace(0.01, 100, 8), 3)


def curve(dose: np.ndarray, bottom: float, top: float, ec50: float, slope: float, asymmetry: float = 1.0) -> np.ndarray:
    c = 2 ** (1 / asymmetry) - 1
    with np.errstate(divide="ignore"):
        return bottom + (top - bottom) * (1 + c * (ec50 / dose) ** slope) ** -asymmetry


def points(y: np.ndarray, dose: np.ndarray = DOSES, group: str = "") -> Points:
    return Points(np.asarray(dose, float), np.asarray(y, float), np.ones(len(dose)), group=group)


@pytest.mark.parametrize("level", [HALF, Level(20), Level(40, is_response=True)], ids=["half", "effect", "response"])
def test_derivatives(level: Level) -> None:
    p = np.array([[5.0, 90, 0.3, 1.2, 0.7], [3.0, 80, -0.2, -1.5, 2.0]])
    x = np.array([[-1, 0, 0.5, 1, ZERO_DOSE]] * 2)
    slopes = logistic(p, x, level)[1]
    for j in range(5):
        step = np.zeros(5)
        step[j] = 1e-6
        by_difference = (logistic(p + step, x, level)[0] - logistic(p - step, x, level)[0]) / 2e-6
        np.testing.assert_allclose(slopes[:, :, j], by_difference, atol=2e-6, rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(
    ec50=st.floats(0.1, 10),
    slope=st.floats(0.6, 2.5),
    falls=st.booleans(),
    level=st.floats(10, 90),
    asymmetry=st.floats(0.5, 2),
)
def test_exact_curves_give_their_parameters_and_levels(
    ec50: float, slope: float, falls: bool, level: float, asymmetry: float
) -> None:
    sign = -1 if falls else 1
    y = curve(DOSES, 4, 92, ec50, sign * slope, asymmetry)
    fit = fit_batch(CurveData.of(DOSES, y), Request("5pl"))
    expected = [4, 92, np.log10(ec50), sign * slope, asymmetry]
    np.testing.assert_allclose(fit.parameters[0], expected, rtol=1e-4, atol=1e-4)
    dose = 10 ** move_anchor(fit.parameters, Level(level))[0]
    share = level / 100 if not falls else 1 - level / 100
    assert curve(np.array([dose]), 4, 92, ec50, sign * slope, asymmetry)[0] == pytest.approx(4 + 88 * share, abs=0.05)


def test_answers_of_lmfit_one_by_one() -> None:
    chance = np.random.default_rng(7)
    y = curve(DOSES, 5, 95, 0.8, 1.3) + 3 * chance.standard_normal((6, DOSES.size))
    fit = fit_batch(CurveData.of(DOSES, y))
    low, high = profile_interval(fit, ANCHOR)
    names = ("bottom", "top", "log10_ec50", "slope")
    log_dose = np.log10(DOSES)[None]

    def values(parameters: lmfit.Parameters) -> np.ndarray:
        return np.array([[*(parameters[name].value for name in names), 1.0]])

    for i in range(len(y)):
        parameters = lmfit.Parameters()
        parameters.add_many(("bottom", 0), ("top", 100), ("log10_ec50", 0), ("slope", 1))
        minimizer = lmfit.Minimizer(lambda p, row=y[i]: logistic(values(p), log_dose)[0][0] - row, parameters)
        found = minimizer.leastsq(
            Dfun=lambda p: logistic(values(p), log_dose)[1][0][:, :4], ftol=1e-15, xtol=1e-15, gtol=1e-15
        )
        np.testing.assert_allclose([found.params[n].value for n in names], fit.parameters[i, :4], rtol=1e-6)
        np.testing.assert_allclose([found.params[n].stderr for n in names], fit.standard_errors[i, :4], rtol=1e-5)
        assert found.chisqr == pytest.approx(fit.rss[i], rel=1e-9)
        # an interval end is where the F of lmfit's own comparison is the square of the t quantile
        for end in (low[i], high[i]):
            held = found.params.copy()
            held["log10_ec50"].set(value=end, vary=False)
            rss = lmfit.Minimizer(minimizer.userfcn, held).leastsq().chisqr
            t = (rss - found.chisqr) / (found.chisqr / fit.freedom[i])
            assert t == pytest.approx(fit.quantiles()[i] ** 2, rel=1e-4)


def test_coverage_and_bias_over_two_thousand_plates() -> None:
    """95 % intervals of every parameter, and of the EC50 by profile likelihood, cover 93 to 97 %; bias below 1 %."""
    chance = np.random.default_rng(20)
    n = 2000
    truth = np.array([5.0, 95.0, 0.0, 1.2])
    y = curve(DOSES, 5, 95, 1.0, 1.2) + 4 * chance.standard_normal((n, DOSES.size))
    fit = fit_batch(CurveData.of(DOSES, y))
    low, high = fit.intervals()
    for j in range(4):
        assert 0.93 <= np.mean((low[:, j] <= truth[j]) & (truth[j] <= high[:, j])) <= 0.97
    ends = profile_interval(fit, ANCHOR)
    assert 0.93 <= np.mean((ends[0] <= 0) & (ends[1] >= 0)) <= 0.97
    assert abs(np.mean(10 ** fit.parameters[:, ANCHOR]) - 1.0) < 0.01
    assert abs(np.mean(fit.parameters[:, 1]) / 95 - 1) < 0.01
    assert abs(np.median(fit.parameters[:, 3]) / 1.2 - 1) < 0.01


def test_control_wells_at_dose_zero_count_for_the_plateau_they_are_on() -> None:
    dose = np.concatenate([[0.0, 0, 0], DOSES[9:]])
    for sign in (1, -1):
        zero = 4.0 if sign > 0 else 92.0
        y = np.concatenate([[zero] * 3, curve(DOSES[9:], 4, 92, 3.0, sign * 1.4)])
        result = analyse_curve(points(y, dose))
        assert result.ec50 == pytest.approx(3.0, rel=1e-6)
        assert result.direction == ("rising" if sign > 0 else "falling")


def test_levels_lytic_units_and_what_lies_outside() -> None:
    chance = np.random.default_rng(4)
    y = curve(DOSES, 0, 90, 2.0, 1.0) + 2 * chance.standard_normal(DOSES.size)
    levels = (Level(20), Level(30, is_response=True), Level(89.9, is_response=True), Level(0.05))
    result = analyse_curve(points(y), Request("3pl"), levels=levels, lytic=LyticUnits(1e4))
    twenty, thirty, high, low = result.levels
    assert thirty.lytic_units == pytest.approx(1e7 / (1e4 * thirty.estimate))  # type: ignore[operator]
    assert thirty.lytic_units_low == pytest.approx(1e7 / (1e4 * thirty.ci_high))  # type: ignore[operator]
    halved = analyse_curve(points(y), Request("3pl"), levels=levels[1:2], lytic=LyticUnits(5e3)).levels[0]
    assert halved.lytic_units == pytest.approx(2 * thirty.lytic_units)  # type: ignore[operator]
    assert twenty.estimate == pytest.approx(10 ** move_anchor(_log(result), Level(20))[0], rel=1e-6)
    assert (high.estimate, high.text) == (None, "> 100")
    assert (low.estimate, low.text) == (None, "< 0.0100")


def _log(result: object) -> np.ndarray:
    found = {p.name: p.estimate for p in result.parameters}  # type: ignore[attr-defined]
    return np.array([[found["bottom"], found["top"], found["log10_ec50"], found["slope"], 1.0]])


def test_constraints_hold_and_a_parameter_at_its_bound_is_told() -> None:
    y = curve(DOSES, 5, 120, 1.0, 1.2) + np.tile([1.0, -1, 0.5], 8)
    result = analyse_curve(points(y), Request("4pl", {"bottom": (0.0, 0.0), "top": (50.0, 100.0)}))
    found = {p.name: p for p in result.parameters}
    assert (found["bottom"].estimate, found["bottom"].fixed) == (0.0, True)
    assert "top ended at the bound of the search" in " ".join(result.reasons)


def test_models_and_arms_are_told_apart() -> None:
    chance = np.random.default_rng(9)
    noise = [1.5 * chance.standard_normal(DOSES.size) for _ in range(3)]
    skewed = points(curve(DOSES, 0, 100, 1.0, 1.5, 0.3) + noise[0])
    (smaller, larger) = compare_models(skewed, Request("4pl"))
    assert (smaller.full, larger.full) == ("4pl", "5pl")
    assert larger.p is not None
    assert larger.p < 0.01
    assert larger.preferred == "5pl"
    a = points(curve(DOSES, 3, 97, 1.0, 1.2) + noise[1], group="a")
    moved = points(curve(DOSES, 3, 97, 2.0, 1.2) + noise[2], group="b")
    parallel, one = compare_arms([a, moved], Request("4pl"))
    assert parallel.p is not None
    assert one.p is not None
    assert parallel.p > 0.01
    assert one.p < 1e-6
    assert (one.freedom_simple, one.freedom_full, parallel.freedom_full) == (44, 43, 40)


def test_aicc_by_hand() -> None:
    assert aicc(10.0, 20, 4) == pytest.approx(20 * np.log(0.5) + 10 + 60 / 14)
    assert aicc(10.0, 6, 4) is None


@pytest.mark.parametrize("weighting", ["1/y", "1/y2", "replicates"])
def test_weights_of_exact_data_change_nothing(weighting: str) -> None:
    from nkloop.assays.curve_report import with_weights

    y = curve(DOSES, 5, 95, 1.0, 1.2) * np.tile([0.999, 1.0, 1.001], 8)
    weighted = analyse_curve(with_weights(points(y), weighting))
    assert weighted.ec50 == pytest.approx(1.0, rel=5e-3)
    assert weighted.weights == weighting
