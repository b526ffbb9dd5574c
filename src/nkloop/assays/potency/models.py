"""What is said of a relative-potency assay."""

from __future__ import annotations

from typing import Literal

from nkloop.frozen import FrozenModel

Design = Literal["crd", "rbd", "latin", "4pl"]


Limits = tuple[float | None, float | None]


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
    """Ratio times the assumed potency; None unless the assay and the preparation are valid."""
    ci_low: float | None = None
    ci_high: float | None = None
    """95 % interval, by Fieller's theorem for lines and by profile likelihood for curves."""
    potency_if_valid: float | None = None
    """What the calculation gives whether or not it is valid: to look into an assay that failed, never to report."""
    ci_low_if_valid: float | None = None
    ci_high_if_valid: float | None = None
    percent_of_assumed: float | None = None
    """None unless valid, like `potency`."""
    log10_ratio: float | None = None
    """None unless valid, like `potency`."""
    assumed: float = 1.0
    g: float | None = None
    """Fieller's g; at 1 or above the slope is too uncertain for any interval. None when the slope is 0."""
    valid: bool
    reasons: tuple[str, ...] = ()
    nonparallelism_p: float | None = None
    """Own slope against the standard's."""
    similarity: tuple[Similarity, ...] = ()


def potency_fields(log_ratio: float, limits: Limits, *, assumed: float, valid: bool) -> dict[str, float]:
    """The number fields of a `PreparationPotency` from log10 ratio and limits; not valid, only the `_if_valid` ones."""
    ends = {"potency": log_ratio, "ci_low": limits[0], "ci_high": limits[1]}
    found = {name: assumed * 10**value for name, value in ends.items() if value is not None}
    said = {f"{name}_if_valid": value for name, value in found.items()}
    if valid:
        said |= {**found, "percent_of_assumed": 100 * 10**log_ratio, "log10_ratio": log_ratio}
    return said


def only_fields(preparations: tuple[PreparationPotency, ...]) -> dict[str, float | None]:
    """Potency and limits of the only preparation, for the result as a whole; all None when there are several."""
    only = preparations[0] if len(preparations) == 1 else None
    names = ("potency", "ci_low", "ci_high", "potency_if_valid", "ci_low_if_valid", "ci_high_if_valid")
    return {name: None if only is None else getattr(only, name) for name in names}


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
    """Of the only preparation, when it is valid; with several preparations they stand in `preparations`."""
    ci_low: float | None
    ci_high: float | None
    potency_if_valid: float | None = None
    """Of the only preparation whether or not it is valid: to look into an assay that failed, never to report."""
    ci_low_if_valid: float | None = None
    ci_high_if_valid: float | None = None
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
