"""Plate quality: each figure with its limit, where the limit comes from, and a sentence a person understands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from nkloop.assays.lysis import ControlSignals
from nkloop.assays.methods import Limit, Method
from nkloop.assays.models import LayoutWell, PlateLayout, QualityMeasure, WellLysis

LOW_SIGNAL = 0.25
"""Below this share of the maximum signal replicates may scatter more."""
LEAST_SIGNAL = 0.05
"""Scatter is related to at least this share of the maximum signal: relative to almost nothing it means nothing."""
IMPLAUSIBLE_LYSIS = (-10.0, 110.0)
"""Noise explains lysis a little outside 0 to 100 %, not this far."""
LEAST_HISTORY = 5
"""Earlier plates needed before the reference effector is judged."""


def z_prime(high: Sequence[float], low: Sequence[float]) -> float | None:
    """Z' = 1 - 3 (sd_high + sd_low) / |mean_high - mean_low| (Zhang 1999); None when the means are equal."""
    distance = abs(fmean(high) - fmean(low))
    return None if distance == 0 else 1 - 3 * (stdev(high) + stdev(low)) / distance


def ssmd(high: Sequence[float], low: Sequence[float]) -> float | None:
    """Strictly standardised mean difference (mean_high - mean_low) / sqrt(sd_high² + sd_low²); None without spread."""
    spread = (stdev(high) ** 2 + stdev(low) ** 2) ** 0.5
    return None if spread == 0 else (fmean(high) - fmean(low)) / spread


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
    layout: PlateLayout, signals: Mapping[str, float], controls: ControlSignals, method: Method
) -> tuple[ReplicateGroup, ...]:
    """Coefficient of variation of every group of at least two replicates with targets in it."""
    groups: dict[str, list[str]] = {}
    for well in layout.wells:
        if well.role in {"experimental", "reference_effector", "spontaneous", "maximum"}:
            groups.setdefault(_label(well), []).append(well.well)
    result = []
    for label, wells in groups.items():
        net = [signals[w] - controls.background for w in wells]
        if len(net) < 2:
            continue
        is_low = fmean(net) < LOW_SIGNAL * controls.net_maximum
        limit = method.limit("replicate_cv_low_signal" if is_low else "replicate_cv")
        cv = 100 * stdev(net) / max(fmean(net), LEAST_SIGNAL * controls.net_maximum)
        result.append(ReplicateGroup(label, tuple(wells), cv, limit))
    return tuple(result)


def control_measures(
    layout: PlateLayout, signals: Mapping[str, float], controls: ControlSignals, method: Method
) -> list[QualityMeasure]:
    """Signal window, Z', SSMD, spontaneous over maximum, contact time."""
    high = [signals[w.well] for w in layout.with_role("maximum")]
    low = [signals[w.well] for w in layout.with_role("spontaneous")]
    return [
        _window(controls, "OD" if method.read.mode == "absorbance" else "signal units"),
        _judged(method.limit("z_prime"), z_prime(high, low), "Z' of maximum against spontaneous is {value:.2f}"),
        _judged(
            method.limit("ssmd"),
            ssmd(high, low),
            "maximum and spontaneous wells are {value:.1f} standard deviations apart (SSMD)",
            missing="pass",
        ),
        _leakage(controls, method.limit("spontaneous_to_maximum")),
        _contact_time(layout, method),
    ]


def saturation_measure(layout: PlateLayout, saturated: Collection[str], nonlinear: Collection[str]) -> QualityMeasure:
    """Saturated or non-linear wells; a saturated maximum makes every lysis value too high."""
    read = [w for w in layout.wells if w.role not in {"medium_ring", "empty"}]
    full = [w for w in read if w.well in saturated]
    over = [w for w in read if w.well in nonlinear and w.well not in saturated]
    names = ", ".join(w.well for w in (*full, *over))
    if any(w.role == "maximum" for w in full):
        outcome, reason = (
            "reject",
            f"the reader is saturated in maximum wells ({names}), so all lysis values are too high",
        )
    elif full or over:
        outcome, reason = "flag", f"signals saturated or beyond the linear range in {names}"
    else:
        outcome, reason = "pass", "no well is saturated or beyond the linear range"
    return QualityMeasure.model_validate(
        {
            "name": "saturation",
            "value": len(full) + len(over),
            "limit": "no well; rejected when a maximum well is saturated",
            "source": "reader range; linear range of the method [unverified]",
            "outcome": outcome,
            "reason": reason,
        }
    )


def replicate_measure(groups: Sequence[ReplicateGroup], method: Method) -> QualityMeasure:
    """Worst replicate group against its limit."""
    limit, low = method.limit("replicate_cv"), method.limit("replicate_cv_low_signal")
    text = f"{limit.text} ({low.text} below {100 * LOW_SIGNAL:.0f} % of the maximum)"
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
        value=_finite(value),
        limit=text,
        source=limit.source,
        outcome="flag" if bad or worst is None else "pass",
        reason=reason,
    )


