"""Damped least squares (Levenberg-Marquardt) for many independent problems of one shape at once.

Each problem has its own damping, scaling by the largest column norms seen (Moré 1978), the damping rule of Nielsen
(1999) and box bounds by freezing the parameters that press against a bound. Steps come from QR decompositions, so
that ill-conditioned problems keep their digits. A problem has converged when the residual vector is orthogonal to
the tangent space: the relative offset of Bates & Watts (1981).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Flags = NDArray[np.bool_]
Residuals = Callable[[Array, Index], tuple[Array, Array]]
"""(parameters (k, p), numbers of the problems (k,)) to residuals (k, m) and their Jacobian (k, m, p)."""

OFFSET = 1e-9
"""Relative offset at which a problem has converged: parameters within about 1e-9 standard errors."""
FLAT = 1e-14
"""Relative change of a parameter below which a step changes nothing."""
_MOST_DAMPING = 1e20


@dataclass(frozen=True)
class Solution:
    """The best point of every problem."""

    parameters: Array
    """Shape (n, p)."""
    rss: Array
    """Residual sums of squares, shape (n,)."""
    triangle: Array
    """Upper triangle R of the Jacobian's QR at the solution, frozen columns 0, shape (n, p, p)."""
    free: Flags
    """Parameters that neither are fixed nor press against a bound, shape (n, p)."""
    converged: Flags
    """Whether the relative offset, or else the step, came below its limit, shape (n,)."""
    iterations: int

    def unscaled_covariance(self) -> tuple[Array, Flags]:
        """(JᵀJ)⁻¹ of the free parameters, 0 elsewhere, and whether it exists; shapes (n, p, p) and (n,)."""
        p = self.parameters.shape[1]
        norms = np.sqrt(np.einsum("kij,kij->kj", self.triangle, self.triangle))
        scale = np.where(norms > 0, norms, 1.0)
        unit = self.triangle / scale[:, None, :]
        unit[:, np.arange(p), np.arange(p)] += np.where(self.free, 0.0, 1.0)
        usable = np.isfinite(unit).all(axis=(1, 2))
        unit[~usable] = np.eye(p)
        smallest = np.linalg.svd(unit, compute_uv=False)[:, -1]
        usable &= (smallest > 1e-13) & ((norms > 0) | ~self.free).all(axis=1)
        unit[~usable] = np.eye(p)
        inverse = np.linalg.inv(unit) / scale[:, :, None]
        inverse *= self.free[:, :, None] & self.free[:, None, :]
        covariance = inverse @ inverse.transpose(0, 2, 1)
        covariance[~usable] = np.nan
        return covariance, usable


@dataclass
class _State:
    """What every problem has reached so far."""

    parameters: Array
    rss: Array
    triangle: Array
    """R of (J | r), shape (n, p + 1, p + 1)."""
    free: Flags
    scale: Array
    damping: Array
    growth: Array
    converged: Flags
    stopped: Flags
    memory: float = 0.5
    offset: float = OFFSET


def solve(
    residuals: Residuals,
    starts: Array,
    *,
    low: Array | None = None,
    high: Array | None = None,
    most_iterations: int = 300,
    first_damping: float = 1e-3,
    memory: float = 0.5,
    offset: float = OFFSET,
) -> Solution:
    """Minimise the sum of squared residuals of n problems from one start each.

    Args:
        residuals: Residuals and Jacobian of the problems asked for.
        starts: Shape (n, p), moved into the bounds.
        low: Lower bounds, shape (n, p) or (p,); unbounded when not given. A parameter with low = high is fixed.
        high: Upper bounds, likewise.
        most_iterations: Trial steps after which the best point so far is returned as not converged.
        first_damping: Damping of the first step, relative to the scale of each parameter.
        memory: Share of the largest column norms seen that the scale keeps at each step: 0 follows the local
            curvature, 1 never forgets a steep place.
        offset: Relative offset at which a problem has converged.
    """
    n, p = starts.shape
    lowest = np.broadcast_to(np.full(p, -np.inf) if low is None else low, (n, p))
    highest = np.broadcast_to(np.full(p, np.inf) if high is None else high, (n, p))
    first = np.clip(starts, lowest, highest)
    live = np.flatnonzero(~(lowest >= highest).all(axis=0))
    if live.size < p:
        settings = {"first_damping": first_damping, "memory": memory, "offset": offset}
        return _without_fixed(residuals, first, live, lowest, highest, most_iterations, settings)
    state = _first(residuals, first, lowest, highest)
    state.damping[:], state.memory, state.offset = first_damping, memory, offset
    used = 0
    while used < most_iterations:
        active = np.flatnonzero(~state.stopped)
        if active.size == 0:
            break
        used += 1
        _advance(state, active, residuals, lowest, highest)
    return Solution(state.parameters, state.rss, state.triangle[:, :p, :p], state.free, state.converged, used)


