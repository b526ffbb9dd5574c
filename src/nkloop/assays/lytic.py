"""Lytic units of a plate: at which lysis, and per how many targets, they are counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nkloop.assays.fitting.logistic import Level
from nkloop.errors import AssayError


@dataclass(frozen=True)
class LyticQuestion:
    """What a lytic unit is: effectors that lyse `percent` of `targets` targets.

    Raises:
        AssayError: the percentage is not between 0 and 100, or the targets are not above 0.
    """

    percent: float = 50.0
    targets: float | None = None
    """Number of targets; None takes those of a well."""

    def __post_init__(self) -> None:
        """Refuse what no lytic unit can be counted with."""
        if not 0 < self.percent < 100:
            raise AssayError(
                f"lytic units at {self.percent:g} % lysis: the percentage must lie between 0 and 100",
                remedy="20, 30 or 50 are usual",
            )
        if self.targets is not None and not (math.isfinite(self.targets) and self.targets > 0):
            raise AssayError(f"{self.targets:g} targets: a lytic unit needs more than 0", remedy="state 10000, or none")

    @property
    def level(self) -> Level:
        """Lysis at which the E:T is taken."""
        return Level(self.percent, is_response=True)
