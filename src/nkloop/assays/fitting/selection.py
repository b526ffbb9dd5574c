"""Comparing models on the same points: AICc and the extra-sum-of-squares F test."""

from __future__ import annotations

import numpy as np
from scipy.stats import f as fisher

from nkloop.assays.curve_models import ModelComparison
from nkloop.assays.fitting.solver import Array


def aicc(rss: float, n: int, n_parameters: int, weights: Array | None = None) -> float | None:
    """Akaike's criterion corrected for small samples (Hurvich & Tsai 1989), the variance counted as a parameter.

    n log(rss / n) + 2 k + 2 k (k + 1) / (n - k - 1) with k = parameters + 1, less the sum of log weights, so that fits
    with different weights of the same points compare. None when n - k - 1 is not above 0 or nothing is left over.
    """
    k = n_parameters + 1
    if n - k - 1 <= 0 or rss <= 0:
        return None
    known = 0.0 if weights is None else float(np.sum(np.log(weights)))
    return float(n * np.log(rss / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)) - known


def compare(simple: str, full: str, rss: tuple[float, float], n_parameters: tuple[int, int], n: int) -> ModelComparison:
    """The simple model against the one that contains it; each pair is (simple, full)."""
    freedom = (n - n_parameters[0], n - n_parameters[1])
    f = p = None
    if freedom[1] > 0 and rss[1] > 0 and freedom[0] > freedom[1]:
        f = max((rss[0] - rss[1]) / (freedom[0] - freedom[1]) / (rss[1] / freedom[1]), 0.0)
        p = float(fisher.sf(f, freedom[0] - freedom[1], freedom[1]))
    a, b = aicc(rss[0], n, n_parameters[0]), aicc(rss[1], n, n_parameters[1])
    preferred = simple if b is None or (a is not None and a <= b) else full
    return ModelComparison(
        simple=simple,
        full=full,
        rss_simple=rss[0],
        rss_full=rss[1],
        freedom_simple=freedom[0],
        freedom_full=freedom[1],
        f=f,
        p=p,
        aicc_simple=a,
        aicc_full=b,
        preferred=preferred,
    )
