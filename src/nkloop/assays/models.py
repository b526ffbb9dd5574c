"""What a killing assay is: layout before the run, result after it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from nkloop.assays.curve_models import EffectDose
from nkloop.frozen import FrozenModel

WellRole = Literal[
    "experimental",
    "effector_only",
    "spontaneous",
    "maximum",
    "background",
    "volume_correction",
    "reference_effector",
    "treated_target",
    "medium_ring",
    "empty",
]

AssayKind = Literal["killing", "adcc", "car", "drug-matrix"]
"""What a plate asks: killing by several arms, antibody-dependent killing, CAR against untransduced, or a matrix of a
drug or antibody with NK cells."""


class EffectorSample(FrozenModel):
    """One effector preparation on a plate: which arm and donor it is, and how good it is."""

    name: str
    """Unique on the plate, for example `arm-2/U1`."""
    arm: str
    donor: str
    viability_percent: float = Field(ge=0, le=100)
    purity_percent: float = Field(ge=0, le=100)
    """CD56+CD3- share of viable cells."""
    cd16_percent: float | None = Field(default=None, ge=0, le=100)
    """CD16+ share of NK cells; an ADCC plate needs it, because cells without CD16 cannot answer to an antibody."""
    is_car: bool | None = None
    """True for CAR cells, False for their untransduced control; None when the plate does not ask."""

    def true_ratio(self, nominal: float) -> float:
        """True E:T = nominal x purity x viability (nominal counts all cells of the preparation)."""
        return nominal * self.purity_percent / 100 * self.viability_percent / 100


class Treatment(FrozenModel):
    """An antibody or a drug in some wells of a plate."""

    name: str
    kind: Literal["antibody", "isotype", "drug"]
    unit: str = ""
    """Unit of the doses, for example `µg/mL` or `nM`."""


class LayoutWell(FrozenModel):
    """The role of one well."""

    well: str
    role: WellRole
    sample: str | None = None
    nominal_ratio: float | None = Field(default=None, gt=0)
    replicate: int = Field(default=1, ge=1)
    target_line: str | None = None
    """Line in the well when the plate carries several; None: the plate's line, or no cells of any line."""
    treatment: str | None = None
    """Antibody or drug in the well."""
    dose: float | None = Field(default=None, ge=0)
    """Dose of the treatment, in its unit."""
    block: int | None = Field(default=None, ge=1)
    """Block within which the well was placed at random."""


class PlateLayout(FrozenModel):
    """One assay plate."""

    kind: AssayKind = "killing"
    plate_wells: Literal[96, 384] = 96
    barcode: str
    method: str
    target_line: str
    targets_per_well: float = Field(gt=0)
    contact_minutes: float = Field(gt=0)
    ratios: tuple[float, ...] = Field(min_length=1)
    """Nominal E:T, highest first."""
    samples: tuple[EffectorSample, ...]
    reference: EffectorSample | None = None
    wells: tuple[LayoutWell, ...]
    seed: int | None = None
    treatments: tuple[Treatment, ...] = ()
    antigen_negative: tuple[str, ...] = ()
    """Lines without the antigen of the CAR: killing of them is not the CAR's."""
    started_at: datetime | None = None
    """When effectors met targets in the first well; None before the run, or when nobody wrote it down."""
    stagger_minutes: float | None = Field(default=None, ge=0)
    """Time between the first and the last well that got its effectors, estimated or recorded."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Target lines of the plate, in the order they first appear."""
        named = [w.target_line for w in self.wells if w.target_line is not None]
        return tuple(dict.fromkeys(named)) or (self.target_line,)

    def line_of(self, well: LayoutWell) -> str:
        """Line of the targets in a well: its own, else the plate's."""
        return well.target_line or self.target_line

    def with_role(
        self, role: WellRole, sample: str | None = None, *, line: str | None = None
    ) -> tuple[LayoutWell, ...]:
        """Wells of a role; of one sample and of one line when named."""
        return tuple(
            w
            for w in self.wells
            if w.role == role and (sample is None or w.sample == sample) and (line is None or self.line_of(w) == line)
        )


