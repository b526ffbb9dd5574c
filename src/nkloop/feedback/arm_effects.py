"""Every arm against the reference of its round, donor and plate as blocks, corrected for the number of arms.

Mixed model by restricted maximum likelihood: arm fixed, donor random, plate a variance component within donor where a
donor has several plates. When a variance component ends at its bound or the fit fails, donor and plate enter as fixed
blocks instead; for complete rounds both give the same differences. Intervals and p are simultaneous over the arms of
a round (Dunnett 1955): the two-sided quantile of the multivariate t of all differences to the reference, with the
degrees of freedom of the fixed-block model.

Where an arm shares no plate with the others, its effect and that of its plate are one: plates are no blocks then, and
the note says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from nkloop.feedback.effects import REFERENCE
from nkloop.feedback.models import Observation
from nkloop.frozen import FrozenModel

Array = NDArray[np.float64]
_AT_BOUND = 1e-6
"""Share of the residual variance below which a variance component counts as at its bound."""
_CONFOUNDED = "arms stand on plates of their own: what a plate does counts as its arm's"
_SEED = 20240101
"""The multivariate t is integrated by quasi-random points: a fixed seed makes equal data give equal figures."""


class ArmEffect(FrozenModel):
    """Difference of one arm to the reference of its round, in units of the value compared."""

    round: int
    arm: str
    n: int
    """Values of the arm."""
    effect: float
    standard_error: float
    ci_low: float
    """95 %, simultaneous over the arms of the round."""
    ci_high: float
    single_low: float
    """95 %, for this arm alone."""
    single_high: float
    p: float
    """Adjusted for the number of arms."""
    freedom: int
    model: Literal["mixed", "fixed blocks"]
    note: str = ""
    """Why blocks are fixed, and why plates are no blocks, where that is so."""


@dataclass(frozen=True)
class Value:
    """One measurement of one arm."""

    arm: str
    donor: str
    plate: str
    value: float


def arm_effects(observations: Sequence[Observation]) -> tuple[ArmEffect, ...]:
    """Effects on the score, round by round; rounds without spare degrees of freedom have none."""
    made: list[ArmEffect] = []
    for number in sorted({o.round for o in observations}):
        values = [Value(o.arm, o.donor, o.plate, o.score) for o in observations if o.round == number]
        made += _compared(tuple(values), number)
    return tuple(made)


@lru_cache(maxsize=64)
def _compared(values: tuple[Value, ...], number: int) -> tuple[ArmEffect, ...]:
    # a report asks for a table and a picture; integrating the multivariate t takes most of a second
    return tuple(compare_to_reference(values, number=number))


def compare_to_reference(
    values: Sequence[Value], *, reference: str = REFERENCE, number: int = 1
) -> tuple[ArmEffect, ...]:
    """Effects of every arm that shares a donor with the reference; empty when nothing can be estimated."""
    donors = {v.donor for v in values if v.arm == reference}
    used = [v for v in values if v.donor in donors]
    arms = [a for a in dict.fromkeys(v.arm for v in used) if a != reference]
    if not arms or not donors:
        return ()
    told = []
    if not _separable(used, arms):
        used = [replace(v, plate="") for v in used]
        told.append(_CONFOUNDED)
    fixed, freedom, spread = _fixed(used, arms)
    if freedom < 1 or spread <= 0:
        return ()
    estimate, covariance, reason = _mixed(used, arms)
    if reason:
        told.insert(0, f"blocks are fixed: {reason}")
        estimate, covariance = fixed
    errors = np.sqrt(np.diagonal(covariance))
    quantile, adjusted = _dunnett(estimate / errors, covariance / np.outer(errors, errors), freedom)
    alone = float(stdtrit(freedom, 0.975))
    return tuple(
        ArmEffect(
            round=number,
            arm=arm,
            n=sum(v.arm == arm for v in used),
            effect=float(estimate[i]),
            standard_error=float(errors[i]),
            ci_low=float(estimate[i] - quantile * errors[i]),
            ci_high=float(estimate[i] + quantile * errors[i]),
            single_low=float(estimate[i] - alone * errors[i]),
            single_high=float(estimate[i] + alone * errors[i]),
            p=adjusted[i],
            freedom=freedom,
            model="fixed blocks" if reason else "mixed",
            note="; ".join(told),
        )
        for i, arm in enumerate(arms)
    )


def _indicators(labels: Sequence[str], levels: Sequence[str]) -> Array:
    return np.array([[float(label == level) for level in levels] for label in labels])


def _separable(values: Sequence[Value], arms: Sequence[str]) -> bool:
    """Whether every arm can be told from donors and plates."""
    blocks = _blocks(values)
    both = np.hstack([blocks, _indicators([v.arm for v in values], arms)])
    return int(np.linalg.matrix_rank(both)) == int(np.linalg.matrix_rank(blocks)) + len(arms)


def _blocks(values: Sequence[Value]) -> Array:
    donors = _indicators([v.donor for v in values], sorted({v.donor for v in values}))
    return np.hstack([donors, _indicators([v.plate for v in values], sorted({v.plate for v in values}))])


def _fixed(values: Sequence[Value], arms: Sequence[str]) -> tuple[tuple[Array, Array], int, float]:
    """Least squares with donors and plates as blocks: differences, their covariance, freedom, residual variance."""
    treated = _indicators([v.arm for v in values], arms)
    design = np.hstack([treated, _blocks(values)])
    y = np.array([v.value for v in values])
    solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=1e-10)
    freedom = len(y) - int(rank)
    variance = float(np.sum((y - design @ solution) ** 2)) / max(freedom, 1)
    spread = variance if variance > 1e-20 * max(float(np.mean(y**2)), 1e-300) else 0.0
    k = len(arms)
    inverse = np.linalg.pinv(design.T @ design, rcond=1e-10, hermitian=True)
    return (np.asarray(solution[:k], float), np.asarray(variance * inverse[:k, :k], float)), freedom, spread


def _mixed(values: Sequence[Value], arms: Sequence[str]) -> tuple[Array, Array, str]:
    """Differences and covariance of the mixed model, and why it cannot be used."""
    none = (np.zeros(len(arms)), np.eye(len(arms)))
    donors = [v.donor for v in values]
    if len(set(donors)) < 3:
        return (*none, f"{len(set(donors))} donors are too few to estimate how donors scatter")
    import pandas as pd  # both take seconds to load, and many rounds have two donors
    from statsmodels.regression.mixed_linear_model import MixedLM

    nested = len({(v.donor, v.plate) for v in values}) > len(set(donors))
    design = np.hstack([_indicators([v.arm for v in values], arms), np.ones((len(values), 1))])
    frame = pd.DataFrame({"plate": [v.plate for v in values]})
    extra: dict[str, Any] = {"exog_re": np.ones((len(values), 1))}
    if nested:
        groups = [frame.index[[d == donor for d in donors]] for donor in dict.fromkeys(donors)]
        matrices = [_indicators(list(frame.plate[g]), sorted(set(frame.plate[g]))) for g in groups]
        extra["exog_vc"] = _components(matrices)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            fit = MixedLM(np.array([v.value for v in values]), design, groups=np.array(donors), **extra).fit(reml=True)
            covariance = np.asarray(fit.cov_params(), float)[: len(arms), : len(arms)]
            parts = [float(np.asarray(fit.cov_re)[0, 0]), *(float(v) for v in np.atleast_1d(fit.vcomp))]
            scale, converged = float(fit.scale), bool(fit.converged)
    except (np.linalg.LinAlgError, ValueError) as error:
        return (*none, f"the mixed model failed: {error}")
    if not converged or not np.isfinite(covariance).all():
        return (*none, "the mixed model did not converge")
    if min(parts) <= _AT_BOUND * scale:
        return (*none, "a variance component is at its bound: donors or plates do not scatter beyond the residual")
    return np.asarray(fit.fe_params, float)[: len(arms)], covariance, ""


def _components(matrices: Sequence[Array]) -> Any:
    from statsmodels.regression.mixed_linear_model import VCSpec

    names = [[f"plate{j}" for j in range(m.shape[1])] for m in matrices]
    return VCSpec(["plate"], [names], [list(matrices)])


def _dunnett(statistics: Array, correlation: Array, freedom: int) -> tuple[float, list[float]]:
    """Two-sided 95 % quantile of the largest of correlated t values, and the adjusted p of each."""
    k = len(statistics)
    if k == 1:
        return float(stdtrit(freedom, 0.975)), [2 * float(stdtr(freedom, -abs(statistics[0])))]
    from scipy.stats import multivariate_t  # slow to load

    # a correlation that rounding made barely indefinite is mended by a hair on the diagonal
    shape = correlation + 1e-9 * np.eye(k)

    def inside(bound: float) -> float:
        box = np.full(k, bound)
        law = multivariate_t(np.zeros(k), shape, df=freedom, seed=_SEED, allow_singular=True)
        return float(law.cdf(box, lower_limit=-box, maxpts=2000 * k, random_state=_SEED))

    low, high = float(stdtrit(freedom, 0.975)), float(stdtrit(freedom, 1 - 0.025 / k))
    quantile = high if inside(high) <= 0.95 else float(brentq(lambda b: inside(b) - 0.95, low * 0.98, high, xtol=1e-3))
    single = [2 * float(stdtr(freedom, -abs(s))) for s in statistics]
    adjusted = [max(p, min(1.0, 1.0 - inside(abs(float(s))))) for p, s in zip(single, statistics, strict=True)]
    return quantile, adjusted
