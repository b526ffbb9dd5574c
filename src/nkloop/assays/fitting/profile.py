"""Profile-likelihood intervals (profile t of Bates & Watts 1988) of many curves at once.

An end of the interval is where the residual sum of squares, minimised over all other parameters, has risen to
rss (1 + t² / degrees of freedom). An end that is not met within the search limits is unbounded.
"""

from __future__ import annotations

import numpy as np

from nkloop.assays.fitting.batch import BatchFit, anchored, residuals_of
from nkloop.assays.fitting.logistic import ANCHOR, HALF, Level
from nkloop.assays.fitting.solver import Array, Index, solve

_TRIALS = 60
_OFFSET = 1e-5
"""Relative offset of the fits along a profile: their sums of squares are right to its square."""
_CLOSE = 1e-6
"""Relative accuracy of the profile t at an end."""


def profile_interval(
    fit: BatchFit, parameter: int, *, level: Level = HALF, reach: float | None = None, confidence: float = 0.95
) -> tuple[Array, Array]:
    """Lower and upper ends for one parameter, each of shape (n,); infinite where unbounded, NaN where it is no number.

    Args:
        fit: The fits.
        parameter: Number of the parameter in `logistic.NAMES`.
        level: What the anchor parameter stands for: EC50 unless another level is asked for.
        reach: Decades beyond the tested doses to which an anchor is followed.
        confidence: Coverage.
    """
    n = len(fit.parameters)
    both = fit.take(np.tile(np.arange(n), 2))
    ends = _ends(both, parameter, level, np.repeat([-1.0, 1.0], n), reach, confidence)
    return ends[:n], ends[n:]


def _ends(fit: BatchFit, parameter: int, level: Level, side: Array, reach: float | None, confidence: float) -> Array:
    base = anchored(fit, level)
    best = base[:, parameter]
    low, high = fit.low.copy(), fit.high.copy()
    if parameter == ANCHOR and reach is not None:
        _, _, near, far = fit.data.ranges()
        low[:, ANCHOR], high[:, ANCHOR] = near - reach, far + reach
    edge = np.where(side < 0, low[:, parameter], high[:, parameter])
    target = fit.quantiles(confidence)
    search = _Search(fit, parameter, level, base, low, high)
    # where the fit is exact the interval has no width
    exact = fit.rss <= 1e-24 * np.einsum("nm,nm->n", fit.data.weights, fit.data.response**2)
    result = np.where(exact, best, np.nan)
    todo = np.flatnonzero(~exact & np.isfinite(best) & (side * (edge - best) > 0))
    at_edge = ~exact & np.isfinite(best) & (side * (edge - best) <= 0)
    result[at_edge] = side[at_edge] * np.inf
    error = fit.standard_errors[:, parameter] if level is HALF else np.full(len(best), np.nan)
    guess = np.where(np.isfinite(error) & (error > 0), target * error, 0.1 * np.abs(edge - best))
    _solve_ends(search, todo, best, side, edge, guess, target, result)
    return result


class _Search:
    """Profile t of one parameter, with the last solution of each curve as the next start."""

    def __init__(self, fit: BatchFit, parameter: int, level: Level, base: Array, low: Array, high: Array) -> None:
        self._fit, self._parameter, self._level = fit, parameter, level
        self._base, self._low, self._high = base.copy(), low, high

    def tau(self, which: Index, value: Array) -> Array:
        """Profile t (not negative) at a value per curve; infinite where no curve fits."""
        low, high, first = self._low[which].copy(), self._high[which].copy(), self._base[which].copy()
        low[:, self._parameter] = high[:, self._parameter] = first[:, self._parameter] = value
        if self._level.is_response:
            first = self._reaching(first, low, high)
        data = self._fit.data.take(which)
        solution = solve(
            residuals_of(data, self._level), first, low=low, high=high, most_iterations=100, offset=_OFFSET
        )
        good = np.isfinite(solution.rss)
        self._base[which[good]] = solution.parameters[good]
        excess = solution.rss + data.within - self._fit.rss[which]
        result: Array = np.sqrt(np.maximum(np.where(good, excess, np.inf), 0.0) / self._fit.variance[which])
        return result

    def _reaching(self, first: Array, low: Array, high: Array) -> Array:
        """Starts whose curve takes the response that is the level."""
        response, moved = self._level.value, first.copy()
        span = np.maximum(np.abs(first[:, 1] - first[:, 0]), 1e-9)
        moved[:, 1] = np.where(first[:, 1] <= response, response + 0.02 * span, first[:, 1])
        moved[:, 0] = np.where(first[:, 0] >= response, response - 0.02 * span, first[:, 0])
        return np.clip(moved, low, high)