class WellLysis(FrozenModel):
    """Lysis of one well with targets and something that may kill them; values outside 0-100 % are kept and flagged."""

    well: str
    sample: str
    """Effector sample; empty in a well with an antibody or drug alone."""
    nominal_ratio: float
    """0 without effectors."""
    true_ratio: float
    lysis_percent: float
    flags: tuple[str, ...] = ()
    target_line: str = ""
    treatment: str = ""
    dose: float | None = None


class Exclusion(FrozenModel):
    """A well a person left out of the analysis."""

    well: str
    reason: str = Field(min_length=1)
    by: str = Field(min_length=1)
    at: datetime


class QualityMeasure(FrozenModel):
    """One quality figure with its limit and a plain sentence."""

    name: str
    value: float | None
    limit: str
    source: str
    outcome: Literal["pass", "flag", "reject"]
    reason: str

    @property
    def judged(self) -> str:
        """The outcome as people read it: a figure without a value was not judged, it did not pass."""
        return "not judged" if self.value is None and self.outcome == "pass" else self.outcome


class Effect(FrozenModel):
    """Difference in lysis that an antibody or a CAR makes; "no difference" is a result too, with its interval."""

    kind: Literal["adcc", "car"]
    target_line: str
    sample: str
    """Sample with the antibody, or the CAR sample."""
    against: str
    """What it is compared with: `no antibody`, the isotype, or the untransduced sample."""
    treatment: str = ""
    true_ratio: float | None
    """True E:T at which both are compared; None for the mean over all."""
    difference: float
    """Points of lysis (%)."""
    ci_low: float | None = None
    ci_high: float | None = None
    """95 % interval; None without replicates."""
    is_different: bool | None = None
    """Whether the interval leaves 0 out; None without interval."""
    is_expected: bool = True
    """False on an antigen-negative line, where no difference is wanted."""
    reason: str
    """The result in one sentence."""


class MatrixPoint(FrozenModel):
    """One combination of a drug or antibody dose and an E:T; the margins have one of the two at 0."""

    target_line: str
    sample: str
    treatment: str
    dose: float
    true_ratio: float
    lysis_percent: float
    """Mean of the replicates."""
    n: int


class KillingOverTime(FrozenModel):
    """Killing of one sample at one E:T over the time of a kinetic read."""

    sample: str
    target_line: str
    nominal_ratio: float
    true_ratio: float
    points: tuple[tuple[float, float], ...]
    """(minutes from the addition of effectors, killing in %); times without a signal window are left out."""
    area: float | None
    """Mean killing over that time, 0 to 1 (area under killing over its duration); None with fewer than two points."""


class ReadingOrigin(FrozenModel):
    """Where the signals come from."""

    file: str
    file_sha256: str
    format: str
    instrument: str | None = None
    serial_number: str | None = None
    read_at: datetime | None = None
    settings: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class CurveFit(FrozenModel):
    """4PL over true E:T, or the reason why there is none."""

    sample: str
    target_line: str = ""
    treatment: str = ""
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
    auc_low: float | None = None
    """95 % t interval from the scatter of the replicates; None without replicates."""
    auc_high: float | None = None
    lytic: EffectDose | None = None
    """True E:T at the lysis that lytic units are counted at, and the units per 10^7 effectors; None without a curve."""
    lytic_targets: float | None = None
    """Targets a lytic unit lyses the stated share of."""
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
    effects: tuple[Effect, ...] = ()
    """What an antibody or a CAR adds."""
    matrix: tuple[MatrixPoint, ...] = ()
    """Every combination of a drug or antibody with NK cells, margins too."""
    kinetics: tuple[KillingOverTime, ...] = ()
    reading: ReadingOrigin | None = None
    exclusions: tuple[Exclusion, ...] = ()
    """Wells a person left out, each with its reason."""
    all_wells: AssayResult | None = None
    """The result with every well in it, beside the one without the excluded wells."""
    all_wells_reason: str = ""
    """Why there is no result with every well, when wells were excluded."""
