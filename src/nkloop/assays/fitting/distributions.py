"""Quantiles and rank correlation from `scipy.special` alone: `scipy.stats` takes longer to load than a plate to fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtrit

from nkloop.assays.fitting.solver import Array


def t_quantile(p: float, freedom: Any) -> Any:
    """Quantile of Student's t at probability `p`, for one or many degrees of freedom."""
    return stdtrit(freedom, p)


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
