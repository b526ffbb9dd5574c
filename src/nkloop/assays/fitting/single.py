"""One problem with any model, by the solver the curves use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nkloop.assays.fitting.solver import Array, Index, solve

Function = Callable[[NDArray[np.complex128]], NDArray[np.complex128]]
"""Model values at given parameters; made of operations that continue into the complex plane."""
_TINY = 1e-150
_WAYS = ((1e-3, 0.5), (0.1, 0.0), (1.0, 0.0))
"""First damping and memory of the scale: far from the solution no single pair finds the way on every surface."""


@dataclass(frozen=True)
class Fit:
    """Estimates of one problem."""

    parameters: Array
    standard_errors: Array
    """From the curvature at the solution; not a number where the data do not determine a parameter."""
    rss: float
    freedom: int
    converged: bool


def fit_function(
    function: Function,
    y: Sequence[float] | Array,
    start: Sequence[float] | Array,
    *,
    weights: Array | None = None,
    low: Array | None = None,
    high: Array | None = None,
    most_iterations: int = 5000,
) -> Fit:
    """Fit `function(parameters)` to `y` by weighted least squares.

    The best of three ways of damping counts: a start far away can lead one of them into a flat region. Derivatives are
    complex steps (Squire & Trapp 1998), exact to rounding for any model of smooth elementary functions.
    """
    observed = np.asarray(y, dtype=float)
    root = np.ones_like(observed) if weights is None else np.sqrt(weights)

    def residuals(parameters: Array, which: Index) -> tuple[Array, Array]:
        del which
        base = parameters[0].astype(complex)
        columns = []
        with np.errstate(all="ignore"):
            for j in range(base.size):
                moved = base.copy()
                moved[j] += 1j * _TINY
                columns.append(np.imag(function(moved)) / _TINY)
            value = np.real(function(base)) - observed
        return (root * value)[None], (root[:, None] * np.column_stack(columns))[None]

    first = np.asarray(start, dtype=float)[None]
    tried = [
        solve(
            residuals, first, low=low, high=high, most_iterations=most_iterations, first_damping=damping, memory=memory
        )
        for damping, memory in _WAYS
    ]
    solution = min(tried, key=lambda found: (float(found.rss[0]), not found.converged[0]))
    freedom = observed.size - int(solution.free[0].sum())
    covariance, _ = solution.unscaled_covariance()
    rss = float(solution.rss[0])
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.diagonal(covariance[0]) * rss / max(freedom, 1))
    return Fit(solution.parameters[0], errors, rss, freedom, bool(solution.converged[0]))
