"""Quantiles and rank correlation without scipy, which takes longer to load than a plate takes to fit."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from nkloop.assays.fitting.solver import Array

_STEPS = 100
"""More than ever needed: the quantile is found in four steps, the fraction ends after some thirty terms."""
_NEAR = 4e-16


def t_quantile(p: float, freedom: Any) -> Any:
    """Quantile of Student's t at probability `p`, for one or many degrees of freedom of at least 1; nan for fewer."""
    asked = np.asarray(freedom, float)
    found = [_t_quantile(p, n) for n in asked.ravel().tolist()]
    return np.array(found).reshape(asked.shape)


@lru_cache(maxsize=1024)
def _t_quantile(p: float, n: float) -> float:
    """Expansion about the normal quantile (Cornish-Fisher), then Halley's steps on the tail's area."""
    if not n > 0:
        return math.nan
    if p <= 0.5:
        return 0.0 if p == 0.5 else -_t_quantile(1 - p, n)
    if n == 1:
        return math.tan(math.pi * (p - 0.5))
    z = NormalDist().inv_cdf(p)
    t = z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    scale = math.exp(math.lgamma((n + 1) / 2) - math.lgamma(n / 2)) / math.sqrt(n * math.pi)
    for _ in range(_STEPS):
        density = scale * (1 + t * t / n) ** (-(n + 1) / 2)
        step = (_t_above(t, n) - (1 - p)) / density
        step /= 1 + step * t * (n + 1) / (2 * (n + t * t))
        t += step
        if abs(step) <= _NEAR * t:
            break
    return t


def _t_above(t: float, n: float) -> float:
    """Probability of more than a positive `t`."""
    return 0.5 * _beta_share(n / 2, 0.5, n / (n + t * t))


def _beta_share(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function by its continued fraction (Lentz's method)."""
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(b, a, 1 - x)
    whole = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(whole + a * math.log(x) + b * math.log1p(-x)) / a
    upper, lower = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = lower
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            lower, upper = 1 / (1 + term * lower), 1 + term / upper
            fraction *= lower * upper
        if abs(lower * upper - 1) <= _NEAR:
            break
    return front * fraction


def rank_correlation(x: Array, y: Array) -> float:
    """Spearman's rank correlation, ties at their mean rank; not a number where one side does not vary."""
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else float("nan")


def _ranks(values: Array) -> Array:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    result: Array = (ends - (counts - 1) / 2)[which]
    return result