def lysis_measures(layout: PlateLayout, lysis: Sequence[WellLysis], method: Method) -> list[QualityMeasure]:
    """Lysis rises with E:T in every sample; no lysis far outside 0 to 100 %."""
    rho = {s.name: spearman([w for w in lysis if w.sample == s.name]) for s in layout.samples}
    worst = min(rho, key=lambda name: rho[name])
    limit = method.limit("monotonicity")
    rises = rho[worst] > limit.good
    low, high = IMPLAUSIBLE_LYSIS
    outside = [w.well for w in lysis if not low <= w.lysis_percent <= high]
    listed = f" ({', '.join(outside[:8])})" if outside else ""
    reason = f"lysis {'rises' if rises else 'does not rise'} with E:T, least in {worst} (Spearman {rho[worst]:.2f})"
    return [
        QualityMeasure(
            name="monotonicity",
            value=rho[worst],
            limit=f"above {limit.good:g}",
            source=limit.source,
            outcome="pass" if rises else "flag",
            reason=reason,
        ),
        _judged(
            method.limit("lysis_range"),
            float(len(outside)),
            f"{{value:.0f}} wells lie outside {low:g} to {high:g} % lysis{listed}",
        ),
    ]


def reference_measure(
    lysis: Sequence[WellLysis], layout: PlateLayout, history: Sequence[float], method: Method
) -> QualityMeasure | None:
    """Mean lysis of the reference effector against earlier plates; None when the plate has no reference."""
    if layout.reference is None:
        return None
    wells = [w.lysis_percent for w in lysis if w.sample == layout.reference.name]
    if not wells:
        return None
    mean, limit = fmean(wells), method.limit("reference_effector")
    if len(history) < LEAST_HISTORY:
        lacking = f"{len(history)} earlier plates, {LEAST_HISTORY} are needed"
        reason = f"reference effector lyses {mean:.0f} %; not judged, {lacking}"
        return _measure("reference_effector", None, limit, "pass", reason)
    spread, centre = stdev(history), fmean(history)
    distance = abs(mean - centre) / spread if spread > 0 else (0.0 if mean == centre else float("inf"))
    reason = f"reference effector lyses {mean:.0f} %, {distance:.1f} SD from the {centre:.0f} % of earlier plates"
    return _measure("reference_effector", distance, limit, limit.judge(distance), reason)


def spearman(wells: Sequence[WellLysis]) -> float:
    """Rank correlation of lysis with true E:T; 0 when lysis is constant."""
    from scipy.stats import spearmanr

    values = [w.lysis_percent for w in wells]
    if len(set(values)) < 2:
        return 0.0
    return float(spearmanr([w.true_ratio for w in wells], values).statistic)


def verdict_of(quality: Sequence[QualityMeasure]) -> tuple[str, tuple[str, ...]]:
    """`rejected` when any figure rejects, `flagged` when any flags, else `accepted`; with the reasons, worst first."""
    rejecting = tuple(m.reason for m in quality if m.outcome == "reject")
    flagging = tuple(m.reason for m in quality if m.outcome == "flag")
    verdict = "rejected" if rejecting else "flagged" if flagging else "accepted"
    return verdict, rejecting + flagging


def _window(controls: ControlSignals, unit: str) -> QualityMeasure:
    is_open = controls.window > 0
    reason = (
        f"lysed and untreated targets are {controls.window:.3g} {unit} apart"
        if is_open
        else f"lysed targets do not read above untreated ones ({controls.window:.3g}): no lysis can be computed; "
        "controls swapped, wrong filter, or no targets"
    )
    return QualityMeasure(
        name="signal_window",
        value=controls.window,
        limit="above 0",
        source="definition of lysis",
        outcome="pass" if is_open else "reject",
        reason=reason,
    )


def _leakage(controls: ControlSignals, limit: Limit) -> QualityMeasure:
    share = 100 * controls.net_spontaneous / controls.net_maximum if controls.net_maximum > 0 else None
    if share is not None and share < 0:
        reason = "medium reads above untreated targets; background and spontaneous wells may be swapped"
        return _measure(limit.name, share, limit, "flag", reason)
    return _judged(limit, share, "untreated targets leak {value:.0f} % of what lysed targets release")


def _contact_time(layout: PlateLayout, method: Method) -> QualityMeasure:
    window = method.contact
    inside = window.low_minutes <= layout.contact_minutes <= window.high_minutes
    return QualityMeasure(
        name="contact_time",
        value=layout.contact_minutes,
        limit=f"{window.low_minutes:g} to {window.high_minutes:g} min",
        source=window.source,
        outcome="pass" if inside else "flag",
        reason=f"{layout.contact_minutes:g} min of contact" + ("" if inside else f"; {window.reason}"),
    )


def _judged(limit: Limit, value: float | None, sentence: str, *, missing: str = "reject") -> QualityMeasure:
    if value is None:
        why = "the controls have no spread" if missing == "pass" else "the controls do not differ"
        words = f"{limit.name.replace('_', ' ')} is not defined: {why}"
        return _measure(limit.name, None, limit, missing, words)
    outcome = limit.judge(value)
    reason = sentence.format(value=value)
    return _measure(limit.name, value, limit, outcome, reason if outcome == "pass" else f"{reason}, limit {limit.text}")


def _measure(name: str, value: float | None, limit: Limit, outcome: str, reason: str) -> QualityMeasure:
    return QualityMeasure.model_validate(
        {
            "name": name,
            "value": _finite(value),
            "limit": limit.text,
            "source": limit.source,
            "outcome": outcome,
            "reason": reason,
        }
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or value in (float("inf"), float("-inf")) else value


def _label(well: LayoutWell) -> str:
    if well.sample is None:
        return well.role
    return f"{well.sample} at {well.nominal_ratio:g}:1"
