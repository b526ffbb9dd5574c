"""The parallel-line assay: potency from the horizontal distance of parallel lines over log dose.

response = blocks + a(preparation) + b log10 dose. The log10 potency ratio of a preparation is (a - a(standard)) / b.
Its limits are Fieller's with the variance between replicates of one treatment (pure error, blocks taken out).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import t as student

from nkloop.assays.fitting.solver import Array
from nkloop.assays.potency import anova
from nkloop.assays.potency.data import PotencyData
from nkloop.assays.potency.fieller import Ratio, ratio
from nkloop.assays.potency.models import (
    AnovaRow,
    Design,
    PotencyResult,
    PreparationPotency,
    Similarity,
    only_fields,
    potency_fields,
)

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Question:
    """What is asked of an assay."""

    standard: str
    design: Design
    transform: str = "identity"
    assumed: Mapping[str, float] | float = 1.0
    """Assumed potency, of every preparation or by name."""
    margins: tuple[float, float] | None = None
    """Equivalence margins of the slope ratio; with them they decide similarity instead of the F test."""

    def assumed_of(self, name: str) -> float:
        """Assumed potency of a preparation; 1 when none was given."""
        return self.assumed.get(name, 1.0) if isinstance(self.assumed, Mapping) else self.assumed


@dataclass(frozen=True)
class _Lines:
    """Common-slope and own-slope models with the pure error."""

    data: PotencyData
    standard: str
    variance: float
    freedom: int

    def others(self) -> list[str]:
        """Preparations beside the standard."""
        return [name for name in self.data.names() if name != self.standard]

    @cached_property
    def _common(self) -> tuple[Array, Array]:
        """Offset of every preparation from the standard, then the common slope."""
        return self._estimates(np.hstack([self._own, self._x, self._rest]), len(self.others()) + 1)

    @cached_property
    def _separate(self) -> tuple[Array, Array]:
        """Slope of every preparation less the standard's, then the slope of the standard."""
        return self._estimates(np.hstack([self._own * self._x, self._x, self._own, self._rest]), len(self.others()) + 1)

    @property
    def _own(self) -> Array:
        return np.column_stack([self.data.of(name) for name in self.others()]).astype(float)

    @property
    def _x(self) -> Array:
        centred: Array = (self.data.log_dose - self.data.log_dose.mean())[:, None]
        return centred

    @property
    def _rest(self) -> Array:
        return np.hstack([np.ones((len(self.data.response), 1)), anova.block_columns(self.data)])

    def _estimates(self, design: Array, first: int) -> tuple[Array, Array]:
        """Estimates and covariance of the first columns, which blocks and constant do not confound."""
        solution, _, _, _ = np.linalg.lstsq(design, self.data.response, rcond=1e-10)
        covariance = self.variance * np.linalg.pinv(design.T @ design, rcond=1e-10, hermitian=True)
        kept: tuple[Array, Array] = (np.asarray(solution[:first], float), np.asarray(covariance[:first, :first], float))
        return kept

    def quantile(self, confidence: float) -> float:
        return float(student.ppf(0.5 + confidence / 2, self.freedom))

    @property
    def slope(self) -> float:
        return float(self._common[0][-1])

    def log_ratio(self, name: str) -> Ratio:
        """log10 potency ratio with 95 % limits."""
        return self._ratio(self._common, name, 0.95, plus=0.0)

    def slope_ratio(self, name: str) -> Ratio:
        """Own slope over that of the standard with 90 % limits."""
        return self._ratio(self._separate, name, 0.90, plus=1.0)

    def slope_p(self, name: str) -> float:
        """t test of the own slope against the standard's."""
        estimates, covariance = self._separate
        at = self.others().index(name)
        value = abs(float(estimates[at])) / float(np.sqrt(covariance[at, at]))
        return 2 * float(student.sf(value, self.freedom))

    def _ratio(self, made: tuple[Array, Array], name: str, confidence: float, *, plus: float) -> Ratio:
        (estimates, covariance), at = made, self.others().index(name)
        found = ratio(
            float(estimates[at]),
            float(estimates[-1]),
            float(covariance[at, at]),
            float(covariance[-1, -1]),
            float(covariance[at, -1]),
            self.quantile(confidence),
        )
        ends = [None if end is None else end + plus for end in (found.low, found.high)]
        return Ratio(found.estimate + plus, ends[0], ends[1], found.g)


def analyse_lines(data: PotencyData, question: Question) -> PotencyResult:
    """Potency of every preparation, the analysis of variance, and whether the assay is valid."""
    rows = anova.table(data)
    residual = next(row for row in rows if row.source == "residual")
    total = next(row for row in rows if row.source == "total")
    reason = _refusal(data, question, residual, total)
    if reason:
        return _without(data, question, rows, reason)
    lines = _Lines(data, question.standard, float(residual.mean_square or 0.0), residual.freedom)
    reasons = _assay_reasons(rows, question, several=len(lines.others()) > 1)
    preparations = tuple(_preparation(lines, name, question, reasons) for name in lines.others())
    own = [f"{p.preparation}: {r}" for p in preparations for r in p.reasons if r not in reasons]
    return PotencyResult(
        standard=question.standard,
        design=question.design,
        transform=question.transform,
        n=len(data.response),
        missing=data.missing,
        determined=all(p.determined for p in preparations),
        **only_fields(preparations),
        preparations=preparations,
        analysis_of_variance=rows,
        valid=not reasons and all(p.valid for p in preparations),
        reasons=(*reasons, *own),
        notes=_notes(rows, data),
        common_slope=lines.slope,
        error_variance=lines.variance,
        freedom=lines.freedom,
    )