def _solve_ends(
    search: _Search,
    todo: Index,
    best: Array,
    side: Array,
    edge: Array,
    guess: Array,
    target: Array,
    result: Array,
) -> None:
    """Bracket and solve tau = target outwards from the estimate; secants on the nearly straight profile t."""
    n = len(best)
    inner, inner_tau = best.copy(), np.zeros(n)
    outer, outer_tau = np.full(n, np.nan), np.full(n, np.nan)
    trial = np.full(n, np.nan)
    trial[todo] = best[todo] + side[todo] * np.minimum(guess[todo], np.abs(edge[todo] - best[todo]))
    for count in range(_TRIALS):
        if todo.size == 0:
            return
        tau = search.tau(todo, trial[todo])
        close = np.abs(tau - target[todo]) <= _CLOSE * target[todo]
        result[todo[close]] = trial[todo[close]]
        below = tau < target[todo]
        beyond = below & (np.abs(trial[todo] - edge[todo]) <= 1e-12 * (1 + np.abs(edge[todo]))) & ~close
        result[todo[beyond]] = side[todo[beyond]] * np.inf
        inner[todo[below]], inner_tau[todo[below]] = trial[todo[below]], tau[below]
        outer[todo[~below]], outer_tau[todo[~below]] = trial[todo[~below]], tau[~below]
        tight = np.isfinite(outer[todo]) & (np.abs(outer[todo] - inner[todo]) <= 1e-10 * (1 + np.abs(best[todo])))
        result[todo[tight & ~close]] = inner[todo[tight & ~close]]
        todo = todo[~(close | beyond | tight)]
        trial[todo] = _next(
            inner[todo],
            inner_tau[todo],
            outer[todo],
            outer_tau[todo],
            target[todo],
            best[todo],
            side[todo],
            edge[todo],
            count,
        )
    result[todo] = inner[todo]


def _next(
    inner: Array,
    inner_tau: Array,
    outer: Array,
    outer_tau: Array,
    target: Array,
    best: Array,
    side: Array,
    edge: Array,
    count: int,
) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        # outwards: as far as the straight line from the estimate says, at least half and at most three times further
        grown = np.clip(target / np.maximum(inner_tau, 1e-12), 1.5, 4.0)
        further = best + (inner - best) * grown
        further = np.where(side * (edge - further) <= 0, edge, further)
        usable = np.isfinite(outer_tau)
        slope = (outer - inner) / (outer_tau - inner_tau)
        secant = inner + (target - inner_tau) * slope
        margin = 0.02 * (outer - inner)
        inside = (side * (secant - inner - margin) > 0) & (side * (outer - margin - secant) > 0)
        # a secant that keeps landing beside the same end would crawl: halve now and then
        halved = 0.5 * (inner + outer)
        pick = np.where(
            usable & np.isfinite(secant) & (count % 4 != 3),
            np.where(inside, secant, np.where(side * (secant - inner) > 0, secant, halved)),
            halved,
        )
        bounded = np.where(side * (pick - inner) > 0, np.where(side * (outer - pick) > 0, pick, halved), halved)
    result: Array = np.where(np.isfinite(outer), bounded, further)
    return result
