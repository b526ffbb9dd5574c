"""The parallel 4PL assay: curves that share plateaus and slope, apart by the log10 potency ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import f as fisher
from scipy.stats import t as student

from nkloop.assays.fitting.batch import BatchFit, fit_batch
from nkloop.assays.fitting.data import CurveData, Request
from nkloop.assays.fitting.logistic import ANCHOR, BOTTOM, SLOPE, TOP, logistic
from nkloop.assays.fitting.solver import Array, Index, Solution, solve
from nkloop.assays.potency.anova import indicator, residual
from nkloop.assays.potency.data import PotencyData
from nkloop.assays.potency.models import (
    AnovaRow,
    PotencyResult,
    PreparationPotency,
    Similarity,
    only_fields,
    potency_fields,
)
from nkloop.assays.potency.parallel_line import SIGNIFICANT, Question

_LEAST_DOSES = 5
_REACH = 4.0
"""Decades within which a potency ratio is searched."""


@dataclass(frozen=True)
class _Curves:
    """The common model: (bottom, top, log10 EC50 of the standard, slope), then one log10 ratio per preparation."""

    data: PotencyData
    names: tuple[str, ...]
    """The standard first."""
    separate: tuple[BatchFit, ...]
    solution: Solution

    @property
    def rss(self) -> float:
        return float(self.solution.rss[0])

    @property
    def freedom(self) -> int:
        return len(self.data.response) - 4 - (len(self.names) - 1)

    def log_ratio(self, at: int) -> float:
        return float(self.solution.parameters[0, 4 + at])

    def limits(self, at: int) -> tuple[float | None, float | None]:
        """95 % profile-likelihood limits of a log10 ratio."""
        t = float(student.ppf(0.975, self.freedom))
        limit = self.rss * (1 + t * t / self.freedom)
        best = self.log_ratio(at)

        def excess(value: float) -> float:
            held = np.full(self.solution.parameters.shape[1], np.nan)
            held[4 + at] = value
            return float(_solve(self.data, self.names, self.solution.parameters, held).rss[0]) - limit

        ends: list[float | None] = []
        for edge in (best - _REACH, best + _REACH):
            step, inner, found = 0.05, best, None
            while found is None and abs(inner - best) < _REACH:
                outer = inner + np.sign(edge - best) * step
                if excess(outer) > 0:
                    found = float(brentq(excess, inner, outer, xtol=1e-6))
                inner, step = outer, step * 2
            ends.append(found)
        return ends[0], ends[1]


def _solve(data: PotencyData, names: tuple[str, ...], starts: Array, held: Array) -> Solution:
    rows = [data.of(name) for name in names]

    def residuals(parameters: Array, which: Index) -> tuple[Array, Array]:
        k = len(which)
        values, slopes = [], []
        for number, mine in enumerate(rows):
            full = np.column_stack([parameters[:, :4], np.ones(k)])
            if number:
                full[:, ANCHOR] -= parameters[:, 3 + number]
            value, slope = logistic(full, np.broadcast_to(data.log_dose[mine], (k, int(mine.sum()))))
            wide = np.zeros((k, int(mine.sum()), parameters.shape[1]))
            wide[:, :, :4] = slope[:, :, :4]
            if number:
                wide[:, :, 3 + number] = -slope[:, :, ANCHOR]
            values.append(value - data.response[mine])
            slopes.append(wide)
        return np.concatenate(values, axis=1), np.concatenate(slopes, axis=1)

    low = np.where(np.isfinite(held), held, -np.inf)
    high = np.where(np.isfinite(held), held, np.inf)
    # along a profile the sums of squares are right to the square of the offset
    profiled = bool(np.isfinite(held).any())
    settings = {"offset": 1e-5} if profiled else {}
    return solve(residuals, starts, low=low, high=high, most_iterations=80 if profiled else 300, **settings)


def _fitted(data: PotencyData, standard: str) -> _Curves:
    names = (standard, *(n for n in data.names() if n != standard))
    separate = tuple(
        fit_batch(CurveData.of(10 ** data.log_dose[data.of(n)], data.response[data.of(n)]), Request("4pl"))
        for n in names
    )
    each = np.array([fit.parameters[0] for fit in separate])
    offsets = each[0, ANCHOR] - each[1:, ANCHOR]
    firsts = [np.concatenate([shared[:4], offsets]) for shared in (each.mean(axis=0), *each)]
    for first in firsts:
        first[ANCHOR] = each[0, ANCHOR]
    starts = np.array(firsts)
    tried = _solve(data, names, starts, np.full(starts.shape[1], np.nan))
    best = int(np.argmin(tried.rss))
    one = slice(best, best + 1)
    picked = Solution(
        tried.parameters[one],
        tried.rss[one],
        tried.triangle[one],
        tried.free[one],
        tried.converged[one],
        tried.iterations,
    )
    return _Curves(data, names, separate, picked)


def analyse_curves(data: PotencyData, question: Question) -> PotencyResult:
    """Potency of every preparation by parallel 4PL curves, with analysis of variance and similarity."""
    reason = _refusal(data)
    common = {
        "standard": question.standard,
        "design": question.design,
        "transform": question.transform,
        "n": len(data.response),
        "missing": data.missing,
    }
    others = [name for name in data.names() if name != question.standard]
    if reason:
        refused = tuple(
            PreparationPotency(
                preparation=n, determined=False, assumed=question.assumed_of(n), valid=False, reasons=(reason,)
            )
            for n in others
        )
        none = dict.fromkeys(("potency", "ci_low", "ci_high"))
        return PotencyResult.model_validate(
            {
                **common,
                **none,
                "determined": False,
                "preparations": refused,
                "analysis_of_variance": (),
                "valid": False,
                "reasons": (reason,),
            }
        )
    curves = _fitted(data, question.standard)
    rows = _table(curves)
    reasons = _reasons(rows, question)
    preparations = tuple(_preparation(curves, at, name, question, reasons) for at, name in enumerate(curves.names[1:]))
    own = [f"{p.preparation}: {r}" for p in preparations for r in p.reasons if r not in reasons]
    return PotencyResult.model_validate(
        {
            **common,
            "determined": all(p.determined for p in preparations),
            **only_fields(preparations),
            "preparations": preparations,
            "analysis_of_variance": rows,
            "valid": not reasons and all(p.valid for p in preparations),
            "reasons": (*reasons, *own),
            "common_slope": float(curves.solution.parameters[0, SLOPE]),
            "error_variance": curves.rss / curves.freedom,
            "freedom": curves.freedom,
        }
    )


def _refusal(data: PotencyData) -> str:
    for name in data.names():
        mine = data.of(name)
        doses = np.unique(np.round(data.log_dose[mine], 10)).size
        if doses < _LEAST_DOSES:
            return f"preparation {name} has {doses} doses, a 4PL curve needs {_LEAST_DOSES}"
        if np.ptp(data.response[mine]) <= 1e-12 * np.abs(data.response[mine]).max():
            return f"all responses of preparation {name} are equal: nothing changes with dose"
    return ""


def _table(curves: _Curves) -> tuple[AnovaRow, ...]:
    """Regression, non-parallelism (shared against own curves), lack of fit, pure error."""
    data, y = curves.data, curves.data.response
    treatments = indicator([*zip(data.preparation, np.round(data.log_dose, 10).tolist(), strict=True)])
    pure, rank = residual(treatments, y)
    total, _ = residual(np.ones((len(y), 1)), y)
    separate = min(sum(float(fit.rss[0]) for fit in curves.separate), curves.rss)
    k = len(curves.names)
    replicated = len(y) > rank
    error, rest = (pure, len(y) - rank) if replicated else (separate, len(y) - 4 * k)
    terms = [("regression", 3 + k - 1, total - curves.rss), ("non-parallelism", 3 * (k - 1), curves.rss - separate)]
    if replicated and rank > 4 * k:
        terms.append(("lack of fit", rank - 4 * k, separate - pure))
    rows = [_row(source, freedom, max(squares, 0.0), error, rest) for source, freedom, squares in terms]
    rows.append(
        AnovaRow(source="residual", freedom=rest, sum_of_squares=error, mean_square=error / rest if rest > 0 else None)
    )
    rows.append(AnovaRow(source="total", freedom=len(y) - 1, sum_of_squares=total))
    return tuple(rows)


def _row(source: str, freedom: int, squares: float, error: float, rest: int) -> AnovaRow:
    f = p = None
    if rest > 0 and error > 0:
        f = squares / freedom / (error / rest)
        p = float(fisher.sf(f, freedom, rest))
    return AnovaRow(source=source, freedom=freedom, sum_of_squares=squares, mean_square=squares / freedom, f=f, p=p)


def _reasons(rows: tuple[AnovaRow, ...], question: Question) -> tuple[str, ...]:
    found = {row.source: row for row in rows}
    reasons = []
    if found["regression"].p is not None and found["regression"].p >= SIGNIFICANT:
        reasons.append(f"the response does not depend on the dose (p {found['regression'].p:.3f})")
    crossed, bent = found["non-parallelism"], found.get("lack of fit")
    if question.margins is None and crossed.p is not None and crossed.p < SIGNIFICANT:
        reasons.append(f"the curves are not parallel: F {crossed.f:.2f}, p {crossed.p:.3f}")
    if bent is not None and bent.p is not None and bent.p < SIGNIFICANT:
        reasons.append(f"the curves do not fit the means: F {bent.f:.2f}, p {bent.p:.3f}")
    return tuple(reasons)


def _preparation(curves: _Curves, at: int, name: str, question: Question, assay: tuple[str, ...]) -> PreparationPotency:
    best, (low, high) = curves.log_ratio(at), curves.limits(at)
    similar = _similarities(curves, at, question)
    reasons, assumed = list(assay), question.assumed_of(name)
    if low is None or high is None:
        reasons.append("the interval of the potency is unbounded")
    standard, mine = (curves.data.log_dose[curves.data.of(n)] for n in (question.standard, name))
    apart = bool(mine.min() + best > standard.max() or mine.max() + best < standard.min())
    if apart:
        reasons.append("its responses do not overlap with those of the standard: the potency would be extrapolated")
    reasons += [
        f"the 90 % interval of the {s.name} ({s.ci_low:.3g} to {s.ci_high:.3g}) "
        f"is not inside {s.margins[0]:g} to {s.margins[1]:g}"
        for s in similar
        if s.equivalent is False and s.margins is not None and s.ci_low is not None and s.ci_high is not None
    ]
    determined = low is not None and high is not None and not apart
    numbers = potency_fields(best, (low, high), assumed=assumed, valid=not reasons) if determined else {}
    return PreparationPotency(
        **numbers,
        preparation=name,
        determined=determined,
        assumed=assumed,
        valid=not reasons,
        reasons=tuple(reasons),
        similarity=similar,
    )


def _similarities(curves: _Curves, at: int, question: Question) -> tuple[Similarity, ...]:
    """Slope ratio, and differences of the plateaus over the span of the standard, with delta-method 90 % intervals."""
    standard, own = curves.separate[0], curves.separate[1 + at]
    a, b = standard.parameters[0], own.parameters[0]
    va, vb = np.nan_to_num(standard.covariance[0]), np.nan_to_num(own.covariance[0])
    t = float(student.ppf(0.95, max(int(standard.freedom[0] + own.freedom[0]), 1)))
    span = a[TOP] - a[BOTTOM]
    ratio = b[SLOPE] / a[SLOPE]
    # on the log scale, on which a ratio is symmetric
    error = float(np.sqrt(va[SLOPE, SLOPE] / a[SLOPE] ** 2 + vb[SLOPE, SLOPE] / b[SLOPE] ** 2))
    made = [("slope ratio", ratio, ratio * np.exp(-t * error), ratio * np.exp(t * error), question.margins)]
    reach = None if question.margins is None else (1 - question.margins[1], question.margins[1] - 1)
    for name, j in (("top difference / span", TOP), ("bottom difference / span", BOTTOM)):
        value = (b[j] - a[j]) / span
        half = t * float(np.sqrt(va[j, j] + vb[j, j])) / abs(span)
        made.append((name, value, value - half, value + half, reach))
    return tuple(
        Similarity(
            name=name,
            estimate=float(value),
            ci_low=float(low),
            ci_high=float(high),
            margins=margins,
            equivalent=None if margins is None else bool(low >= margins[0] and high <= margins[1]),
        )
        for name, value, low, high, margins in made
    )
