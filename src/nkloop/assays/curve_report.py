"""One dose-response curve from its points: model, intervals, effect doses, and a verdict where no number is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import f as fisher
from scipy.stats import t as student

from nkloop.assays.curve_models import CurveParameter, CurveResult, EffectDose
from nkloop.assays.fitting.batch import BatchFit, fit_batch
from nkloop.assays.fitting.data import CurveData, Request
from nkloop.assays.fitting.effect_dose import LyticUnits, effect_dose
from nkloop.assays.fitting.logistic import NAMES, SLOPE, Level, logistic
from nkloop.assays.fitting.profile import profile_interval
from nkloop.assays.fitting.selection import aicc
from nkloop.assays.fitting.solver import Array
from nkloop.errors import AssayError

GRID_POINTS = 80
NO_EFFECT_P = 0.05
"""A curve that explains no more than chance would (F test against a constant) has no EC50."""
OUTLIER_P = 0.001
"""Bonferroni-corrected probability of a residual below which its point is named."""


@dataclass(frozen=True)
class Points:
    """The measurements of one curve."""

    dose: Array
    response: Array
    weights: Array
    weighting: str = "none"
    group: str = ""


def analyse_curve(
    points: Points,
    request: Request | None = None,
    *,
    levels: Sequence[Level] = (),
    lytic: LyticUnits | None = None,
) -> CurveResult:
    """Fit one curve and say what it shows; EC50 and other levels are never extrapolated.

    Raises:
        AssayError: a dose is negative, or a number is not finite.
    """
    asked = request or Request()
    _check(points)
    base: dict[str, Any] = {
        "group": points.group,
        "model": asked.model,
        "weights": points.weighting,
        "n": points.dose.size,
    }
    base |= _area(points)
    base["points"] = tuple(zip(points.dose.tolist(), points.response.tolist(), strict=True))
    refused = _refusal(points, asked)
    if refused:
        return CurveResult(**base, verdict="not determined", determined=False, reasons=(refused,))
    fit = fit_batch(CurveData.of(points.dose, points.response, points.weights), asked)
    half = effect_dose(fit, Level(), lytic=None)
    flat = _flat(points, fit)
    if flat:
        half = EffectDose(level=50, of="effect", determined=False, text="not determined", reason=flat)
    asked_for = tuple(_withheld(effect_dose(fit, level, lytic=lytic), flat) for level in levels)
    flags = _flags(points, fit)
    determined = half.determined
    verdict = "not determined" if not determined else "flagged" if flags else "determined"
    reasons = tuple(r for r in (half.reason, *flags) if r)
    return CurveResult(
        **base,
        verdict=verdict,
        determined=determined,
        reasons=reasons,
        direction="rising" if fit.parameters[0, SLOPE] > 0 else "falling",
        parameters=parameters_of(fit, points.group, flat, half),
        ec50=half.estimate,
        ec50_low=half.ci_low,
        ec50_high=half.ci_high,
        ec50_text=half.text,
        levels=asked_for,
        **_goodness(points, fit),
        grid=() if flat else _grid(fit),
    )


def _withheld(dose: EffectDose, flat: str) -> EffectDose:
    if not flat:
        return dose
    return EffectDose(level=dose.level, of=dose.of, determined=False, text="not determined", reason=flat)


def _check(points: Points) -> None:
    if not (np.isfinite(points.dose).all() and np.isfinite(points.response).all()):
        raise AssayError("a dose or a response is not a finite number", remedy="leave broken wells out")
    if (points.dose < 0).any():
        raise AssayError(f"dose {points.dose.min():g} is negative", remedy="a dose is 0 (control) or above")


def _refusal(points: Points, request: Request) -> str:
    """Why no curve can be fitted, or nothing."""
    above = np.unique(points.dose[points.dose > 0])
    levels = np.unique(points.dose)
    needed = request.n_free() + 1
    if above.size < 3 or levels.size < needed:
        said = f"{levels.size} doses, {above.size} of them above 0"
        return f"{said}: {request.model.upper()} with {request.n_free()} free parameters needs {needed}, 3 above 0"
    if np.ptp(points.response) <= 1e-12 * np.abs(points.response).max():
        return f"all {points.response.size} responses are {points.response[0]:g}: nothing changes with dose"
    return ""


def _flat(points: Points, fit: BatchFit) -> str:
    """Whether a constant explains the responses as well as the curve does."""
    w = points.weights
    constant = float(np.sum(w * (points.response - np.average(points.response, weights=w)) ** 2))
    more, freedom, rss = fit.request.n_free() - 1, int(fit.freedom[0]), float(fit.rss[0])
    if freedom < 1 or more < 1 or rss <= 1e-20 * constant:
        return ""
    value = (constant - rss) / more / (rss / freedom)
    p = float(fisher.sf(max(value, 0.0), more, freedom))
    if p <= NO_EFFECT_P:
        return ""
    return f"the responses do not change with dose beyond their scatter (F {value:.2f}, p {p:.2f})"


def _flags(points: Points, fit: BatchFit) -> tuple[str, ...]:
    return tuple(text for text in (_outlier(points, fit), _misfit_text(points, fit), _bound_text(fit)) if text)


def _outlier(points: Points, fit: BatchFit) -> str:
    """The point whose externally studentised residual is beyond chance."""
    log_dose = CurveData.of(points.dose, points.response).log_dose
    value, slopes = logistic(fit.parameters, log_dose)
    root = np.sqrt(points.weights)
    residual = root * (points.response - value[0])
    moved = root[:, None] * slopes[0] @ np.nan_to_num(fit.covariance[0]) / max(float(fit.variance[0]), 1e-300)
    leverage = np.clip(np.einsum("ij,ij->i", moved, root[:, None] * slopes[0]), 0, 1 - 1e-9)
    freedom, rss = float(fit.freedom[0]), float(fit.rss[0])
    if freedom < 2 or rss <= 0:
        return ""
    left = np.maximum(rss - residual**2 / (1 - leverage), 1e-12 * rss) / (freedom - 1)
    # a point that alone determines a parameter lies on the curve whatever it is
    studentised = np.where(leverage < 0.95, np.abs(residual) / np.sqrt(left * (1 - leverage)), 0.0)
    at = int(np.argmax(studentised))
    p = 2 * float(student.sf(studentised[at], freedom - 1)) * residual.size
    if p >= OUTLIER_P:
        return ""
    return (
        f"the response {points.response[at]:g} at dose {points.dose[at]:g} lies {studentised[at]:.1f} standard "
        f"deviations off the curve of the others: look at the well"
    )


def _lack_of_fit(points: Points, fit: BatchFit) -> float | None:
    pooled = CurveData.of(points.dose, points.response, points.weights).pooled()
    pure, free = float(pooled.within[0]), int(pooled.freedom_within[0])
    spare = int(fit.freedom[0]) - free
    if free < 1 or spare < 1 or pure <= 1e-20 * float(np.sum(points.weights * points.response**2)):
        return None
    value = (float(fit.rss[0]) - pure) / spare / (pure / free)
    return float(fisher.sf(max(value, 0.0), spare, free))


def _misfit_text(points: Points, fit: BatchFit) -> str:
    p = _lack_of_fit(points, fit)
    if p is None or p >= 0.01:
        return ""
    return f"the curve misses the means of the replicates (lack of fit, p {p:.2g}): another model may fit better"


def _bound_text(fit: BatchFit) -> str:
    fixed = fit.request.fixed()
    stuck = [name for j, name in enumerate(NAMES) if name not in fixed and not fit.free[0, j]]
    return f"{' and '.join(stuck)} ended at the bound of the search" if stuck else ""


def parameters_of(fit: BatchFit, group: str, withheld: str, half: EffectDose) -> tuple[CurveParameter, ...]:
    """Parameters of the first curve with profile-likelihood intervals; one without a bounded end has no estimate.

    The EC50 is told as in `half`: no number outside the tested doses.
    """
    fixed, rows = fit.request.fixed(), []
    for j, name in enumerate(NAMES):
        if name == "asymmetry" and fit.request.model != "5pl":
            continue
        rows.append(_parameter(fit, j, name, group, withheld, name in fixed))
    at = next(i for i, row in enumerate(rows) if row.name == "log10_ec50")
    if not rows[at].fixed:
        rows[at] = _tested(rows[at], half)
    rows.insert(at, _antilogged(rows[at]))
    return tuple(rows)


def _tested(row: CurveParameter, half: EffectDose) -> CurveParameter:
    """The log10 EC50 with its estimate and ends only where they lie within the tested doses."""
    if not half.determined:
        told = {"estimate": None, "standard_error": None, "ci_low": None, "ci_high": None}
        return row.model_copy(update={**told, "note": half.reason})
    ends = {
        k: None if v is None else float(np.log10(v)) for k, v in (("ci_low", half.ci_low), ("ci_high", half.ci_high))
    }
    note = "" if None not in ends.values() else "an end of the interval lies outside the tested doses"
    return row.model_copy(update={**ends, "note": note})


def _parameter(fit: BatchFit, j: int, name: str, group: str, withheld: str, is_fixed: bool) -> CurveParameter:
    value = float(fit.parameters[0, j])
    if is_fixed:
        return CurveParameter(
            group=group, name=name, estimate=value, ci_low=value, ci_high=value, fixed=True, note="fixed"
        )
    if withheld:
        return CurveParameter(group=group, name=name, estimate=None, note=withheld)
    low, high = (float(end[0]) for end in profile_interval(fit, j))
    error = float(fit.standard_errors[0, j])
    open_ends = [side for side, end in (("lower", low), ("upper", high)) if not np.isfinite(end)]
    note = f"the {' and the '.join(open_ends)} end of its interval is unbounded" if open_ends else ""
    return CurveParameter(
        group=group,
        name=name,
        estimate=None if open_ends else value,
        standard_error=error if np.isfinite(error) and error > 0 and not open_ends else None,
        ci_low=low if np.isfinite(low) else None,
        ci_high=high if np.isfinite(high) else None,
        note=note,
    )


def _antilogged(row: CurveParameter) -> CurveParameter:
    """The EC50 itself: estimate and ends of the log10 EC50 raised, standard error by the delta method."""
    raised = {
        k: None if v is None else 10**v
        for k, v in (("estimate", row.estimate), ("ci_low", row.ci_low), ("ci_high", row.ci_high))
    }
    error = None
    if row.standard_error is not None and raised["estimate"] is not None:
        error = float(np.log(10)) * raised["estimate"] * row.standard_error
    return row.model_copy(update={"name": "ec50", "standard_error": error, **raised})


def _goodness(points: Points, fit: BatchFit) -> dict[str, Any]:
    rss, freedom = float(fit.rss[0]), int(fit.freedom[0])
    exact = 1e-20 * float(np.sum(points.weights * points.response**2))
    return {
        "rss": rss,
        "freedom": freedom,
        "residual_sd": float(np.sqrt(rss / freedom)) if freedom > 0 else None,
        "aicc": aicc(rss, points.dose.size, fit.request.n_free(), points.weights) if rss > exact else None,
        "lack_of_fit_p": _lack_of_fit(points, fit),
    }


def _area(points: Points) -> dict[str, float | None]:
    """Mean response over log10 dose, with a t interval from the replicates."""
    above = points.dose > 0
    levels, member = np.unique(points.dose[above], return_inverse=True)
    if levels.size < 2:
        return {}
    y = points.response[above]
    counts = np.bincount(member)
    means = np.bincount(member, weights=y) / counts
    x = np.log10(levels)
    share = np.zeros_like(x)
    share[:-1] += np.diff(x) / 2
    share[1:] += np.diff(x) / 2
    share /= x[-1] - x[0]
    area, free = float(share @ means), int(counts.sum() - levels.size)
    if free < 1:
        return {"auc": area}
    variance = float(np.sum((y - means[member]) ** 2)) / free
    half = float(student.ppf(0.975, free) * np.sqrt(np.sum(share**2 / counts) * variance))
    return {"auc": area, "auc_low": area - half, "auc_high": area + half}


def _grid(fit: BatchFit) -> tuple[tuple[float, float, float, float], ...]:
    _, _, near, far = fit.data.ranges()
    x = np.linspace(near[0], far[0], GRID_POINTS)
    value, half = fit.band(x)
    return tuple(
        (float(10**a), float(b), float(b - c), float(b + c)) for a, b, c in zip(x, value[0], half[0], strict=True)
    )


def with_weights(points: Points, weighting: str) -> Points:
    """Points weighted by 1/y, by 1/y², or by the inverse variance of the replicates at each dose.

    Raises:
        AssayError: a response is not above 0, or a dose has no replicates that differ.
    """
    if weighting == "none":
        return points
    y = points.response
    if weighting in {"1/y", "1/y2"}:
        if (y <= 0).any():
            raise AssayError(
                f"weights {weighting} need responses above 0, the lowest is {y.min():g}",
                remedy="use --weights replicates or none",
            )
        return replace(points, weights=1.0 / y if weighting == "1/y" else 1.0 / y**2, weighting=weighting)
    levels, member = np.unique(points.dose, return_inverse=True)
    variances = np.array(
        [np.var(y[member == k], ddof=1) if (member == k).sum() > 1 else 0.0 for k in range(levels.size)]
    )
    if (variances <= 0).any():
        bad = levels[int(np.argmax(variances <= 0))]
        raise AssayError(
            f"weights by replicates need replicates that differ at every dose; dose {bad:g} has none",
            remedy="use --weights none",
        )
    return replace(points, weights=1.0 / variances[member], weighting="replicates")
