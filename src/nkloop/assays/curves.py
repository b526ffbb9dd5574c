"""4PL of lysis over log10 true E:T with intervals, and ET50, which is never extrapolated.

lysis = top / (1 + 10^(slope (log10 midpoint - log10 E:T))), bottom fixed at 0 (without effectors nothing is lysed by
them, by definition of lysis), 0 <= top <= 100. ET50 is the true E:T at which 50 % of the targets are lysed; it equals
the midpoint when top is 100.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, least_squares
from scipy.stats import t as student

from nkloop.assays.models import CurveFit
from nkloop.assays.series import Array, Series, area

LEAST_RATIOS = 4
"""E:T levels needed for three free parameters and one degree of freedom between the means."""
HALF = 50.0
SLOPES = (0.2, 5.0)
BEYOND = 1.5
"""Decades outside the tested range in which the midpoint is searched."""
GRID_POINTS = 60
NO_EFFECT = 10.0
"""Mean lysis (%) up to which a curve that does not rise is read as no killing, not as a broken series."""


@dataclass(frozen=True)
class _Fit:
    """Best parameters (top, log10 midpoint, slope), residual sum of squares and covariance."""

    parameters: Array
    rss: float
    freedom: int
    covariance: Array
    free: tuple[int, ...]
    """Indices of the parameters that are not at a bound."""

    @property
    def variance(self) -> float:
        return self.rss / self.freedom

    @property
    def quantile(self) -> float:
        return float(student.ppf(0.975, self.freedom))


def fit_curve(
    sample: str, ratios: Sequence[float], lysis: Sequence[float], *, effector_replicates: int | None = None
) -> CurveFit:
    """Fit one sample; `ratios` are true E:T and `lysis` the % of each well, in the same order.

    `effector_replicates` is the number of effector-only wells subtracted at each E:T, None when there were none.

    Raises:
        AssayError: the numbers do not form a series (see `Series.of`).
    """
    series = Series.of(ratios, lysis, effector_replicates=effector_replicates)
    auc, error = area(series)
    refused = _refusal(series)
    if refused is not None:
        text, reason = refused
        return CurveFit(
            sample=sample, determined=False, reason=reason, et50_text=text, auc=auc, auc_standard_error=error
        )
    fit = _fit(series)
    top, middle, slope = (float(p) for p in fit.parameters)
    names = ("top", "log10_midpoint", "slope")
    curve = CurveFit(
        sample=sample,
        determined=False,
        bottom=0.0,
        top=top,
        midpoint=10**middle,
        slope=slope,
        standard_errors={names[i]: float(np.sqrt(fit.covariance[i, i])) for i in fit.free},
        auc=auc,
        auc_standard_error=error,
        grid=_band(series, fit),
    )
    return curve.model_copy(update=_half_lysis(series, fit))


def curve_at(parameters: Array, log_ratio: Array) -> Array:
    """Lysis (%) at log10 E:T for (top, log10 midpoint, slope)."""
    top, middle, slope = parameters
    result: Array = top * _share(slope * (log_ratio - middle))
    return result


def _share(z: Array) -> Array:
    # 1 / (1 + 10^-z), clipped where the exponent would overflow and the value is 0 or 1 to machine precision
    result: Array = 1.0 / (1.0 + 10.0 ** -np.clip(z, -300, 300))
    return result


def _refusal(series: Series) -> tuple[str, str] | None:
    k = series.ratios.size
    if k < LEAST_RATIOS:
        return "not determined", f"{k} E:T, a curve needs at least {LEAST_RATIOS}"
    from scipy.stats import spearmanr

    rho = 0.0 if np.ptp(series.means) == 0 else float(spearmanr(series.ratios, series.means).statistic)
    if rho > 0:
        return None
    highest = float(series.means.max())
    if highest <= NO_EFFECT:
        return f"> {_ratio(series.ratios[-1])}", f"no killing at any E:T, at most {highest:.0f} % lysis"
    return "not determined", "lysis does not rise with E:T"


def _bounds(series: Series) -> tuple[Array, Array]:
    x = series.log_ratios
    return np.array([0.0, x[0] - BEYOND, SLOPES[0]]), np.array([100.0, x[-1] + BEYOND, SLOPES[1]])


def _starts(series: Series) -> list[Array]:
    """Best start in each of three bands of slope, from a grid on which top is solved in closed form."""
    low, high = _bounds(series)
    x, y, w = series.log_ratios, series.means, series.weights
    middles = np.linspace(low[1], high[1], 45)
    starts = []
    for slopes in np.array_split(np.geomspace(*SLOPES, 18), 3):
        g = _share(slopes[None, :, None] * (x - middles[:, None, None]))
        top = np.clip((g @ (w * y)) / np.maximum((g * g) @ w, 1e-300), 0.0, 100.0)
        rss = ((y - top[..., None] * g) ** 2) @ w
        i, j = np.unravel_index(int(np.argmin(rss)), rss.shape)
        starts.append(np.array([top[i, j], middles[i], slopes[j]]))
    return starts


def _fit(series: Series) -> _Fit:
    low, high = _bounds(series)
    root, x = np.sqrt(series.weights), series.log_ratios

    def residuals(p: Array) -> Array:
        result: Array = root * (curve_at(p, x) - series.means)
        return result

    def jacobian(p: Array) -> Array:
        return root[:, None] * _gradient(p, x)

    best = min(
        (
            least_squares(
                residuals,
                np.clip(start, low + 1e-6, high - 1e-6),
                jac=jacobian,
                bounds=(low, high),
                x_scale=(50.0, 0.3, 1.0),
                xtol=1e-12,
                ftol=1e-12,
                gtol=1e-12,
            )
            for start in _starts(series)
        ),
        key=lambda solution: float(solution.cost),
    )
    parameters = _snapped(best.x, low, high)
    rss = float(np.sum(residuals(parameters) ** 2)) + series.within
    freedom = max(series.n_wells - parameters.size, 1)
    free = tuple(i for i in range(parameters.size) if low[i] < parameters[i] < high[i])
    j = jacobian(parameters)[:, free]
    covariance = np.zeros((parameters.size, parameters.size))
    covariance[np.ix_(free, free)] = np.linalg.pinv(j.T @ j) * rss / freedom
    return _Fit(parameters, rss, freedom, covariance, free)


def _snapped(parameters: Array, low: Array, high: Array) -> Array:
    # the trust-region method stays strictly inside its bounds; a parameter this close is at the bound
    near = 1e-3 * (high - low)
    result: Array = np.where(parameters - low < near, low, np.where(high - parameters < near, high, parameters))
    return result


def _gradient(p: Array, x: Array) -> Array:
    """Derivatives of the curve by (top, log10 midpoint, slope), shape (len(x), 3)."""
    top, middle, slope = p
    share = _share(slope * (x - middle))
    bend = np.log(10.0) * top * share * (1.0 - share)
    return np.column_stack([share, -slope * bend, (x - middle) * bend])


def _band(series: Series, fit: _Fit) -> tuple[tuple[float, float, float, float], ...]:
    """(true E:T, lysis, low, high): pointwise 95 % band of the mean curve by the delta method."""
    x = np.linspace(series.log_ratios[0], series.log_ratios[-1], GRID_POINTS)
    middle, gradient = curve_at(fit.parameters, x), _gradient(fit.parameters, x)
    half = fit.quantile * np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", gradient, fit.covariance, gradient), 0.0))
    columns = np.column_stack([10**x, middle, middle - half, middle + half])
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in columns)


def _half_lysis(series: Series, fit: _Fit) -> dict[str, object]:
    """ET50 with its interval, or how it lies to the tested range."""
    lowest, highest = series.ratios[0], series.ratios[-1]
    top, middle, slope = fit.parameters
    reached = curve_at(fit.parameters, series.log_ratios)
    if reached[-1] < HALF:
        reason = f"the curve reaches {reached[-1]:.0f} % lysis at the highest true E:T, ET50 lies above it"
        return {"et50_text": f"> {_ratio(highest)}", "reason": reason}
    if reached[0] > HALF:
        reason = f"the curve is at {reached[0]:.0f} % lysis at the lowest true E:T already, ET50 lies below it"
        return {"et50_text": f"< {_ratio(lowest)}", "reason": reason}
    best = float(middle - np.log10((top - HALF) / HALF) / slope) if top > HALF else float(series.log_ratios[-1])
    ends = [_profile_end(series, fit, best, direction) for direction in (-1, 1)]
    if ends[0] is None or ends[1] is None:
        side = "lower" if ends[0] is None else "upper"
        reason = f"the {side} end of the 95 % interval is unbounded, the data do not say where 50 % lysis is reached"
        return {"et50_text": "not determined", "reason": reason}
    low, high = 10 ** ends[0], 10 ** ends[1]
    inside_low, inside_high = low >= lowest * (1 - 1e-9), high <= highest * (1 + 1e-9)
    shown = _ratio(low) if inside_low else f"< {_ratio(lowest)}"
    shown += " to " + (_ratio(high) if inside_high else f"> {_ratio(highest)}")
    return {
        "determined": True,
        "et50": 10**best,
        "et50_low": low if inside_low else None,
        "et50_high": high if inside_high else None,
        "et50_text": f"{_ratio(10**best)} ({shown})",
    }


def _ratio(value: float) -> str:
    """An E:T with three significant digits, trailing zeros kept: `1.50`, `10.0`, `0.313`."""
    return f"{value:#.3g}".rstrip(".")


def _profile_end(series: Series, fit: _Fit, best: float, direction: int) -> float | None:
    """log10 E:T where the profile of the residual sum of squares crosses its 95 % limit; None when it never does.

    The limit is rss_min (1 + t² / degrees of freedom): the profile-t interval (Bates & Watts 1988).
    """
    if fit.rss <= 1e-12 * float(np.sum(series.weights * series.means**2)):
        return best
    limit = fit.rss + fit.variance * fit.quantile**2
    state = np.array([max(float(fit.parameters[0]), HALF + 0.5), float(fit.parameters[2])])

    def excess(q: float) -> float:
        nonlocal state
        rss, state = _profile(series, q, state)
        return rss - limit

    edge = series.log_ratios[-1] + 1.0 if direction > 0 else series.log_ratios[0] - 1.0
    inner, step = best, 0.05
    while True:
        outer = inner + direction * step
        if direction * (edge - outer) < 0:
            outer = float(edge)
        if excess(outer) > 0:
            return _crossing(excess, inner, outer)
        if outer == edge:
            return None
        inner, step = outer, step * 1.6


def _crossing(excess: Callable[[float], float], inner: float, outer: float) -> float:
    if excess(inner) >= 0:
        return inner
    root: float = brentq(excess, inner, outer, xtol=1e-4)
    return root


def _profile(series: Series, q: float, start: Array) -> tuple[float, Array]:
    """Least residual sum of squares with 50 % lysis held at log10 E:T `q`, over (top, slope)."""
    root, distance = np.sqrt(series.weights), q - series.log_ratios

    def model(p: Array) -> tuple[Array, Array, Array]:
        grown = 10.0 ** np.clip(p[1] * distance, -200, 200)
        below = 1.0 + (p[0] - HALF) / HALF * grown
        return p[0] / below, grown, below

    def residuals(p: Array) -> Array:
        result: Array = root * (model(p)[0] - series.means)
        return result

    def jacobian(p: Array) -> Array:
        value, grown, below = model(p)
        by_top = 1.0 / below - value / below * grown / HALF
        by_slope = -value / below * (p[0] - HALF) / HALF * grown * np.log(10.0) * distance
        result: Array = root[:, None] * np.column_stack([by_top, by_slope])
        return result

    low, high = np.array([HALF + 1e-3, SLOPES[0]]), np.array([100.0, SLOPES[1]])
    inside = np.clip(start, low + 1e-4, high - 1e-4)
    solution = least_squares(residuals, inside, jac=jacobian, bounds=(low, high), x_scale=(25.0, 1.0))
    return float(2 * solution.cost) + series.within, np.asarray(solution.x, dtype=float)
