"""Confidence limits of a ratio (Fieller 1940, 1954)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """A ratio with its limits; None where the denominator is too uncertain (g at 1 or above)."""

    estimate: float
    """Not a number where the denominator is 0."""
    low: float | None
    high: float | None
    g: float


def ratio(top: float, bottom: float, variance_top: float, variance_bottom: float, covariance: float, t: float) -> Ratio:
    """`top / bottom` of two normal estimates with limits at Student quantile `t`.

    g = t² Var(bottom) / bottom²; in Ph. Eur. 5.3 the same stands as C = 1 / (1 - g).
    """
    if bottom == 0:
        return Ratio(math.nan, None, None, math.inf)
    value = top / bottom
    g = t * t * variance_bottom / (bottom * bottom)
    if g >= 1:
        return Ratio(value, None, None, g)
    correction = covariance / variance_bottom if variance_bottom > 0 else 0.0
    inside = variance_top - 2 * value * covariance + value**2 * variance_bottom
    inside -= g * (variance_top - covariance * correction)
    half = t / abs(bottom) * math.sqrt(max(inside, 0.0))
    centre = value - g * correction
    return Ratio(value, (centre - half) / (1 - g), (centre + half) / (1 - g), g)
