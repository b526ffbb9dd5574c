"""Measurements of many curves as rectangular arrays, and what is asked of their fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nkloop.assays.fitting.logistic import FIXED, NAMES, SLOPE, ZERO_DOSE, ModelName
from nkloop.assays.fitting.solver import Array, Index

_REACH = 10.0
"""Spans of the responses that a plateau may lie beyond them."""
DECADES = 3.0
"""Decades beyond the tested doses in which the EC50 is searched."""
_STEEPNESS = (0.05, 30.0)
_ASYMMETRY = (0.05, 20.0)


@dataclass(frozen=True)
class CurveData:
    """n curves of at most m points."""

    log_dose: Array
    """log10 dose, `ZERO_DOSE` for 0, shape (n, m)."""
    response: Array
    weights: Array
    """Shape (n, m); 0 where a curve has fewer points."""
    within: Array
    """Sum of squares known apart from the points (replicates about their means), shape (n,)."""
    freedom_within: Array
    """Degrees of freedom of `within`, shape (n,)."""

    @classmethod
    def of(cls, dose: Array, response: Array, weights: Array | None = None) -> CurveData:
        """From doses and responses of shape (n, m), or (m,) for one curve; responses that are NaN are left out."""
        x, y = np.atleast_2d(np.asarray(dose, dtype=float)), np.atleast_2d(np.asarray(response, dtype=float))
        x = np.broadcast_to(x, y.shape)
        w = np.ones_like(y) if weights is None else np.broadcast_to(np.atleast_2d(weights), y.shape)
        with np.errstate(divide="ignore"):
            log_dose = np.where(x > 0, np.log10(np.where(x > 0, x, 1.0)), ZERO_DOSE)
        used = np.isfinite(y)
        none = np.zeros(len(y))
        return cls(log_dose, np.where(used, y, 0.0), np.where(used, w, 0.0), none, none)

    def pooled(self) -> CurveData:
        """The same curves with the points at one dose replaced by their weighted mean; loses nothing a fit needs.

        The sums of squares about the means go to `within`. Curves of different doses are left as they are.
        """
        layout = self.log_dose[0]
        levels, member = np.unique(layout, return_inverse=True)
        if len(levels) == len(layout) or not (self.log_dose == layout).all():
            return self
        joined = np.zeros((len(layout), len(levels)))
        joined[np.arange(len(layout)), member] = 1.0
        weights = self.weights @ joined
        means = (self.weights * self.response) @ joined / np.where(weights > 0, weights, 1.0)
        within = np.einsum("nm,nm->n", self.weights, (self.response - means[:, member]) ** 2)
        freedom = ((self.weights > 0).astype(float) @ joined - (weights > 0)).sum(axis=1)
        doses = np.broadcast_to(levels, weights.shape)
        return CurveData(doses, means, weights, self.within + within, self.freedom_within + freedom)

    @property
    def n_points(self) -> Array:
        """Points per curve plus the degrees of freedom known apart from them, shape (n,)."""
        result: Array = (self.weights > 0).sum(axis=1) + self.freedom_within
        return result

    def take(self, which: Index) -> CurveData:
        """Some of the curves, in the order given; one may be taken several times."""
        return CurveData(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def ranges(self) -> tuple[Array, Array, Array, Array]:
        """Lowest and highest response and positive log10 dose of every curve, each of shape (n,)."""
        used, above = self.weights > 0, (self.weights > 0) & (self.log_dose > ZERO_DOSE)
        low, high = np.where(used, self.response, np.inf), np.where(used, self.response, -np.inf)
        near, far = np.where(above, self.log_dose, np.inf), np.where(above, self.log_dose, -np.inf)
        return low.min(axis=1), high.max(axis=1), near.min(axis=1), far.max(axis=1)


@dataclass(frozen=True)
class Request:
    """Which model, and what its parameters may be."""

    model: ModelName = "4pl"
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Parameter to lowest and highest value; equal values fix it. A bound on `ec50` is on the dose itself."""

    def fixed(self) -> dict[str, float]:
        """Parameters that are not estimated, and their values."""
        said = {name: pair[0] for name, pair in self._logged().items() if pair[0] == pair[1]}
        return {**{n: v for n, v in FIXED[self.model].items() if n not in self._logged()}, **said}

    def n_free(self) -> int:
        """Number of parameters that are estimated."""
        return len(NAMES) - len(self.fixed())

    def limits(self, data: CurveData, directions: Array) -> tuple[Array, Array]:
        """Lower and upper bounds, shape (n, 5), for curves that rise (+1) or fall (-1)."""
        least, most, near, far = data.ranges()
        reach = _REACH * np.maximum(most - least, 1e-300)
        n = len(least)
        steep = [
            np.where(directions > 0, _STEEPNESS[0], -_STEEPNESS[1]),
            np.where(directions > 0, _STEEPNESS[1], -_STEEPNESS[0]),
        ]
        low = np.column_stack([least - reach, least - reach, near - DECADES, steep[0], np.full(n, _ASYMMETRY[0])])
        high = np.column_stack([most + reach, most + reach, far + DECADES, steep[1], np.full(n, _ASYMMETRY[1])])
        said = {**{name: (value, value) for name, value in self.fixed().items()}, **self._logged()}
        for name, (least_value, most_value) in said.items():
            j = NAMES.index(name)
            if j == SLOPE and least_value < most_value:
                # a slope keeps its sign: the search of the other direction is one of its own
                low[:, j] = np.where(directions > 0, np.maximum(least_value, _STEEPNESS[0]), least_value)
                high[:, j] = np.where(directions < 0, np.minimum(most_value, -_STEEPNESS[0]), most_value)
            else:
                low[:, j], high[:, j] = least_value, most_value
        return low, high

    def directions(self) -> Sequence[int]:
        """Directions the slope may have: rising, falling, or both."""
        low, high = self._logged().get("slope", (-np.inf, np.inf))
        return [d for d, allowed in ((1, high > 0), (-1, low < 0)) if allowed]

    def _logged(self) -> dict[str, tuple[float, float]]:
        plain = {k: v for k, v in self.bounds.items() if k != "ec50"}
        if "ec50" in self.bounds:
            low, high = self.bounds["ec50"]
            plain["log10_ec50"] = (float(np.log10(low)) if low > 0 else -np.inf, float(np.log10(high)))
        return plain
