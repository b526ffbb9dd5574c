"""What a killing assay is: layout before the run, result after it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nkloop.frozen import FrozenModel

WellRole = Literal[
    "experimental",
    "effector_only",
    "spontaneous",
    "maximum",
    "background",
    "volume_correction",
    "reference_effector",
    "medium_ring",
    "empty",
]


class EffectorSample(FrozenModel):
    """One effector preparation on a plate: which arm and donor it is, and how good it is."""

    name: str
    """Unique on the plate, for example `arm-2/U1`."""
    arm: str
    donor: str
    viability_percent: float = Field(ge=0, le=100)
    purity_percent: float = Field(ge=0, le=100)
    """CD56+CD3- share of viable cells."""

    def true_ratio(self, nominal: float) -> float:
        """True E:T = nominal x purity x viability (nominal counts all cells of the preparation)."""
        return nominal * self.purity_percent / 100 * self.viability_percent / 100


class LayoutWell(FrozenModel):
    """The role of one well."""

    well: str
    role: WellRole
    sample: str | None = None
    nominal_ratio: float | None = Field(default=None, gt=0)
    replicate: int = Field(default=1, ge=1)


class PlateLayout(FrozenModel):
    """One assay plate."""

    barcode: str
    method: str
    target_line: str
    targets_per_well: float = Field(gt=0)
    contact_minutes: float = Field(gt=0)
    ratios: tuple[float, ...] = Field(min_length=3)
    """Nominal E:T, highest first."""
    samples: tuple[EffectorSample, ...]
    reference: EffectorSample | None = None
    wells: tuple[LayoutWell, ...]
    seed: int | None = None

    def with_role(self, role: WellRole, sample: str | None = None) -> tuple[LayoutWell, ...]:
        """Wells of a role, of one sample when named."""
        return tuple(w for w in self.wells if w.role == role and (sample is None or w.sample == sample))


class WellLysis(FrozenModel):
    """Lysis of one experimental or reference well; values outside 0-100 % are kept and flagged."""

    well: str
    sample: str
    nominal_ratio: float
    true_ratio: float
    lysis_percent: float
    flags: tuple[str, ...] = ()


class QualityMeasure(FrozenModel):
    """One quality figure with its limit and a plain sentence."""

    name: str
    value: float | None
    limit: str
    source: str
    outcome: Literal["pass", "flag", "reject"]
    reason: str


class CurveFit(FrozenModel):
    """4PL over true E:T, or the reason why there is none."""

    sample: str
    determined: bool
    reason: str = ""
    bottom: float | None = None
    top: float | None = None
    midpoint: float | None = None
    """True E:T at the inflection of the curve, half-way between bottom and top."""
    slope: float | None = None
    standard_errors: dict[str, float] = Field(default_factory=dict)
    """Standard error of `top` (points), `log10_midpoint` and `slope`; a parameter at its bound has none."""
    et50: float | None = None
    """True E:T at which half of the targets are lysed; None when it lies outside the tested range."""
    et50_low: float | None = None
    """Lower end of the 95 % profile-likelihood interval; None when it lies outside the tested range."""
    et50_high: float | None = None
    """Upper end; None when it lies outside the tested range."""
    et50_text: str = ""
    """What a person reads: value with interval, `> highest`, `< lowest` or `not determined`."""
    auc: float
    """Area under lysis over log10 true E:T, divided by its width and by 100: 0 to 1; no fit needed."""
    auc_standard_error: float | None = None
    grid: tuple[tuple[float, float, float, float], ...] = ()
    """(true E:T, fitted lysis %, band low, band high) for plotting."""


class AssayResult(FrozenModel):
    """Everything said of one plate."""

    barcode: str
    method: str
    target_line: str
    verdict: Literal["accepted", "flagged", "rejected"]
    reasons: tuple[str, ...]
    z_prime: float | None
    quality: tuple[QualityMeasure, ...]
    lysis: tuple[WellLysis, ...]
    curves: tuple[CurveFit, ...]
    layout: PlateLayout
    signals: dict[str, float]
    """Raw signal per well as read."""
