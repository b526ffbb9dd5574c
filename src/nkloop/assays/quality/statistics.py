"""The figures themselves, each from two groups of wells and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median, stdev

MAD_TO_SD = 1.4826
"""Median absolute deviation to standard deviation of a normal distribution, 1 / Φ⁻¹(3/4)."""


def z_prime(high: Sequence[float], low: Sequence[float]) -> float | None:
    """Z' = 1 - 3 (sd_high + sd_low) / |mean_high - mean_low| (Zhang 1999); None when the means are equal."""
    distance = abs(fmean(high) - fmean(low))
    return None if distance == 0 else 1 - 3 * (stdev(high) + stdev(low)) / distance


def robust_z_prime(high: Sequence[float], low: Sequence[float]) -> float | None:
    """Z' with medians and 1.4826 MAD in the place of means and standard deviations; None when the medians are equal."""
    distance = abs(median(high) - median(low))
    return None if distance == 0 else 1 - 3 * (robust_sd(high) + robust_sd(low)) / distance


def ssmd(high: Sequence[float], low: Sequence[float]) -> float | None:
    """Strictly standardised mean difference (mean_high - mean_low) / sqrt(sd_high² + sd_low²); None without spread."""
    spread = (stdev(high) ** 2 + stdev(low) ** 2) ** 0.5
    return None if spread == 0 else (fmean(high) - fmean(low)) / spread


def robust_ssmd(high: Sequence[float], low: Sequence[float]) -> float | None:
    """SSMD with medians and 1.4826 MAD; None without spread."""
    spread = (robust_sd(high) ** 2 + robust_sd(low) ** 2) ** 0.5
    return None if spread == 0 else (median(high) - median(low)) / spread


def robust_sd(values: Sequence[float]) -> float:
    """1.4826 times the median absolute deviation from the median."""
    centre = median(values)
    return MAD_TO_SD * median(abs(value - centre) for value in values)
