"""Arms against the reference on the same donors and round, with the scatter pooled over the whole campaign."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from scipy.special import stdtrit

from nkloop.feedback.models import ArmSummary, Observation

REFERENCE = "reference"


def pooled_variance(observations: Sequence[Observation]) -> tuple[float | None, int]:
    """Variance of one score about arm + donor effects within rounds, and its degrees of freedom.

    Donors differ far more than arms (SD 0.5 log10 against about 0.1), so their effect is taken out as a block; what
    remains is replicate noise plus arm-by-donor interaction. None when nothing remains to estimate it from.
    """
    if not observations:
        return None, 0
    arms = sorted({(o.round, o.arm) for o in observations})
    donors = sorted({(o.round, o.donor) for o in observations})
    design = np.zeros((len(observations), len(arms) + len(donors)))
    for row, o in enumerate(observations):
        design[row, arms.index((o.round, o.arm))] = 1.0
        design[row, len(arms) + donors.index((o.round, o.donor))] = 1.0
    scores = np.array([o.score for o in observations])
    solution, _, rank, _ = np.linalg.lstsq(design, scores, rcond=None)
    freedom = len(observations) - int(rank)
    if freedom < 1:
        return None, 0
    return float(np.sum((scores - design @ solution) ** 2)) / freedom, freedom


def summarise(observations: Sequence[Observation]) -> tuple[ArmSummary, ...]:
    """Every arm of every round; an arm without a reference on any of its donors has no summary.

    The interval of `delta` is a 95 % t interval with the pooled variance; donors without a reference do not count.
    """
    variance, freedom = pooled_variance(observations)
    reference = {(o.round, o.donor): o for o in observations if o.arm == REFERENCE}
    rows = []
    for number, arm in dict.fromkeys((o.round, o.arm) for o in sorted(observations, key=lambda o: o.round)):
        mine = [o for o in observations if (o.round, o.arm) == (number, arm) and (o.round, o.donor) in reference]
        if mine:
            delta = fmean(o.score - reference[o.round, o.donor].score for o in mine)
            rows.append(_summary(mine, delta, variance, freedom))
    return tuple(rows)


def _summary(mine: Sequence[Observation], delta: float, variance: float | None, freedom: int) -> ArmSummary:
    n, is_reference = len(mine), mine[0].arm == REFERENCE
    low = high = None
    if variance is not None and not is_reference:
        half = float(stdtrit(freedom, 0.975)) * (2 * variance / n) ** 0.5
        low, high = delta - half, delta + half
    return ArmSummary(
        arm=mine[0].arm,
        round=mine[0].round,
        n=n,
        score=fmean(o.score for o in mine),
        score_standard_error=None if variance is None else (variance / n) ** 0.5,
        delta=delta,
        delta_low=low,
        delta_high=high,
        log10_fold=fmean(o.log10_fold for o in mine),
        purity_percent=fmean(o.purity_percent for o in mine),
        viability_percent=fmean(o.viability_percent for o in mine),
        potency=fmean(o.potency for o in mine),
        feasible=all(o.feasible for o in mine),
    )
