"""Two agents together against what each does alone: Bliss independence and highest single agent, with intervals.

Effects are percent of the largest possible effect. Bliss expects a + b - a b / 100 at doses whose single effects are
a and b (Bliss 1939); highest single agent expects the larger of a and b. Excess is observed less expected.

Intervals are percentile bootstrap: wells are drawn with replacement within each dose pair where every pair has at
least five, otherwise the residuals of all replicated pairs are pooled and drawn, because three wells say too little of
their own scatter; without any replicate there is no interval. The margins are drawn anew as well, so that their
uncertainty is in every cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nkloop.assays.combination_models import CombinationCell, CombinationResult, CombinationSummary, Expectation
from nkloop.assays.fitting.solver import Array
from nkloop.errors import AssayError, Problem

DRAWS = 2000
LEAST_OWN = 5
"""Replicates of every dose pair from which on each pair is drawn from its own wells."""
CONFIDENCE = 0.95
_PERCENTILES = (100 * (1 - CONFIDENCE) / 2, 100 * (1 + CONFIDENCE) / 2)
Reference = Literal["bliss", "hsa"]


@dataclass(frozen=True)
class CombinationData:
    """One row per well."""

    dose_a: Array
    dose_b: Array
    effect: Array
    """Percent effect; below 0 and above 100 are kept."""

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """Dose pairs that were tested, lowest first."""
        return sorted(set(zip(self.dose_a.tolist(), self.dose_b.tolist(), strict=True)))

    def cell(self, a: float, b: float) -> Array:
        """Effects of one dose pair."""
        chosen: Array = self.effect[(self.dose_a == a) & (self.dose_b == b)]
        return chosen


def analyse_combination(data: CombinationData, *, seed: int = 1, draws: int = DRAWS) -> CombinationResult:
    """Excess over Bliss and over the highest single agent, per dose pair and over all.

    Raises:
        AssayError: a dose is negative, an effect is not finite, or a dose of a pair was not tested alone.
    """
    _check(data)
    pairs = data.pairs
    means = {pair: float(data.cell(*pair).mean()) for pair in pairs}
    drawn, resampling = _draws(data, pairs, seed, draws)
    cells = [pair for pair in pairs if pair[0] > 0 and pair[1] > 0]
    bliss = _reference("bliss", cells, means, drawn)
    hsa = _reference("hsa", cells, means, drawn)
    return CombinationResult(
        n=len(data.effect),
        doses_a=tuple(sorted({a for a, _ in pairs})),
        doses_b=tuple(sorted({b for _, b in pairs})),
        resampling=resampling,
        draws=draws if resampling != "none" else 0,
        seed=seed,
        bliss=bliss,
        hsa=hsa,
        warnings=_warnings(data, resampling),
        loewe=None,
        zip=None,
        means=tuple((a, b, means[a, b], len(data.cell(a, b))) for a, b in pairs),
    )


def _check(data: CombinationData) -> None:
    problems = []
    if not (np.isfinite(data.effect).all() and np.isfinite(data.dose_a).all() and np.isfinite(data.dose_b).all()):
        problems.append(Problem("a dose or an effect is not a finite number", "", "leave broken wells out"))
    if (data.dose_a < 0).any() or (data.dose_b < 0).any():
        problems.append(Problem("a dose is negative", "", "a dose is 0 or above"))
    pairs = set(data.pairs)
    together = [(a, b) for a, b in sorted(pairs) if a > 0 and b > 0]
    if not together:
        problems.append(Problem("no well got both agents", "", "give wells in which dose_a and dose_b are above 0"))
    for name, missing in (
        ("a", sorted({a for a, _ in together if (a, 0.0) not in pairs})),
        ("b", sorted({b for _, b in together if (0.0, b) not in pairs})),
    ):
        other = "b" if name == "a" else "a"
        problems += [
            Problem(
                f"dose {dose:g} of agent {name} was not tested alone",
                f"dose_{name}",
                f"add wells with dose_{name} {dose:g} and dose_{other} 0: without it nothing can be expected",
            )
            for dose in missing
        ]
    if problems:
        raise AssayError.from_problems(problems)


def _draws(
    data: CombinationData, pairs: Sequence[tuple[float, float]], seed: int, draws: int
) -> tuple[dict[tuple[float, float], Array], Literal["replicates", "residuals", "none"]]:
    """Bootstrap means of every dose pair, shape (draws,) each."""
    chance = np.random.default_rng(seed)
    cells = {pair: data.cell(*pair) for pair in pairs}
    if all(len(values) == 1 for values in cells.values()):
        return {}, "none"
    if all(len(values) >= LEAST_OWN for values in cells.values()):
        # a mean of n draws scatters by (n - 1) / n too little: stretched to the unbiased variance
        made = {}
        for pair, values in cells.items():
            n = len(values)
            picked = values[chance.integers(0, n, (draws, n))].mean(axis=1)
            made[pair] = values.mean() + (picked - values.mean()) * np.sqrt(n / (n - 1))
        return made, "replicates"
    residuals = np.concatenate([(v - v.mean()) * np.sqrt(len(v) / (len(v) - 1)) for v in cells.values() if len(v) > 1])
    return {
        pair: values.mean() + residuals[chance.integers(0, len(residuals), (draws, len(values)))].mean(axis=1)
        for pair, values in cells.items()
    }, "residuals"


def _expected(reference: Reference, a: Array | float, b: Array | float) -> Array:
    result: Array = np.asarray(a + b - a * b / 100.0 if reference == "bliss" else np.maximum(a, b))
    return result


def _reference(
    reference: Reference,
    cells: Sequence[tuple[float, float]],
    means: dict[tuple[float, float], float],
    drawn: dict[tuple[float, float], Array],
) -> Expectation:
    made, excesses, spread = [], [], []
    for a, b in cells:
        expected = float(_expected(reference, means[a, 0.0], means[0.0, b]))
        excess = means[a, b] - expected
        low = high = None
        if drawn:
            again = drawn[a, b] - _expected(reference, drawn[a, 0.0], drawn[0.0, b])
            spread.append(again)
            low, high = (float(v) for v in np.percentile(again, _PERCENTILES))
        excesses.append(excess)
        made.append(
            CombinationCell(
                dose_a=a,
                dose_b=b,
                observed=means[a, b],
                expected=expected,
                excess=excess,
                ci_low=low,
                ci_high=high,
                reading=_reading(low, high),
            )
        )
    low = high = None
    if spread:
        low, high = (float(v) for v in np.percentile(np.mean(spread, axis=0), _PERCENTILES))
    at = int(np.argmax(excesses))
    summary = CombinationSummary(
        mean_excess=float(np.mean(excesses)),
        ci_low=low,
        ci_high=high,
        largest_excess=excesses[at],
        largest_at=cells[at],
        reading=_reading(low, high),
    )
    return Expectation(cells=tuple(made), summary=summary)


def _reading(low: float | None, high: float | None) -> Literal["more", "less", "not different", "no interval"]:
    if low is None or high is None:
        return "no interval"
    return "more" if low > 0 else "less" if high < 0 else "not different"


def _warnings(data: CombinationData, resampling: str) -> tuple[str, ...]:
    told = []
    outside = int(((data.effect < 0) | (data.effect > 100)).sum())
    if outside:
        told.append(f"{outside} effects lie outside 0 to 100 % and are kept as they are")
    if float(np.abs(data.effect).max()) <= 1.0:
        told.append("no effect is above 1: were shares given instead of percent?")
    if resampling == "none":
        told.append("no dose pair has a replicate: there are no intervals")
    alone = [v for a, b in data.pairs if (a == 0) != (b == 0) for v in data.cell(a, b)]
    if alone and np.ptp(alone) == 0:
        told.append("all single-agent effects are equal: neither agent does anything alone")
    return tuple(told)
