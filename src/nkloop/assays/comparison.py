"""Killing of several samples compared over the true E:T they all cover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nkloop.assays.models import WellLysis
from nkloop.assays.series import Series, area_within
from nkloop.frozen import FrozenModel


class KillingComparison(FrozenModel):
    """Areas under the killing curves over one window."""

    lowest_ratio: float
    """Lowest true E:T that every sample covers."""
    highest_ratio: float
    """Highest true E:T that every sample covers."""
    areas: dict[str, float]
    """Sample to area under lysis over log10 true E:T within the window, 0 to 1."""


def compare_killing(lysis: Iterable[WellLysis]) -> KillingComparison:
    """Areas over the window common to all samples: without it a purer sample gains by its higher true E:T alone.

    Raises:
        AssayError: the samples share no window, or a sample has fewer than two E:T.
    """
    series = {sample: _series(wells) for sample, wells in _by_sample(lysis).items()}
    low = max(float(s.ratios[0]) for s in series.values())
    high = min(float(s.ratios[-1]) for s in series.values())
    areas = {sample: area_within(s, low, high) for sample, s in series.items()}
    return KillingComparison(lowest_ratio=low, highest_ratio=high, areas=areas)


def _by_sample(lysis: Iterable[WellLysis]) -> Mapping[str, Sequence[WellLysis]]:
    grouped: dict[str, list[WellLysis]] = {}
    for well in lysis:
        grouped.setdefault(well.sample, []).append(well)
    return grouped


def _series(wells: Sequence[WellLysis]) -> Series:
    return Series.of([w.true_ratio for w in wells], [w.lysis_percent for w in wells])
