"""Lysis over log10 true E:T with intervals, and ET50, which is never extrapolated.

lysis = top / (1 + 10^(slope (log10 midpoint - log10 E:T))), bottom fixed at 0 (without effectors nothing is lysed by
them, by definition of lysis), 0 <= top <= 100. ET50 is the true E:T at which 50 % of the targets are lysed; it equals
the midpoint when top is 100. The fit is to the replicate means with the weights of `Series`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nkloop.assays.curve_models import EffectDose
from nkloop.assays.fitting.batch import BatchFit, fit_batch
from nkloop.assays.fitting.data import CurveData, Request
from nkloop.assays.fitting.distributions import rank_correlation, t_quantile
from nkloop.assays.fitting.effect_dose import LyticUnits, effect_dose, figure
from nkloop.assays.fitting.logistic import ANCHOR, SLOPE, TOP, Level, logistic
from nkloop.assays.lytic import LyticQuestion
from nkloop.assays.models import CurveFit
from nkloop.assays.series import Series, area

LEAST_RATIOS = 4
"""E:T levels needed for three free parameters and one degree of freedom between the means."""
HALF_LYSIS = Level(50.0, is_response=True)
SLOPES = (0.2, 5.0)
BEYOND = 1.5
"""Decades outside the tested range in which the midpoint is searched."""
GRID_POINTS = 60
NO_EFFECT = 10.0
"""Mean lysis (%) up to which a curve that does not rise is read as no killing, not as a broken series."""


def fit_curve(
    sample: str,
    ratios: Sequence[float],
    lysis: Sequence[float],
    *,
    effector_replicates: int | None = None,
    lytic: LyticQuestion | None = None,
    targets_per_well: float | None = None,
) -> CurveFit:
    """Fit one sample; `ratios` are true E:T and `lysis` the % of each well, in the same order.

    `effector_replicates` is the number of effector-only wells subtracted at each E:T, None when there were none.
    Lytic units are counted as `lytic` says where it or `targets_per_well` tells the number of targets.

    Raises:
        AssayError: the numbers do not form a series (see `Series.of`).
    """
    series = Series.of(ratios, lysis, effector_replicates=effector_replicates)
    area_fields = _area(series)
    refused = _refusal(series)
    if refused is not None:
        text, reason = refused
        return CurveFit(
            **area_fields,
            sample=sample,
            determined=False,
            reason=reason,
            et50_text=text,
        )
    fit = _fit(series)
    parameters, errors = fit.parameters[0], fit.standard_errors[0]
    said = {"top": TOP, "log10_midpoint": ANCHOR, "slope": SLOPE}
    curve = CurveFit(
        **area_fields,
        sample=sample,
        determined=False,
        bottom=0.0,
        top=float(parameters[TOP]),
        midpoint=10 ** float(parameters[ANCHOR]),
        slope=float(parameters[SLOPE]),
        standard_errors={
            name: float(errors[j]) for name, j in said.items() if fit.free[0, j] and np.isfinite(errors[j])
        },
        grid=_band(series, fit),
    )
    asked = lytic or LyticQuestion()
    targets = asked.targets or targets_per_well
    units = None if targets is None else LyticUnits(targets)
    half = effect_dose(fit, HALF_LYSIS, lytic=units)
    update = _half_lysis(series, fit, half)
    if units is not None:
        at = half if asked.level == HALF_LYSIS else effect_dose(fit, asked.level, lytic=units)
        update |= {"lytic": at, "lytic_targets": targets}
    return curve.model_copy(update=update)


def _area(series: Series) -> dict[str, float | None]:
    """The area fields of a curve, with the t interval that the scatter of the replicates gives."""
    auc, error = area(series)
    if error is None:
        return {"auc": auc}
    half = float(t_quantile(0.975, series.n_wells - series.ratios.size)) * error
    return {"auc": auc, "auc_standard_error": error, "auc_low": auc - half, "auc_high": auc + half}


def _refusal(series: Series) -> tuple[str, str] | None:
    k = series.ratios.size
    if k < LEAST_RATIOS:
        return "not determined", f"{k} E:T, a curve needs at least {LEAST_RATIOS}"
    rho = 0.0 if np.ptp(series.means) == 0 else rank_correlation(series.ratios, series.means)
    if rho > 0:
        return None
    highest = float(series.means.max())
    if highest <= NO_EFFECT:
        return f"> {figure(series.ratios[-1])}", f"no killing at any E:T, at most {highest:.0f} % lysis"
    return "not determined", "lysis does not rise with E:T"


def _fit(series: Series) -> BatchFit:
    data = CurveData(
        series.log_ratios[None],
        series.means[None],
        series.weights[None],
        np.array([series.within]),
        np.array([series.n_wells - series.ratios.size]),
    )
    spread = 10**BEYOND
    ec50 = (series.ratios[0] / spread, series.ratios[-1] * spread)
    return fit_batch(data, Request("3pl", {"top": (0.0, 100.0), "slope": SLOPES, "ec50": ec50}))


def _band(series: Series, fit: BatchFit) -> tuple[tuple[float, float, float, float], ...]:
    """(true E:T, lysis, low, high): pointwise 95 % band of the mean curve by the delta method."""
    x = np.linspace(series.log_ratios[0], series.log_ratios[-1], GRID_POINTS)
    middle, half = fit.band(x)
    columns = np.column_stack([10**x, middle[0], middle[0] - half[0], middle[0] + half[0]])
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in columns)


def _half_lysis(series: Series, fit: BatchFit, found: EffectDose) -> dict[str, object]:
    """ET50 with its profile-likelihood interval, or how it lies to the tested range."""
    reached = logistic(fit.parameters, series.log_ratios[None])[0][0]
    reason = found.reason
    if found.text.startswith(">"):
        reason = f"the curve reaches {reached[-1]:.0f} % lysis at the highest true E:T, ET50 lies above it"
    elif found.text.startswith("<"):
        reason = f"the curve is at {reached[0]:.0f} % lysis at the lowest true E:T already, ET50 lies below it"
    elif not found.determined:
        reason = f"{reason}, the data do not say where 50 % lysis is reached"
    return {
        "determined": found.determined,
        "reason": reason,
        "et50": found.estimate,
        "et50_low": found.ci_low,
        "et50_high": found.ci_high,
        "et50_text": found.text,
    }