def _refusal(data: PotencyData, question: Question, residual: AnovaRow, total: AnovaRow) -> str:
    """Why no potency can be given, or nothing."""
    for name in data.names():
        doses = np.unique(np.round(data.log_dose[data.of(name)], 10)).size
        if doses < 2:
            return f"preparation {name} has {doses} dose, a line needs 2"
    if total.sum_of_squares <= 1e-20 * float(np.sum(data.response**2)):
        return f"all {len(data.response)} responses are equal: nothing changes with dose"
    if residual.freedom < 1:
        return "there are no replicates, so no variance to judge the assay by"
    if residual.sum_of_squares <= 1e-20 * total.sum_of_squares:
        return "replicates do not differ at all: were values copied? No variance to judge the assay by"
    if question.design == "latin" and len({len(set(v)) for v in data.blocks.values()}) > 1:
        return "the rows and columns are not equally many: this is no Latin square"
    return ""


def _without(data: PotencyData, question: Question, rows: tuple[AnovaRow, ...], reason: str) -> PotencyResult:
    others = [name for name in data.names() if name != question.standard]
    return PotencyResult(
        standard=question.standard,
        design=question.design,
        transform=question.transform,
        n=len(data.response),
        missing=data.missing,
        determined=False,
        potency=None,
        ci_low=None,
        ci_high=None,
        preparations=tuple(
            PreparationPotency(
                preparation=n, determined=False, assumed=question.assumed_of(n), valid=False, reasons=(reason,)
            )
            for n in others
        ),
        analysis_of_variance=rows,
        valid=False,
        reasons=(reason,),
    )


def _assay_reasons(rows: tuple[AnovaRow, ...], question: Question, *, several: bool) -> tuple[str, ...]:
    found = {row.source: row for row in rows}
    reasons = []
    regression = found.get("regression")
    if regression is None or regression.p is None or regression.p >= SIGNIFICANT:
        told = "" if regression is None or regression.p is None else f" (p {regression.p:.3f})"
        reasons.append(f"the response does not depend on the dose{told}")
    bent = found.get("non-linearity")
    if bent is not None and bent.p is not None and bent.p < SIGNIFICANT:
        reasons.append(f"the lines are not straight: non-linearity F {bent.f:.2f}, p {bent.p:.3f}")
    crossed = found.get("non-parallelism")
    if question.margins is None and crossed is not None and crossed.p is not None and crossed.p < SIGNIFICANT:
        advice = "; leave out the preparation that differs" if several else ""
        reasons.append(f"the lines are not parallel: F {crossed.f:.2f}, p {crossed.p:.3f}{advice}")
    return tuple(reasons)


def _notes(rows: tuple[AnovaRow, ...], data: PotencyData) -> tuple[str, ...]:
    found = {row.source: row for row in rows}
    notes = []
    for source in ("preparations", "blocks", "rows", "columns"):
        row = found.get(source)
        if row is not None and row.p is not None and row.p < SIGNIFICANT:
            notes.append(f"{source} differ: F {row.f:.2f}, p {row.p:.3f}")
    if "non-linearity" not in found:
        notes.append("two doses per preparation: linearity cannot be tested")
    if data.missing:
        notes.append(f"{data.missing} missing responses: least squares on the others, nothing imputed")
    return tuple(notes)


def _preparation(lines: _Lines, name: str, question: Question, assay: tuple[str, ...]) -> PreparationPotency:
    found, similar = lines.log_ratio(name), _similarity(lines, name, question)
    p, assumed = lines.slope_p(name), question.assumed_of(name)
    reasons = list(assay)
    if found.low is None:
        reasons.append(f"the slope is too uncertain for an interval (g {found.g:.2f}, must be below 1)")
    elif _apart(lines, name, found.estimate):
        reasons.append("its responses do not overlap with those of the standard: the potency would be extrapolated")
    if similar.equivalent is False:
        low, high = similar.margins or (0.0, 0.0)
        shown = "unbounded" if similar.ci_low is None else f"{similar.ci_low:.3g} to {similar.ci_high:.3g}"
        reasons.append(f"the 90 % interval of the slope ratio ({shown}) is not inside {low:g} to {high:g}")
    elif question.margins is None and p < SIGNIFICANT:
        reasons.append(f"its slope differs from that of the standard (p {p:.3f})")
    determined = found.low is not None and not _apart(lines, name, found.estimate)
    limits = (found.low, found.high)
    numbers = potency_fields(found.estimate, limits, assumed=assumed, valid=not reasons) if determined else {}
    return PreparationPotency(
        **numbers,
        preparation=name,
        determined=determined,
        assumed=assumed,
        g=found.g if np.isfinite(found.g) else None,
        valid=not reasons,
        reasons=tuple(reasons),
        nonparallelism_p=p,
        similarity=(similar,),
    )


def _similarity(lines: _Lines, name: str, question: Question) -> Similarity:
    found = lines.slope_ratio(name)
    equivalent = None
    if question.margins is not None:
        low, high = question.margins
        equivalent = found.low is not None and found.high is not None and found.low >= low and found.high <= high
    return Similarity(
        name="slope ratio",
        estimate=found.estimate if np.isfinite(found.estimate) else None,
        ci_low=found.low,
        ci_high=found.high,
        margins=question.margins,
        equivalent=equivalent,
    )


def _apart(lines: _Lines, name: str, log_ratio: float) -> bool:
    """Whether no dose of a preparation, moved by its potency, falls within the doses of the standard."""
    standard = lines.data.log_dose[lines.data.of(lines.standard)]
    moved = lines.data.log_dose[lines.data.of(name)] + log_ratio
    return bool(moved.min() > standard.max() or moved.max() < standard.min())
