"""Quality of the sample wells: replicates agree, lysis rises with E:T and stays where lysis can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from nkloop.assays.fitting.distributions import rank_correlation
from nkloop.assays.lysis import ControlSignals
from nkloop.assays.methods import Limit, Method
from nkloop.assays.models import LayoutWell, PlateLayout, QualityMeasure, WellLysis
from nkloop.assays.quality.measures import finite, judged, listed

LOW_SIGNAL = 0.25
"""Below this share of the maximum signal replicates may scatter more."""
LEAST_SIGNAL = 0.05
"""Scatter is related to at least this share of the maximum signal: relative to almost nothing it means nothing."""
IMPLAUSIBLE_LYSIS = (-10.0, 110.0)
"""Noise explains lysis a little outside 0 to 100 %, not this far."""
_COMPARED = {"experimental", "reference_effector", "spontaneous", "maximum", "treated_target"}


@dataclass(frozen=True)
class ReplicateGroup:
    """Wells that should read the same."""

    label: str
    wells: tuple[str, ...]
    cv_percent: float
    """Standard deviation over mean of the signal above background."""
    limit: Limit

    @property
    def is_scattered(self) -> bool:
        """True when the coefficient of variation is beyond its limit."""
        return self.limit.judge(self.cv_percent) != "pass"


def replicate_groups(
    layout: PlateLayout, signals: Mapping[str, float], controls: Mapping[str, ControlSignals], method: Method
) -> tuple[ReplicateGroup, ...]:
    """Coefficient of variation of every group of at least two replicates with targets in it."""
    groups: dict[tuple[str, str], list[str]] = {}
    for well in layout.wells:
        line = layout.line_of(well)
        if well.role in _COMPARED and well.well in signals and line in controls:
            groups.setdefault((line, label_of(well, line if len(controls) > 1 else "")), []).append(well.well)
    result = []
    for (line, label), wells in groups.items():
        own = controls[line]
        net = [signals[w] - own.background for w in wells]
        if len(net) < 2 or own.highest <= 0:
            continue
        is_low = fmean(net) < LOW_SIGNAL * own.highest
        limit = method.limit("replicate_cv_low_signal" if is_low else "replicate_cv")
        cv = 100 * stdev(net) / max(fmean(net), LEAST_SIGNAL * own.highest)
        result.append(ReplicateGroup(label, tuple(wells), cv, limit))
    return tuple(result)


def replicate_measure(groups: Sequence[ReplicateGroup], method: Method) -> QualityMeasure:
    """Worst replicate group against its limit."""
    limit, low = method.limit("replicate_cv"), method.limit("replicate_cv_low_signal")
    bad = [g for g in groups if g.is_scattered]
    worst = max(bad or groups, key=lambda g: g.cv_percent, default=None)
    if worst is None:
        value, reason = None, "no replicates, scatter is not known"
    elif bad:
        value = worst.cv_percent
        reason = f"{len(bad)} of {len(groups)} replicate groups scatter too much, most {worst.label} with {value:.0f} %"
    else:
        value = worst.cv_percent
        reason = f"replicates agree, the worst group is {worst.label} with {value:.0f} %"
    return QualityMeasure(
        name="replicate_cv",
        value=finite(value),
        limit=f"{limit.text} ({low.text} below {100 * LOW_SIGNAL:.0f} % of the maximum)",
        source=limit.origin,
        outcome="flag" if bad or worst is None else "pass",
        reason=reason,
    )


def lysis_measures(layout: PlateLayout, lysis: Sequence[WellLysis], method: Method) -> list[QualityMeasure]:
    """Lysis rises with E:T in every series of at least three E:T; no lysis far outside 0 to 100 %."""
    low, high = IMPLAUSIBLE_LYSIS
    outside = [w.well for w in lysis if not low <= w.lysis_percent <= high]
    names = f" ({listed(outside)})" if outside else ""
    found = [
        judged(
            method.limit("lysis_range"),
            float(len(outside)),
            f"{{value:.0f}} wells lie outside {low:g} to {high:g} % lysis{names}",
        )
    ]
    rho = {}
    for sample in (s.name for s in layout.samples):
        for line in layout.lines:
            wells = [w for w in lysis if w.sample == sample and w.target_line == line and not w.treatment]
            if len({w.nominal_ratio for w in wells}) >= 3:
                rho[sample if len(layout.lines) == 1 else f"{sample} on {line}"] = spearman(wells)
    if rho:
        found.insert(0, _monotonicity(rho, method.limit("monotonicity")))
    return found


def _monotonicity(rho: Mapping[str, float], limit: Limit) -> QualityMeasure:
    worst = min(rho, key=lambda name: rho[name])
    rises = rho[worst] > limit.good
    return QualityMeasure(
        name="monotonicity",
        value=rho[worst],
        limit=f"above {limit.good:g}",
        source=limit.origin,
        outcome="pass" if rises else "flag",
        reason=f"lysis {'rises' if rises else 'does not rise'} with E:T, least in {worst} (Spearman {rho[worst]:.2f})",
    )


def spearman(wells: Sequence[WellLysis]) -> float:
    """Rank correlation of lysis with true E:T; 0 when lysis is constant."""
    values = [w.lysis_percent for w in wells]
    if len(set(values)) < 2:
        return 0.0
    return rank_correlation(np.array([w.true_ratio for w in wells]), np.array(values))


def label_of(well: LayoutWell, line: str = "") -> str:
    """What a group of wells is called: sample and E:T, treatment and dose, or the role."""
    parts = [well.role.replace("_", " ") if well.sample is None else f"{well.sample} at {well.nominal_ratio or 0:g}:1"]
    if well.treatment:
        parts.append(f"with {well.treatment}" + (f" {well.dose:g}" if well.dose is not None else ""))
    if line:
        parts.append(f"on {line}")
    return " ".join(parts)