def _without_fixed(
    residuals: Residuals,
    first: Array,
    live: Index,
    low: Array,
    high: Array,
    most_iterations: int,
    settings: dict[str, float],
) -> Solution:
    """Solve for the parameters that are not fixed in every problem; what is fixed costs nothing then."""
    n, p = first.shape
    full = first.copy()

    def reduced(parameters: Array, which: Index) -> tuple[Array, Array]:
        all_parameters = full[which]
        all_parameters[:, live] = parameters
        value, jacobian = residuals(all_parameters, which)
        return value, jacobian[:, :, live]

    if live.size == 0:
        value, _ = residuals(full, np.arange(n))
        rss = np.einsum("km,km->k", value, value)
        none = np.zeros((n, p), dtype=bool)
        return Solution(full, rss, np.zeros((n, p, p)), none, np.isfinite(rss), 0)
    inner = solve(
        reduced,
        first[:, live],
        low=low[:, live],
        high=high[:, live],
        most_iterations=most_iterations,
        **settings,
    )
    full[:, live] = inner.parameters
    triangle, free = np.zeros((n, p, p)), np.zeros((n, p), dtype=bool)
    triangle[:, live[:, None], live] = inner.triangle
    free[:, live] = inner.free
    return Solution(full, inner.rss, triangle, free, inner.converged, inner.iterations)


def _first(residuals: Residuals, parameters: Array, low: Array, high: Array) -> _State:
    n = parameters.shape[0]
    value, jacobian = residuals(parameters, np.arange(n))
    rss = np.einsum("km,km->k", value, value)
    broken = ~np.isfinite(rss) | ~np.isfinite(jacobian).all(axis=(1, 2))
    value, jacobian = np.where(broken[:, None], 0.0, value), np.where(broken[:, None, None], 0.0, jacobian)
    free = _free(parameters, value, jacobian, low, high)
    triangle = _triangle(value, jacobian, free)
    state = _State(
        parameters=parameters.copy(),
        rss=np.where(broken, np.inf, rss),
        triangle=triangle,
        free=free,
        scale=_norms(triangle),
        damping=np.ones(n),
        growth=np.full(n, 2.0),
        converged=np.zeros(n, dtype=bool),
        stopped=broken.copy(),
    )
    _judge(state, np.flatnonzero(~broken), value.shape[1])
    return state


def _free(parameters: Array, value: Array, jacobian: Array, low: Array, high: Array) -> Flags:
    slope = np.einsum("km,kmp->kp", value, jacobian)
    pressed = ((parameters <= low) & (slope > 0)) | ((parameters >= high) & (slope < 0)) | (low >= high)
    result: Flags = ~pressed
    return result


def _triangle(value: Array, jacobian: Array, free: Flags) -> Array:
    """R of the QR decomposition of (J | r) with frozen columns zeroed, padded to p + 1 rows."""
    k, m, p = jacobian.shape
    joined = np.zeros((k, max(m, p + 1), p + 1))
    joined[:, :m, :p] = jacobian * free[:, None, :]
    joined[:, :m, p] = value
    return _upper(joined)


