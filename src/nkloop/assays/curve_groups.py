"""Several curves of one file: each alone, models against each other, and arms with shared parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nkloop.assays.curve_models import ModelComparison
from nkloop.assays.curve_report import Points
from nkloop.assays.fitting.batch import BatchFit, fit_batch
from nkloop.assays.fitting.data import CurveData, Request
from nkloop.assays.fitting.logistic import ANCHOR, NAMES, ModelName, logistic
from nkloop.assays.fitting.selection import compare
from nkloop.assays.fitting.solver import Array, Index, solve

LARGER: dict[str, ModelName] = {"3pl": "4pl", "4pl": "5pl"}


def compare_models(points: Points, request: Request) -> tuple[ModelComparison, ...]:
    """The asked model against the next larger and the next smaller one on the same points."""
    pairs = [(small, large) for small, large in LARGER.items() if request.model in {small, large}]
    made = []
    for small, large in pairs:
        fits = [_fit(points, Request(model, request.bounds)) for model in (small, large)]  # type: ignore[arg-type]
        counts = (fits[0].request.n_free(), fits[1].request.n_free())
        if counts[0] < counts[1] < points.dose.size and np.unique(points.dose).size > counts[1]:
            rss = (float(fits[0].rss[0]), float(fits[1].rss[0]))
            made.append(compare(small, large, rss, counts, points.dose.size))
    return tuple(made)


def compare_arms(arms: Sequence[Points], request: Request) -> tuple[ModelComparison, ...]:
    """Separate curves per arm against parallel curves (only the EC50 differs) and against one curve for all."""
    separate = [_fit(arm, request) for arm in arms]
    n = sum(arm.dose.size for arm in arms)
    free = request.n_free()
    rss = sum(float(fit.rss[0]) for fit in separate)
    parallel = _shared(arms, separate, request, own=(ANCHOR,) if "log10_ec50" not in request.fixed() else ())
    same = _shared(arms, separate, request, own=())
    parallel_free = free - 1 + len(arms) if "log10_ec50" not in request.fixed() else free
    # the nested minimum can only be larger; a smaller one is rounding or a better start
    rss, parallel = min(rss, parallel), min(parallel, same)
    return (
        compare("parallel curves", "separate curves", (parallel, rss), (parallel_free, free * len(arms)), n),
        compare("one curve", "parallel curves", (same, parallel), (free, parallel_free), n),
    )


def _fit(points: Points, request: Request) -> BatchFit:
    return fit_batch(CurveData.of(points.dose, points.response, points.weights), request)


def _shared(arms: Sequence[Points], separate: Sequence[BatchFit], request: Request, *, own: Sequence[int]) -> float:
    """Residual sum of squares of one curve for all arms, the parameters `own` apart."""
    k, p = len(arms), len(NAMES)
    place = np.tile(np.arange(p), (k, 1))
    for number, j in enumerate(own):
        place[:, j] = p * (number + 1) + np.arange(k)
    used, place = np.unique(place, return_inverse=True)
    place = place.reshape(k, p)
    data = [CurveData.of(arm.dose, arm.response, arm.weights) for arm in arms]
    size = len(used)

    def residuals(parameters: Array, which: Index) -> tuple[Array, Array]:
        values, slopes = [], []
        for arm, part in zip(place, data, strict=True):
            n = len(which)
            value, slope = logistic(parameters[:, arm], np.repeat(part.log_dose, n, axis=0))
            root = np.sqrt(part.weights)
            wide = np.zeros((n, part.response.shape[1], size))
            wide[:, :, arm] = root[..., None] * slope
            values.append(root * (value - part.response))
            slopes.append(wide)
        return np.concatenate(values, axis=1), np.concatenate(slopes, axis=1)

    each = np.array([fit.parameters[0] for fit in separate])
    low, high = np.full(size, -np.inf), np.full(size, np.inf)
    for arm, fit in zip(place, separate, strict=True):
        low[arm] = np.maximum(np.where(np.isfinite(low[arm]), low[arm], fit.low[0]), fit.low[0])
        high[arm] = np.minimum(np.where(np.isfinite(high[arm]), high[arm], fit.high[0]), fit.high[0])
    low = np.minimum(low, high)
    firsts = []
    for shared in (each.mean(axis=0), np.median(each, axis=0), *each):
        first = np.zeros(size)
        for arm, mine in zip(place, each, strict=True):
            first[arm] = shared
            for j in own:
                first[arm[j]] = mine[j]
        firsts.append(first)
    starts = np.array(firsts)
    return float(solve(residuals, starts, low=low, high=high).rss.min())


def of_table(rows: Sequence[tuple[str, float, float, float]], weighting: str) -> tuple[Points, ...]:
    """Points per group from (group, x, y, weight) rows, groups in the order they appear."""
    groups = dict.fromkeys(row[0] for row in rows)
    return tuple(
        Points(
            np.array([r[1] for r in rows if r[0] == group]),
            np.array([r[2] for r in rows if r[0] == group]),
            np.array([r[3] for r in rows if r[0] == group]),
            weighting,
            group,
        )
        for group in groups
    )
