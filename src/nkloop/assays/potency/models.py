"""What is said of a relative-potency assay."""

from __future__ import annotations

from typing import Literal

from nkloop.frozen import FrozenModel

Design = Literal["crd", "rbd", "latin", "4pl"]


class AnovaRow(FrozenModel):
    """One line of an analysis of variance."""

    source: str
    freedom: int
    sum_of_squares: float
    mean_square: float | None = None
    f: float | None = None
    p: float | None = None


class Similarity(FrozenModel):
    """One parameter of a preparation against that of the standard."""

    name: str
    """`slope ratio`, or `top difference / span`, `bottom difference / span` for curves."""
    estimate: float | None
    ci_low: float | None
    """90 % interval: inside the margins it is the two one-sided tests at 5 %."""
    ci_high: float | None
    margins: tuple[float, float] | None = None
    equivalent: bool | None = None
    """None without margins."""


class PreparationPotency(FrozenModel):
    """Potency of one preparation relative to the standard."""

    preparation: str
    determined: bool
    potency: float | None = None
    """Ratio times the assumed potency."""
    ci_low: float | None = None
    ci_high: float | None = None
    """95 % interval, by Fieller's theorem for lines and by profile likelihood for curves."""
    percent_of_assumed: float | None = None
    log10_ratio: float | None = None
    assumed: float = 1.0
    g: float | None = None
    """Fieller's g; at 1 or above the slope is too uncertain for any interval. None when the slope is 0."""
    valid: bool
    reasons: tuple[str, ...] = ()
    nonparallelism_p: float | None = None
    """Own slope against the standard's."""
    similarity: tuple[Similarity, ...] = ()


class PotencyResult(FrozenModel):
    """Everything said of one potency assay."""

    standard: str
    design: Design
    transform: str
    n: int
    missing: int = 0
    """Rows without a response."""
    determined: bool
    potency: float | None
    """Of the only preparation; None when there are several, which stand in `preparations`."""
    ci_low: float | None
    ci_high: float | None
    preparations: tuple[PreparationPotency, ...]
    analysis_of_variance: tuple[AnovaRow, ...]
    valid: bool
    reasons: tuple[str, ...]
    """Why the assay is not valid."""
    notes: tuple[str, ...] = ()
    """What does not make it invalid but should be known."""
    common_slope: float | None = None
    """Transformed response per log10 dose."""
    error_variance: float | None = None
    freedom: int | None = None
    """Of the error variance."""


class CombinedAssay(FrozenModel):
    """One assay of a combination."""

    source: str
    potency: float
    ci_low: float
    ci_high: float
    freedom: int
    weight: float
    """1 / variance of its log10 potency."""


class CombinedPotency(FrozenModel):
    """Independent assays of one preparation taken together."""

    preparation: str
    potency: float
    ci_low: float
    ci_high: float
    method: Literal["weighted", "semi-weighted"]
    chi_square: float
    freedom: int
    p: float
    """Of the heterogeneity chi-square test; below 0.05 the assays are semi-weighted."""
    between_variance: float
    """Variance of log10 potency between assays beyond their own errors; 0 when weighted."""
    unweighted: float
    unweighted_low: float
    unweighted_high: float
    assays: tuple[CombinedAssay, ...]
