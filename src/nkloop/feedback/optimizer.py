"""What to test next and what to propose, from the observations so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nkloop.feedback.designs import candidates, to_point
from nkloop.feedback.effects import REFERENCE, pooled_variance
from nkloop.feedback.envelope import Envelope
from nkloop.feedback.models import Observation
from nkloop.feedback.surrogate import Data, Surrogate

Array = NDArray[np.float64]

N_CANDIDATES = 1500
CAUTION = 1.0
"""A proposal maximises mean minus this many standard deviations: certain gains before hoped-for ones."""
SAFE = 0.8
"""Least probability that an untested point keeps the viability limit."""
VIABILITY_NOISE = 2.0
"""Standard deviation of a viability count in percentage points when replicates do not tell."""
REFINEMENTS = 3
SMALLEST_CHANGE = 0.25
"""Smallest change worth a validation, in log2 of the factor (19 %): stocks and pipetting vary by several percent."""
CERTAIN = 0.5
"""A single change must be expected to gain at least this many of its own standard deviations."""
IDLE = 0.05
"""A change is idle when the proposal without it loses less than this share of its expected gain."""


@dataclass(frozen=True)
class Beliefs:
    """What is believed of every point: difference of score to the reference, and viability."""

    envelope: Envelope
    score: Surrogate
    viability: Surrogate | None
    """None when the viability of every arm is far from the limit."""
    viability_margin: float
    """Mean viability of the reference above the limit, in percentage points."""
    tested: tuple[tuple[float, ...], ...]
    """Distinct tested points that keep every limit, without the reference."""
    barred: frozenset[tuple[float, ...]]
    """Tested points that did not keep a limit."""
    replicate_noise: float

    @classmethod
    def of(cls, envelope: Envelope, observations: Sequence[Observation], limit: float) -> Beliefs:
        """Fit the models; `limit` is the least viability in %."""
        data = _data(envelope, observations, [o.score for o in observations])
        variance, freedom = pooled_variance(observations)
        score = Surrogate.fit(data, noise=None if variance is None else variance**0.5, freedom=freedom)
        near = any(o.viability_percent < limit + 10 for o in observations)
        viability = None
        if near:
            found = _data(envelope, observations, [o.viability_percent for o in observations])
            viability = Surrogate.fit(found, noise=VIABILITY_NOISE, freedom=4)
        reference = [o.viability_percent for o in observations if o.arm == REFERENCE]
        points = [(tuple(float(v) for v in to_point(envelope, o.factors)), o) for o in observations]
        barred = frozenset(p for p, o in points if not o.feasible)
        tested = tuple(dict.fromkeys(p for p, _ in points if p not in barred and any(p)))
        margin = float(np.mean(reference)) - limit
        return cls(envelope, score, viability, margin, tested, barred, score.noise)

    def feasibility(self, points: Array) -> Array:
        """Probability that mean viability keeps its limit."""
        if self.viability is None:
            return np.ones(len(points))
        mean, sd = self.viability.predict(points)
        result: Array = ndtr((self.viability_margin + mean) / np.maximum(sd, 0.5))
        return result

    def allowed(self, points: Array) -> Array:
        """Points without those that failed a limit when tested and those that probably would."""
        barred = np.array([tuple(p) in self.barred for p in points], dtype=bool)
        result: Array = points[~barred & (self.feasibility(points) >= SAFE)]
        return result

    def best_tested(self) -> Array | None:
        """Tested point with the highest posterior mean, when that is above the reference."""
        if not self.tested:
            return None
        points = np.array(self.tested)
        mean, _ = self.score.predict(points)
        return points[int(np.argmax(mean))] if mean.max() > 0 else None


def next_points(beliefs: Beliefs, n: int, n_donors: int, chance: np.random.Generator) -> Array:
    """Batch of `n` points by expected improvement, each chosen as if the ones before had given what is expected.

    That is the kriging believer: the mean stays, the uncertainty around chosen points shrinks, so a batch spreads.
    Shape (m, d) with m <= n when the envelope holds fewer distinct points.
    """
    tested = np.array(beliefs.tested) if beliefs.tested else np.zeros((0, len(beliefs.envelope.keys)))
    pool = candidates(beliefs.envelope, list(tested), N_CANDIDATES, chance)
    known = {*beliefs.tested, *beliefs.barred}
    pool = pool[[any(p) and tuple(p) not in known for p in pool]]
    mean, sd = beliefs.score.predict(pool)
    target = max(0.0, float(beliefs.score.predict(tested)[0].max()) if len(tested) else 0.0)
    variance, feasible = sd**2, beliefs.feasibility(pool)
    noise = beliefs.replicate_noise**2 / n_donors
    chosen: list[int] = []
    updates: list[Array] = []
    while len(chosen) < min(n, len(pool)):
        gain = _expected_improvement(mean - target, np.sqrt(np.maximum(variance, 0.0))) * feasible
        gain[chosen] = -1.0
        index = int(np.argmax(gain))
        chosen.append(index)
        update = beliefs.score.covariance(pool, pool[index : index + 1])[:, 0]
        for earlier in updates:
            update = update - earlier * earlier[index]
        update = update / np.sqrt(max(update[index], 0.0) + noise)
        updates.append(update)
        variance = variance - update**2
        target = max(target, float(mean[index]))
    return pool[chosen]


def best_point(beliefs: Beliefs, chance: np.random.Generator) -> Array | None:
    """Point with the highest cautious expectation among tested arms and the whole envelope; None: none is better."""
    seeds = [np.array(p) for p in beliefs.tested]
    best, best_value = None, 0.0
    for _ in range(REFINEMENTS):
        pool = candidates(beliefs.envelope, seeds, N_CANDIDATES, chance)
        pool = beliefs.allowed(np.vstack([pool, *(s[None, :] for s in seeds)]))
        pool = pool[pool.any(axis=1)]
        if not len(pool):
            break
        mean, sd = beliefs.score.predict(pool)
        value = np.where(mean > 0, mean - CAUTION * sd, -np.inf)
        index = int(np.argmax(value))
        if np.isfinite(value[index]) and (best is None or value[index] > best_value):
            best, best_value = pool[index], float(value[index])
        seeds = [*(np.array(p) for p in beliefs.tested), *pool[np.argsort(value)[-10:]]]
    return None if best is None else _worthwhile(beliefs, _without_idle_changes(beliefs, best))


def gain_of(beliefs: Beliefs, point: Array, index: int) -> tuple[float, float]:
    """What the model expects of one change of a point, the others kept: mean and standard deviation of the score."""
    without = point.copy()
    without[index] = 0.0
    both = np.vstack([point, without])
    mean, _ = beliefs.score.predict(both)
    covariance = beliefs.score.covariance(both, both)
    sd = float(np.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0.0)))
    return float(mean[0] - mean[1]), sd


def _worthwhile(beliefs: Beliefs, point: Array) -> Array | None:
    """Undo changes too small or too uncertain to ask a person for; None when no change is left."""
    kept = point.copy()
    while kept.any():
        gains = {int(i): gain_of(beliefs, kept, int(i)) for i in np.flatnonzero(kept)}
        weak = [i for i, (mean, sd) in gains.items() if mean < CERTAIN * sd or abs(kept[i]) < SMALLEST_CHANGE]
        if not weak:
            return kept if len(beliefs.allowed(kept[None, :])) else None
        kept[min(weak, key=lambda i: gains[i][0])] = 0.0
    return None


def _without_idle_changes(beliefs: Beliefs, point: Array) -> Array:
    """Undo, one by one, changes whose removal costs next to nothing: each change is one more thing to validate."""
    kept = point.copy()
    while np.count_nonzero(kept) > 1:
        fewer = np.array([np.where(np.arange(kept.size) == i, 0.0, kept) for i in np.flatnonzero(kept)])
        mean, sd = beliefs.score.predict(np.vstack([kept[None, :], fewer]))
        value = np.where(mean > 0, mean - CAUTION * sd, -np.inf)
        best = 1 + int(np.argmax(value[1:]))
        idle = value[best] >= value[0] - IDLE * max(mean[0], 0.0)
        if not idle or not len(beliefs.allowed(fewer[best - 1][None, :])):
            return kept
        kept = fewer[best - 1]
    return kept


def _expected_improvement(gain: Array, sd: Array) -> Array:
    safe = np.maximum(sd, 1e-12)
    z = gain / safe
    result: Array = gain * ndtr(z) + safe * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return result


def _data(envelope: Envelope, observations: Sequence[Observation], values: Sequence[float]) -> Data:
    blocks = sorted({(o.round, o.donor) for o in observations})
    return Data(
        np.array([to_point(envelope, o.factors) for o in observations]),
        np.array(values, dtype=float),
        np.array([blocks.index((o.round, o.donor)) for o in observations]),
    )
