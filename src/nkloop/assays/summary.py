"""What a plate says of each sample on each line: one row a person or a program takes away."""

from __future__ import annotations

from nkloop.assays.models import AssayResult, CurveFit
from nkloop.frozen import FrozenModel

LYTIC_SHARE = 50.0
"""Lysis (%) at which lytic units are counted: that of ET50, so that both stand or fall with one interval."""
LYTIC_CELLS = 1e7
"""Effectors whose lytic units are given."""


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
    auc_standard_error: float | None
    lytic_units: float | None
    """Lytic units per 10^7 effectors: 10^7 / (targets per well × ET50)."""
    lytic_units_text: str
    """Percentage and target number the lytic units are counted with."""


def sample_rows(result: AssayResult) -> tuple[SampleRow, ...]:
    """One row per curve of the result."""
    return tuple(_row(result, curve) for curve in result.curves)


def _row(result: AssayResult, curve: CurveFit) -> SampleRow:
    sample = next(s for s in result.layout.samples if s.name == curve.sample)
    targets = result.layout.targets_per_well
    units = None if curve.et50 is None else LYTIC_CELLS / (targets * curve.et50)
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
        auc_standard_error=curve.auc_standard_error,
        lytic_units=units,
        lytic_units_text=f"per 10^7 effectors at {LYTIC_SHARE:g} % lysis of {targets:g} targets per well",
    )
