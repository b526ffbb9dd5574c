"""What is said of two agents together."""

from __future__ import annotations

from typing import Literal

from nkloop.frozen import FrozenModel

Reading = Literal["more", "less", "not different", "no interval"]


class CombinationCell(FrozenModel):
    """One dose pair against its expectation, all in percent effect."""

    dose_a: float
    dose_b: float
    observed: float
    expected: float
    excess: float
    """Observed less expected; above 0 is more than expected."""
    ci_low: float | None
    """95 % bootstrap interval of the excess, for this cell alone."""
    ci_high: float | None
    reading: Reading


class CombinationSummary(FrozenModel):
    """All dose pairs together."""

    mean_excess: float
    ci_low: float | None
    ci_high: float | None
    largest_excess: float
    largest_at: tuple[float, float]
    reading: Reading


class Expectation(FrozenModel):
    """One reference model over the whole matrix."""

    cells: tuple[CombinationCell, ...]
    summary: CombinationSummary


class Advisory(FrozenModel):
    """A model that depends on fitted single-agent curves; it advises and decides nothing."""

    advisory: Literal[True] = True
    available: bool
    reason: str = ""
    """Why it could not be computed."""
    meaning: str = ""
    """How to read the values."""
    cells: tuple[tuple[float, float, float | None], ...] = ()
    """(dose a, dose b, value); None where the model gives no value."""
    mean: float | None = None


class CombinationResult(FrozenModel):
    """Everything said of one combination experiment."""

    n: int
    doses_a: tuple[float, ...]
    doses_b: tuple[float, ...]
    resampling: Literal["replicates", "residuals", "none"]
    draws: int
    seed: int
    bliss: Expectation
    hsa: Expectation
    loewe: Advisory | None
    zip: Advisory | None
    warnings: tuple[str, ...]
    means: tuple[tuple[float, float, float, int], ...]
    """(dose a, dose b, mean effect, wells)."""
