"""Three-, four- and five-parameter logistic curves over log10 dose, with derivatives.

response = bottom + (top - bottom) share, share = (1 + c 10^(slope (log10 anchor - log10 dose)))^-asymmetry with
c = u^(-1/asymmetry) - 1, so that the curve has the share u at the anchor dose. With u = 1/2 the anchor is the EC50 of
every model, also of the asymmetric one (Richards 1959; Gottschalk & Dunn 2005); any other level gives the EC at that
level as a parameter of the model, which is what its profile likelihood needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nkloop.assays.fitting.solver import Array

ModelName = Literal["3pl", "4pl", "5pl"]
NAMES = ("bottom", "top", "log10_ec50", "slope", "asymmetry")
BOTTOM, TOP, ANCHOR, SLOPE, ASYMMETRY = range(5)
FIXED: dict[ModelName, dict[str, float]] = {
    "3pl": {"bottom": 0.0, "asymmetry": 1.0},
    "4pl": {"asymmetry": 1.0},
    "5pl": {},
}
"""What a model holds fixed; the 3PL starts at 0, as lysis without effectors does."""
ZERO_DOSE = -1e4
"""log10 of a dose of 0: so far out that the curve is at its zero-dose asymptote to machine precision."""
_MOST_EXPONENT = 250.0


@dataclass(frozen=True)
class Level:
    """Where on the curve the anchor lies."""

    value: float = 50.0
    """Percent of the effect between zero and infinite dose, or a response."""
    is_response: bool = False

    def __str__(self) -> str:
        return f"response {self.value:g}" if self.is_response else f"{self.value:g} %"


HALF = Level()


def logistic(parameters: Array, log_dose: Array, level: Level = HALF) -> tuple[Array, Array]:
    """Responses (n, m) and derivatives (n, m, 5) at parameters (n, 5) and log10 doses (n, m).

    Rows whose curve never takes the level (a response outside bottom to top) are not numbers.
    """
    bottom, top, anchor, slope, asymmetry = (parameters[:, j, None] for j in range(5))
    span = top - bottom
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if level.is_response:
            u = np.where((top - level.value) * (level.value - bottom) > 0, (level.value - bottom) / span, np.nan)
        else:
            q = level.value / 100.0
            u = np.where(slope > 0, q, 1.0 - q)
        root = u ** (-1.0 / asymmetry)
        c = root - 1.0
        power = 10.0 ** np.clip(slope * (anchor - log_dose), -_MOST_EXPONENT, _MOST_EXPONENT)
        grown = c * power
        share = (1.0 + grown) ** -asymmetry
        bend = -asymmetry * share / (1.0 + grown)  # d share / d grown
        by_c = bend * power
        by_exponent = span * bend * grown * np.log(10.0)
        by_bottom, by_top = 1.0 - share, share
        if level.is_response:
            through_u = span * by_c * (-root / (asymmetry * u))
            by_bottom = by_bottom - through_u * (1.0 - u) / span
            by_top = by_top - through_u * u / span
        by_asymmetry = span * (-np.log1p(grown) * share + by_c * root * np.log(u) / asymmetry**2)
    slopes = np.stack([by_bottom, by_top, by_exponent * slope, by_exponent * (anchor - log_dose), by_asymmetry], axis=2)
    return bottom + span * share, slopes


def move_anchor(parameters: Array, level: Level) -> Array:
    """log10 dose at which curves given by their EC50 take a level, shape (n,); not a number where they never do."""
    bottom, top, middle, slope, asymmetry = parameters.T
    q = level.value / 100.0
    with np.errstate(invalid="ignore", divide="ignore"):
        u = (level.value - bottom) / (top - bottom) if level.is_response else np.where(slope > 0, q, 1.0 - q)
        u = np.where((u > 0) & (u < 1), u, np.nan)
        # 10^(slope (middle - dose)) = (u^(-1/g) - 1) / (2^(1/g) - 1)
        ratio = (u ** (-1.0 / asymmetry) - 1.0) / (2.0 ** (1.0 / asymmetry) - 1.0)
        result: Array = middle - np.log10(ratio) / slope
    return result
