"""The reference effector against its own history: Levey-Jennings distance and the Westgard rules.

Rules over the last results of one control, z in standard deviations of the history (Westgard 1981, Clin Chem 27:493):
1-2s warns (one beyond 2 SD), the others say that the assay has changed: 1-3s one beyond 3 SD; 2-2s two in a row beyond
2 SD on one side; R-4s two in a row more than 4 SD apart, beyond 2 SD on either side; 4-1s four in a row beyond 1 SD on
one side; 10-x ten in a row on one side of the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from nkloop.assays.methods import Method
from nkloop.assays.models import PlateLayout, QualityMeasure, WellLysis
from nkloop.assays.quality.measures import measure

LEAST_HISTORY = 5
"""Earlier plates needed before the reference effector is judged."""
RULES = {
    "1-2s": "one plate beyond 2 SD",
    "1-3s": "one plate beyond 3 SD",
    "2-2s": "two plates in a row beyond 2 SD on one side",
    "R-4s": "two plates in a row on both sides, more than 4 SD apart",
    "4-1s": "four plates in a row beyond 1 SD on one side",
    "10-x": "ten plates in a row on one side of the mean",
}
"""Westgard rules in words."""


@dataclass(frozen=True)
class Control:
    """A new result of a control against its history."""

    mean: float
    """Mean of the earlier results."""
    spread: float
    """Their standard deviation."""
    z: tuple[float, ...]
    """Distances of all results in standard deviations, oldest first, the new one last."""
    broken: tuple[str, ...]
    """Westgard rules the new result breaks."""


def westgard(history: Sequence[float], value: float) -> Control:
    """Judge a value by the results before it, oldest first.

    Mean and standard deviation come from the history alone: a new value must not widen its own limits. Needs at least
    two earlier results with some spread between them; without spread any other value is infinitely far.
    """
    mean, spread = fmean(history), stdev(history)
    z = tuple(_distance(v, mean, spread) for v in (*history, value))
    return Control(mean, spread, z, broken_rules(z))


def broken_rules(z: Sequence[float]) -> tuple[str, ...]:
    """Rules the last of the distances breaks, in the order of `RULES`."""
    last = z[-1]
    side = 1.0 if last > 0 else -1.0
    broken = []
    if abs(last) > 2:
        broken.append("1-2s")
    if abs(last) > 3:
        broken.append("1-3s")
    if len(z) >= 2 and side * last > 2 and side * z[-2] > 2:
        broken.append("2-2s")
    if len(z) >= 2 and side * last > 2 and -side * z[-2] > 2:
        broken.append("R-4s")
    if len(z) >= 4 and all(side * v > 1 for v in z[-4:]):
        broken.append("4-1s")
    if len(z) >= 10 and all(side * v > 0 for v in z[-10:]):
        broken.append("10-x")
    return tuple(broken)


def reference_measures(
    lysis: Sequence[WellLysis], layout: PlateLayout, history: Sequence[float], method: Method
) -> list[QualityMeasure]:
    """Mean lysis of the reference effector against earlier plates; nothing when the plate has no reference."""
    mean = reference_lysis(lysis, layout)
    if mean is None:
        return []
    limit = method.limit("reference_effector")
    borrowed = _borrowed(layout, method)
    if len(history) < LEAST_HISTORY:
        lacking = f"{len(history)} earlier plates, {LEAST_HISTORY} are needed"
        reason = f"reference effector lyses {mean:.0f} %{borrowed}; not judged, {lacking}"
        return [measure("reference_effector", None, limit, "pass", reason)]
    control = westgard(history, mean)
    distance = abs(control.z[-1])
    away = f"{distance:.1f} SD from the {control.mean:.0f} % of earlier plates"
    reason = f"reference effector lyses {mean:.0f} %, {away}{borrowed}"
    found = [measure("reference_effector", distance, limit, limit.judge(distance), reason)]
    alarms = [rule for rule in control.broken if rule != "1-2s"]
    said = "; ".join(f"{rule}: {RULES[rule]}" for rule in alarms)
    found.append(
        QualityMeasure(
            name="westgard",
            value=float(len(alarms)),
            limit="no rule broken",
            source="Westgard 1981, Clin Chem 27:493 [unverified]",
            outcome="flag" if alarms else "pass",
            reason=f"the reference effector breaks {said}"
            if alarms
            else "the reference effector breaks no Westgard rule",
        )
    )
    return found


def _borrowed(layout: PlateLayout, method: Method) -> str:
    """A remark when the signal of effectors alone comes from the arms: other arms, other reference lysis."""
    reference = layout.reference.name if layout.reference is not None else ""
    if not method.terms.effector_only or layout.with_role("effector_only", reference):
        return ""
    return " (it has no effector-only wells and borrows those of the arms)"


def reference_lysis(lysis: Sequence[WellLysis], layout: PlateLayout) -> float | None:
    """Mean lysis (%) of the reference effector on the plate's main line; None without one."""
    if layout.reference is None:
        return None
    wells = [
        w.lysis_percent
        for w in lysis
        if w.sample == layout.reference.name and w.target_line == layout.target_line and not w.treatment
    ]
    return fmean(wells) if wells else None


def _distance(value: float, mean: float, spread: float) -> float:
    if spread > 0:
        return (value - mean) / spread
    return 0.0 if value == mean else float("inf") if value > mean else float("-inf")