def _upper(matrix: Array) -> Array:
    """R of the QR decompositions of stacked matrices."""
    return cast(Array, np.linalg.qr(matrix, mode="r"))


def _norms(triangle: Array) -> Array:
    """Column norms of the Jacobian, 1 where a column is 0."""
    p = triangle.shape[1] - 1
    norms = np.sqrt(np.einsum("kij,kij->kj", triangle[:, :, :p], triangle[:, :, :p]))
    result: Array = np.where(norms > 0, norms, 1.0)
    return result


def _step(triangle: Array, scale: Array, damping: Array) -> Array:
    """Step that minimises |r + J s|² + damping |scale s|²."""
    k, p = scale.shape
    stacked = np.zeros((k, 2 * p + 1, p + 1))
    stacked[:, : p + 1] = triangle
    diagonal = np.arange(p)
    stacked[:, p + 1 + diagonal, diagonal] = np.sqrt(damping)[:, None] * scale
    reduced = _upper(stacked)
    return cast(Array, -np.linalg.solve(reduced[:, :p, :p], reduced[:, :p, p:])[..., 0])


def _advance(state: _State, active: Index, residuals: Residuals, low: Array, high: Array) -> None:
    """One trial step of every active problem."""
    p = state.parameters.shape[1]
    here, triangle = state.parameters[active], state.triangle[active]
    trial = np.clip(here + _step(triangle, state.scale[active], state.damping[active]), low[active], high[active])
    step = trial - here
    linear = np.einsum("kij,kj->ki", triangle[:, :, :p], step) + triangle[:, :, p]
    foreseen = state.rss[active] - np.einsum("ki,ki->k", linear, linear)
    value, jacobian = residuals(trial, active)
    rss = np.einsum("km,km->k", value, value)
    better = np.isfinite(rss) & (rss < state.rss[active]) & np.isfinite(jacobian).all(axis=(1, 2))
    gained = np.where(better, state.rss[active] - rss, 0.0) / np.maximum(foreseen, 1e-300)
    still = (np.abs(step) <= FLAT * (np.abs(here) + FLAT)).all(axis=1)

    taken = active[better]
    if taken.size:
        good, slopes = value[better], jacobian[better]
        state.parameters[taken], state.rss[taken] = trial[better], rss[better]
        state.free[taken] = _free(trial[better], good, slopes, low[taken], high[taken])
        state.triangle[taken] = _triangle(good, slopes, state.free[taken])
        state.scale[taken] = np.maximum(state.scale[taken] * state.memory, _norms(state.triangle[taken]))
        ratio = np.minimum(gained[better], 2.0)
        state.damping[taken] *= np.maximum(1.0 / 3.0, 1.0 - (2.0 * ratio - 1.0) ** 3)
        state.damping[taken] = np.maximum(state.damping[taken], 1e-18)
        state.growth[taken] = 2.0
        _judge(state, taken, value.shape[1])
    refused = active[~better]
    state.damping[refused] *= state.growth[refused]
    state.growth[refused] *= 2.0
    state.converged[active[still]] = True
    state.stopped[active[still]] = True
    state.stopped[refused[state.damping[refused] > _MOST_DAMPING]] = True


def _judge(state: _State, which: Index, m: int) -> None:
    """Stop the problems whose relative offset is small enough."""
    p = state.parameters.shape[1]
    n_free = state.free[which].sum(axis=1)
    tangent = state.triangle[which][:, :p, p]
    # rows of frozen columns belong to the rest of the residual space
    inside = np.einsum("ki,ki->k", np.where(state.free[which], tangent, 0.0), np.where(state.free[which], tangent, 0.0))
    outside = np.maximum(state.rss[which] - inside, 0.0)
    limit = state.offset**2 * outside * np.maximum(n_free, 1) / np.maximum(m - n_free, 1)
    done = which[inside <= limit]
    state.converged[done] = True
    state.stopped[done] = True
