"""Starting points: a grid of EC50 and slope on which the plateaus are solved in closed form."""

from __future__ import annotations

import numpy as np

from nkloop.assays.fitting.data import CurveData, Request
from nkloop.assays.fitting.logistic import ASYMMETRY, BOTTOM, TOP, ZERO_DOSE
from nkloop.assays.fitting.solver import Array

_MIDDLES = 24
_BANDS = (np.array([0.3, 0.6]), np.array([1.0, 1.6]), np.array([2.7, 5.0]))
"""Slopes of the grid, gentle, usual and steep: the best of each band is a start."""


def starts(data: CurveData, request: Request) -> tuple[Array, Array]:
    """Starting points (n, 3, 5), and their weighted residual sums of squares (n, 3), best first."""
    n = len(data.response)
    points, sums = np.empty((n, len(_BANDS), 5)), np.full((n, len(_BANDS)), np.inf)
    layouts, member = np.unique(data.log_dose, axis=0, return_inverse=True)
    for number, log_dose in enumerate(layouts):
        mine = np.flatnonzero(member == number)
        part = data.take(mine)
        for band, slopes in enumerate(_BANDS):
            points[mine, band], sums[mine, band] = _best(part, log_dose, slopes, request)
    order = np.argsort(sums, axis=1)
    return np.take_along_axis(points, order[..., None], axis=1), np.take_along_axis(sums, order, axis=1)


def _best(data: CurveData, log_dose: Array, slopes: Array, request: Request) -> tuple[Array, Array]:
    above = log_dose[log_dose > ZERO_DOSE]
    middles = np.linspace(above.min() - 0.5, above.max() + 0.5, _MIDDLES)
    fixed = request.fixed()
    middles = np.array([fixed["log10_ec50"]]) if "log10_ec50" in fixed else middles
    n = len(data.response)
    best, least = np.zeros((n, 5)), np.full(n, np.inf)
    # with both plateaus free a falling curve is a rising one with the plateaus swapped: one search serves both
    swaps = {"bottom", "top"}.isdisjoint(request.bounds) and "bottom" not in fixed and len(request.directions()) == 2
    for direction in request.directions()[: 1 if swaps else 2]:
        steep = np.array([abs(fixed["slope"])]) if "slope" in fixed else slopes
        middle, slope = (grid.ravel() for grid in np.meshgrid(middles, steep))
        low, high = request.limits(data, np.full(n, float(direction)))
        exponent = np.clip(direction * slope[:, None] * (middle[:, None] - log_dose), -250, 250)
        bottom, top, rss = _plateaus(1.0 / (1.0 + 10.0**exponent), data, low[:, [BOTTOM, TOP]], high[:, [BOTTOM, TOP]])
        rss = np.where((top > bottom) | swaps, rss, np.inf)
        at = np.argmin(rss, axis=1)
        rows = np.arange(n)
        found = np.column_stack([bottom[rows, at], top[rows, at], middle[at], direction * slope[at], np.ones(n)])
        found[:, ASYMMETRY] = fixed.get("asymmetry", 1.0)
        swapped = found[:, BOTTOM] > found[:, TOP]
        found[swapped] = found[swapped][:, [TOP, BOTTOM, 2, 3, 4]] * np.array([1.0, 1.0, 1.0, -1.0, 1.0])
        better = rss[rows, at] < least
        best[better], least[better] = found[better], rss[rows, at][better]
    return best, least


def _plateaus(share: Array, data: CurveData, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Least-squares bottom and top within their bounds at every grid point, and the sum of squares, shape (n, grid)."""
    rest, w, y = 1.0 - share, data.weights, data.response
    weighted = w * y
    shared = bool((w == w[:1]).all())
    squares = w[:1] if shared else w
    aa, ab, bb = squares @ (rest * rest).T, squares @ (rest * share).T, squares @ (share * share).T
    ay, by = weighted @ rest.T, weighted @ share.T
    determinant = np.maximum(aa * bb - ab * ab, 1e-12 * aa * bb + 1e-300)
    bottom = np.clip((bb * ay - ab * by) / determinant, low[:, :1], high[:, :1])
    top = np.clip((by - ab * bottom) / np.maximum(bb, 1e-300), low[:, 1:], high[:, 1:])
    # |y - b rest - t share|² expanded, so that no (n, grid, m) array is needed
    total = np.einsum("nm,nm->n", weighted, y)[:, None]
    rss = total + bottom * (bottom * aa + 2 * top * ab - 2 * ay) + top * (top * bb - 2 * by)
    return bottom, top, np.maximum(rss, 0.0)
