"""What a plate says of each sample on each line: one row a person or a program takes away."""

from __future__ import annotations

from nkloop.assays.models import AssayResult, CurveFit
from nkloop.frozen import FrozenModel


class SampleRow(FrozenModel):
    """One sample on one line, with one treatment or none."""

    sample: str
    arm: str
    donor: str
    target_line: str
    treatment: str
    et50: float | None
    """True E:T at which half of the targets are lysed; None when it lies outside the tested range."""
    ci_low: float | None
    ci_high: float | None
    """95 % interval; an end outside the tested range is None."""
    et50_text: str
    reason: str
    """Why there is no ET50, when there is none."""
    auc: float
    auc_low: float | None
    auc_high: float | None
    auc_standard_error: float | None
    lytic_units: float | None
    """Per 10^7 effectors: 10^7 / (targets × true E:T at the stated lysis); None where that E:T is not determined."""
    lytic_units_low: float | None
    lytic_units_high: float | None
    lytic_units_text: str
    """Percentage and target number the lytic units are counted with, or why there are none."""


def sample_rows(result: AssayResult) -> tuple[SampleRow, ...]:
    """One row per curve of the result."""
    return tuple(_row(result, curve) for curve in result.curves)


def _row(result: AssayResult, curve: CurveFit) -> SampleRow:
    sample = next(s for s in result.layout.samples if s.name == curve.sample)
    lytic = curve.lytic
    return SampleRow(
        sample=curve.sample,
        arm=sample.arm,
        donor=sample.donor,
        target_line=curve.target_line or result.target_line,
        treatment=curve.treatment,
        et50=curve.et50,
        ci_low=curve.et50_low,
        ci_high=curve.et50_high,
        et50_text=curve.et50_text,
        reason=curve.reason,
        auc=curve.auc,
        auc_low=curve.auc_low,
        auc_high=curve.auc_high,
        auc_standard_error=curve.auc_standard_error,
        lytic_units=None if lytic is None else lytic.lytic_units,
        lytic_units_low=None if lytic is None else lytic.lytic_units_low,
        lytic_units_high=None if lytic is None else lytic.lytic_units_high,
        lytic_units_text=_lytic_text(curve),
    )


def _lytic_text(curve: CurveFit) -> str:
    if curve.lytic is None:
        return f"none: {curve.reason or 'the number of targets is not known'}"
    text = f"per 10^7 effectors at {curve.lytic.level:g} % lysis of {curve.lytic_targets:g} targets"
    return text if curve.lytic.determined else f"{text}: none, {curve.lytic.reason}"
