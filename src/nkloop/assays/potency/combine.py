"""Independent assays of one preparation combined on the log scale (Ph. Eur. 5.3, 6; USP <1034>)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import chi2
from scipy.stats import t as student

from nkloop.assays.potency.models import CombinedAssay, CombinedPotency
from nkloop.assays.tables import raise_all
from nkloop.errors import AssayError, Problem

HETEROGENEOUS = 0.05


def assay(source: str, potency: float, low: float, high: float, freedom: int) -> CombinedAssay:
    """One assay from its potency and 95 % limits: weight 4 t² / L², L the width of the limits in log10."""
    width = float(np.log10(high / low))
    t = float(student.ppf(0.975, freedom))
    return CombinedAssay(
        source=source, potency=potency, ci_low=low, ci_high=high, freedom=freedom, weight=4 * t * t / width**2
    )


def combine(preparation: str, assays: Sequence[CombinedAssay]) -> CombinedPotency:
    """Weighted mean of log potencies; semi-weighted when the assays differ by more than their own errors.

    Heterogeneity: sum of w (M - weighted mean)² against chi-square with h - 1 degrees of freedom. Semi-weights are
    1 / (1 / w + v) with v the variance of M between assays less their mean own variance, at least 0. Limits use t with
    the summed degrees of freedom when weighted, with h - 1 when semi-weighted or unweighted.

    Raises:
        AssayError: fewer than two assays.
    """
    if len(assays) < 2:
        raise AssayError(f"{len(assays)} assay, combining needs 2", remedy="give more result files")
    m = np.log10([a.potency for a in assays])
    w = np.array([a.weight for a in assays])
    h, mean = len(assays), float(np.average(m, weights=w))
    chi = float(np.sum(w * (m - mean) ** 2))
    p = float(chi2.sf(chi, h - 1))
    between, freedom = 0.0, sum(a.freedom for a in assays)
    if p < HETEROGENEOUS:
        between = max(float(np.var(m, ddof=1) - np.mean(1 / w)), 0.0)
        freedom = h - 1
        w = 1 / (1 / w + between)
        mean = float(np.average(m, weights=w))
    half = float(student.ppf(0.975, freedom)) / float(np.sqrt(w.sum()))
    plain, plain_half = float(m.mean()), float(student.ppf(0.975, h - 1) * m.std(ddof=1) / np.sqrt(h))
    return CombinedPotency(
        preparation=preparation,
        potency=10**mean,
        ci_low=10 ** (mean - half),
        ci_high=10 ** (mean + half),
        method="semi-weighted" if p < HETEROGENEOUS else "weighted",
        chi_square=chi,
        freedom=h - 1,
        p=p,
        between_variance=between,
        unweighted=10**plain,
        unweighted_low=10 ** (plain - plain_half),
        unweighted_high=10 ** (plain + plain_half),
        assays=tuple(assays),
    )


def combine_files(paths: Sequence[Path]) -> tuple[CombinedPotency, ...]:
    """Combine results written by `nkloop analyse potency --json`, per preparation.

    Raises:
        AssayError: a file is no such result, holds a potency that is not valid, or a preparation stands in one only.
    """
    found: dict[str, list[CombinedAssay]] = {}
    problems: list[Problem] = []
    seen: dict[tuple[object, ...], str] = {}
    for path in paths:
        for name, made in _read(path, problems):
            same = (name, made.potency, made.ci_low, made.ci_high)
            if same in seen:
                message = f"holds the same potency of {name} as {seen[same]}"
                problems.append(Problem(message, str(path), "give each independent assay once"))
            seen.setdefault(same, str(path))
            found.setdefault(name, []).append(made)
    problems += [
        Problem(f"preparation {name} stands in one result only", made[0].source, "combining needs two assays of it")
        for name, made in found.items()
        if len(made) < 2
    ]
    raise_all(problems)
    return tuple(combine(name, made) for name, made in found.items())


def _read(path: Path, problems: list[Problem]) -> list[tuple[str, CombinedAssay]]:
    from pydantic import ValidationError

    from nkloop.assays.potency.models import PotencyResult

    remedy = "give files written by nkloop analyse potency FILE --json"
    try:
        result = PotencyResult.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        said = error.strerror if isinstance(error, OSError) else "not a potency result"
        problems.append(Problem(f"cannot be combined: {said}", str(path), remedy))
        return []
    made = []
    for one in result.preparations:
        if not one.valid or one.potency is None or one.ci_low is None or one.ci_high is None:
            reason = one.reasons[0] if one.reasons else "it has no interval"
            message = f"the potency of {one.preparation} is not valid: {reason}"
            problems.append(Problem(message, str(path), "leave this assay out"))
            continue
        freedom = result.freedom or 1
        made.append((one.preparation, assay(path.name, one.potency, one.ci_low, one.ci_high, freedom)))
    return made
