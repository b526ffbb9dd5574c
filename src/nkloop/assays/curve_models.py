"""What is said of one dose-response curve."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nkloop.frozen import FrozenModel


class CurveParameter(FrozenModel):
    """One parameter of a curve."""

    group: str = ""
    name: str
    """`bottom`, `top`, `ec50`, `log10_ec50`, `slope`, `asymmetry`."""
    estimate: float | None
    """None when the data do not determine it."""
    standard_error: float | None = None
    """From the curvature at the solution; None for a fixed parameter or one at its bound."""
    ci_low: float | None = None
    """Lower end of the 95 % profile-likelihood interval; None when unbounded."""
    ci_high: float | None = None
    fixed: bool = False
    note: str = ""
    """Why a number is missing."""


class EffectDose(FrozenModel):
    """The dose (or E:T) at which a curve takes a level."""

    level: float
    """Percent of the effect, or a response."""
    of: Literal["effect", "response"]
    determined: bool
    estimate: float | None = None
    ci_low: float | None = None
    """Lower end of the 95 % profile-likelihood interval; None when unbounded or outside the tested doses."""
    ci_high: float | None = None
    text: str
    """What a person reads: value with interval, `> highest`, `< lowest` or `not determined`."""
    reason: str = ""
    lytic_units: float | None = None
    """Lytic units in the effectors stated, where asked for."""
    lytic_units_low: float | None = None
    lytic_units_high: float | None = None


class CurveResult(FrozenModel):
    """One fitted curve, or why there is none."""

    group: str = ""
    model: Literal["3pl", "4pl", "5pl"]
    weights: str = "none"
    n: int
    """Points used."""
    verdict: Literal["determined", "flagged", "not determined"]
    determined: bool
    """Whether the EC50 and its interval are determined inside the tested doses."""
    reasons: tuple[str, ...] = ()
    """Why it is not, or what to look at."""
    direction: Literal["rising", "falling"] | None = None
    parameters: tuple[CurveParameter, ...] = ()
    ec50: float | None = None
    ec50_low: float | None = None
    ec50_high: float | None = None
    ec50_text: str = "not determined"
    levels: tuple[EffectDose, ...] = ()
    rss: float | None = None
    """Weighted residual sum of squares."""
    freedom: int | None = None
    residual_sd: float | None = None
    aicc: float | None = None
    lack_of_fit_p: float | None = None
    """F test of the curve against the replicates; None without replicates or spare doses."""
    auc: float | None = None
    """Mean response over log10 dose between the lowest and highest dose above 0 (trapezoids)."""
    auc_low: float | None = None
    auc_high: float | None = None
    grid: tuple[tuple[float, float, float, float], ...] = Field(default=(), repr=False)
    """(dose, fitted response, band low, band high) for plotting."""
    points: tuple[tuple[float, float], ...] = Field(default=(), repr=False)
    """(dose, response) as given."""


class ModelComparison(FrozenModel):
    """Two nested models, or several models by AICc."""

    simple: str
    full: str
    rss_simple: float
    rss_full: float
    freedom_simple: int
    freedom_full: int
    f: float | None
    p: float | None
    """Extra-sum-of-squares F test; a small p speaks against the simple model."""
    aicc_simple: float | None
    aicc_full: float | None
    preferred: str
    """The model with the lower AICc."""
