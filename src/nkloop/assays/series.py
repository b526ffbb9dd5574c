"""One sample's lysis over true E:T, reduced to replicate means, and the area under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nkloop.errors import AssayError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Replicate means over true E:T, lowest first.

    All replicates at one E:T share one effector-only mean, so their errors are correlated. With equal variance s² of
    experimental and effector-only wells a mean of n wells corrected by c effector-only wells has variance
    s² (1/n + 1/c), and the scatter between the n wells has variance s²: means and scatter together carry all
    information, which is what the fits use.
    """

    ratios: Array
    """True E:T, shape (k,)."""
    means: Array
    """Mean lysis in %, shape (k,)."""
    counts: Array
    """Replicates per mean, shape (k,)."""
    weights: Array
    """1 / (1/n + 1/c), shape (k,)."""
    within: float
    """Sum of squares of the replicates about their means."""

    @classmethod
    def of(cls, ratios: Sequence[float], lysis: Sequence[float], *, effector_replicates: int | None = None) -> Series:
        """Group wells by true E:T; `effector_replicates` is None when no effector-only mean was subtracted.

        Raises:
            AssayError: lengths differ, a value is not finite, an E:T is not positive, or fewer than 2 E:T.
        """
        x, y = np.asarray(ratios, dtype=float), np.asarray(lysis, dtype=float)
        if x.shape != y.shape or x.ndim != 1:
            raise AssayError(f"{x.size} E:T and {y.size} lysis values", remedy="give one lysis value per E:T")
        if not (np.isfinite(x).all() and np.isfinite(y).all()) or (x <= 0).any():
            raise AssayError("E:T or lysis is not a number, or an E:T is not above 0", remedy="leave broken wells out")
        levels, index = np.unique(x, return_inverse=True)
        if levels.size < 2:
            raise AssayError(f"{levels.size} E:T, at least 2 are needed", remedy="test more E:T")
        counts = np.bincount(index).astype(float)
        means = np.bincount(index, weights=y) / counts
        shared = 0.0 if effector_replicates is None else 1.0 / effector_replicates
        within = float(np.sum((y - means[index]) ** 2))
        return cls(levels, means, counts, 1.0 / (1.0 / counts + shared), within)

    @property
    def log_ratios(self) -> Array:
        """log10 of the true E:T."""
        return np.log10(self.ratios)

    @property
    def n_wells(self) -> int:
        """Number of wells behind the means."""
        return int(self.counts.sum())

    @property
    def pure_variance(self) -> float | None:
        """Variance of one well from replicates only; None without replicates."""
        free = self.n_wells - self.ratios.size
        return self.within / free if free > 0 else None


def area_within(series: Series, low: float, high: float) -> float:
    """Area under mean lysis over log10 true E:T between two E:T, over its width and 100 %; linear between the means.

    Samples of different purity cover different true E:T; only areas over one window can be compared.

    Raises:
        AssayError: the window is empty or reaches beyond the tested E:T.
    """
    x, start, end = series.log_ratios, np.log10(low), np.log10(high)
    slack = 1e-9
    if not start < end or start < x[0] - slack or end > x[-1] + slack:
        raise AssayError(
            f"true E:T {low:.3g} to {high:.3g} is not within the tested "
            f"{series.ratios[0]:.3g} to {series.ratios[-1]:.3g}",
            remedy="compare over a window that all samples cover",
        )
    inner = x[(x > start) & (x < end)]
    grid = np.concatenate([[start], inner, [end]])
    return float(np.trapezoid(np.interp(grid, x, series.means), grid) / ((end - start) * 100.0))


def area(series: Series) -> tuple[float, float | None]:
    """Area under mean lysis over log10 true E:T (trapezoids), over its width and 100 %: 0 to 1, and its standard error.

    The standard error carries the scatter of experimental and effector-only wells; the error of the plate's
    spontaneous and maximum controls is common to all samples of the plate and not in it. None without replicates.
    """
    x = series.log_ratios
    steps = np.diff(x)
    share = np.zeros_like(x)
    share[:-1] += steps / 2
    share[1:] += steps / 2
    share /= (x[-1] - x[0]) * 100.0
    variance = series.pure_variance
    error = None if variance is None else float(np.sqrt(np.sum(share**2 / series.weights) * variance))
    return float(share @ series.means), error
