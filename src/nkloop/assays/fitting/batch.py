"""Many logistic fits at once: estimates, standard errors, t intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nkloop.assays.fitting.data import CurveData, Request
from nkloop.assays.fitting.distributions import t_quantile
from nkloop.assays.fitting.logistic import ANCHOR, ASYMMETRY, HALF, SLOPE, Level, logistic, move_anchor
from nkloop.assays.fitting.solver import Array, Flags, Index, Residuals, Solution, solve
from nkloop.assays.fitting.starts import starts

_RIVAL = 4.0
"""A further start is tried when its own sum of squares is below this multiple of the fit's."""
_SKEWS = (0.35, 2.5)
"""Asymmetries from which the five-parameter model starts besides the symmetric one."""


@dataclass(frozen=True)
class BatchFit:
    """Fits of n curves; parameters in the order of `logistic.NAMES`."""

    data: CurveData
    request: Request
    parameters: Array
    """Shape (n, 5)."""
    rss: Array
    """Weighted residual sum of squares with the part known apart, shape (n,)."""
    freedom: Array
    """Points less estimated parameters, shape (n,)."""
    covariance: Array
    """Shape (n, 5, 5); not a number where the data do not determine all free parameters."""
    free: Flags
    """Whether each parameter was estimated and ended inside its bounds, shape (n, 5)."""
    converged: Flags
    low: Array
    high: Array

    @property
    def variance(self) -> Array:
        """Residual variance (of a point of weight 1), shape (n,)."""
        result: Array = self.rss / np.maximum(self.freedom, 1)
        return result

    @property
    def standard_errors(self) -> Array:
        """Shape (n, 5); 0 for parameters that are fixed or at a bound."""
        with np.errstate(invalid="ignore"):
            result: Array = np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))
        return result

    def take(self, which: Index) -> BatchFit:
        """Some of the fits, in the order given; one may be taken several times."""
        return BatchFit(
            self.data.take(which),
            self.request,
            self.parameters[which],
            self.rss[which],
            self.freedom[which],
            self.covariance[which],
            self.free[which],
            self.converged[which],
            self.low[which],
            self.high[which],
        )

    def quantiles(self, confidence: float = 0.95) -> Array:
        """t quantile of two-sided intervals, shape (n,)."""
        result: Array = np.asarray(t_quantile(0.5 + confidence / 2, np.maximum(self.freedom, 1)))
        return result

    def intervals(self, confidence: float = 0.95) -> tuple[Array, Array]:
        """Symmetric t intervals from the curvature at the solution, each of shape (n, 5)."""
        half = self.quantiles(confidence)[:, None] * self.standard_errors
        return self.parameters - half, self.parameters + half

    def band(self, log_dose: Array, confidence: float = 0.95) -> tuple[Array, Array]:
        """Curves (n, g) and half widths of their pointwise intervals at log10 doses (g,), by the delta method."""
        grid = np.broadcast_to(log_dose, (len(self.parameters), len(log_dose)))
        value, slopes = logistic(self.parameters, grid)
        variance = np.einsum("ngi,nij,ngj->ng", slopes, np.nan_to_num(self.covariance), slopes)
        return value, self.quantiles(confidence)[:, None] * np.sqrt(np.maximum(variance, 0.0))


def fit_batch(data: CurveData, request: Request | None = None) -> BatchFit:
    """Fit every curve from the best of several starts."""
    asked = request or Request()
    data = data.pooled()
    points, sums = starts(data, asked)
    solution, low, high = _from(data, asked, points[:, 0])
    best = _copy(solution)
    for number in range(1, points.shape[1]):
        rival = np.flatnonzero(~best.converged | (sums[:, number] < _RIVAL * best.rss + 1e-300))
        _improve(best, low, high, data, asked, points[:, number], rival)
    if "asymmetry" not in asked.fixed():
        for skew in _SKEWS:
            moved = best.parameters.copy()
            moved[:, ASYMMETRY] = skew
            _improve(best, low, high, data, asked, moved, np.arange(len(moved)))
    found = Solution(best.parameters, best.rss, best.triangle, best.free, best.converged, solution.iterations)
    unscaled, _ = found.unscaled_covariance()
    rss = found.rss + data.within
    freedom = data.n_points - asked.n_free()
    covariance = unscaled * (rss / np.maximum(freedom, 1))[:, None, None]
    return BatchFit(data, asked, found.parameters, rss, freedom, covariance, found.free, found.converged, low, high)


@dataclass
class _Best:
    parameters: Array
    rss: Array
    triangle: Array
    free: Flags
    converged: Flags


def _copy(solution: Solution) -> _Best:
    return _Best(solution.parameters, solution.rss, solution.triangle, solution.free, solution.converged)


def _from(data: CurveData, request: Request, first: Array) -> tuple[Solution, Array, Array]:
    low, high = request.limits(data, np.sign(first[:, SLOPE]))
    return solve(residuals_of(data), first, low=low, high=high), low, high


def _improve(
    best: _Best, low: Array, high: Array, data: CurveData, request: Request, first: Array, which: Index
) -> None:
    if which.size == 0:
        return
    tried, lowest, highest = _from(data.take(which), request, first[which])
    better = (tried.rss < best.rss[which] * (1 - 1e-12)) | (
        tried.converged & ~best.converged[which] & (tried.rss <= best.rss[which])
    )
    taken = which[better]
    for name in ("parameters", "rss", "triangle", "free", "converged"):
        getattr(best, name)[taken] = getattr(tried, name)[better]
    low[taken], high[taken] = lowest[better], highest[better]


def residuals_of(data: CurveData, level: Level = HALF) -> Residuals:
    """Weighted residuals and Jacobians of the curves, for the solver."""
    root = np.sqrt(data.weights)

    def residuals(parameters: Array, which: Index) -> tuple[Array, Array]:
        value, slopes = logistic(parameters, data.log_dose[which], level)
        return root[which] * (value - data.response[which]), root[which][:, :, None] * slopes

    return residuals


def anchored(fit: BatchFit, level: Level) -> Array:
    """Parameters (n, 5) with the EC50 replaced by the log10 dose at a level."""
    moved = fit.parameters.copy()
    moved[:, ANCHOR] = move_anchor(fit.parameters, level)
    return moved
