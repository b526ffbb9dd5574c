"""Points within the envelope: the space-filling first round, and candidates for later ones. All in log2 factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from nkloop.errors import FeedbackError
from nkloop.feedback.envelope import Envelope

Array = NDArray[np.float64]

DEAD_BAND = 0.05
"""Factors closer to 1 than this are 1: no pipette and no cell sees the difference."""
DIGITS = 2
"""Decimals of a factor, for people to read."""
TRIES = 400
BOLDEST = 0.4
"""First-round levels take at least this share of the way to a bound: small steps drown in noise."""


def to_factors(envelope: Envelope, point: Array) -> dict[str, float]:
    """Factors of a tidy point."""
    return {key: round(float(2.0**value), 6) for key, value in zip(envelope.keys, point, strict=True)}


def to_point(envelope: Envelope, factors: dict[str, float]) -> Array:
    """log2 factors in the order of the envelope."""
    full = envelope.complete(factors)
    result: Array = np.log2(np.array([full[key] for key in envelope.keys]))
    return result


def tidy(envelope: Envelope, points: Array) -> Array:
    """Points of shape (m, d) with readable factors inside the bounds and at most the allowed number of changes.

    Surplus changes are dropped smallest first.
    """
    low = np.array([b.lowest for b in envelope.bounds])
    high = np.array([b.highest for b in envelope.bounds])
    result = np.array(points, dtype=float, copy=True)
    surplus = result.shape[1] - envelope.max_components_changed
    if surplus > 0:
        smallest = np.argsort(np.abs(result), axis=1)[:, :surplus]
        np.put_along_axis(result, smallest, 0.0, axis=1)
    factors = np.clip(np.round(2.0**result, DIGITS), low, high)
    factors[np.abs(factors - 1.0) < DEAD_BAND] = 1.0
    return np.log2(factors)


def first_round(envelope: Envelope, n_arms: int, chance: np.random.Generator) -> Array:
    """Maximin design of shape (n_arms, d) around the reference.

    Every component is changed in as equal a number of arms as possible, and the arms that change a component take
    different strata of its range (a Latin hypercube on the arms that change it). Among many such designs the one is
    taken whose two closest points, the reference counted, are farthest apart.

    Raises:
        FeedbackError: the envelope leaves no room for so many distinct arms.
    """
    best, best_distance = None, -1.0
    for _ in range(TRIES):
        design = tidy(envelope, _latin(envelope, n_arms, chance))
        distance = float(pdist(np.vstack([design, np.zeros((1, design.shape[1]))])).min())
        if distance > best_distance:
            best, best_distance = design, distance
    if best is None or best_distance <= 0:
        raise FeedbackError(
            f"the limits leave no room for {n_arms} distinct arms",
            where="first round",
            remedy="widen the bounds, vary more components or test fewer arms",
        )
    return best


def _latin(envelope: Envelope, n_arms: int, chance: np.random.Generator) -> Array:
    members = _members(len(envelope.keys), n_arms, envelope.max_components_changed, chance)
    design = np.zeros(members.shape)
    for column, bound in enumerate(envelope.bounds):
        rows = np.flatnonzero(members[:, column])
        # u in (-1, 1), one value per stratum; the sign chooses the side, the size how far towards the bound
        u = 2 * (chance.permutation(rows.size) + chance.random(rows.size)) / max(rows.size, 1) - 1
        reach = np.where(u < 0, np.log2(bound.lowest), np.log2(bound.highest))
        design[rows, column] = reach * (BOLDEST + (1 - BOLDEST) * np.abs(u))
    return design


def _members(d: int, n_arms: int, per_arm: int, chance: np.random.Generator) -> NDArray[np.bool_]:
    """Which arm changes which component: each arm `per_arm` of them, each component about equally often."""
    members = np.zeros((n_arms, d), dtype=bool)
    for row in chance.permutation(n_arms):
        # the least used components first, ties by chance
        order = np.lexsort((chance.random(d), members.sum(axis=0)))
        members[row, order[:per_arm]] = True
    return members


def candidates(envelope: Envelope, seeds: Sequence[Array], n: int, chance: np.random.Generator) -> Array:
    """Distinct tidy points: random ones, neighbours of the seeds and recombinations of them; shape (m, d), m <= n."""
    d = len(envelope.keys)
    low = np.log2([b.lowest for b in envelope.bounds])
    high = np.log2([b.highest for b in envelope.bounds])
    share = n // 3 if seeds else 0
    n_random = n - 2 * share
    random = low + (high - low) * chance.random((n_random, d))
    at_bound = chance.random((n_random, d)) < 0.2
    random = np.where(at_bound, np.where(chance.random((n_random, d)) < 0.5, low, high), random)
    sizes = chance.integers(1, envelope.max_components_changed + 1, n_random)
    ranks = np.argsort(np.argsort(chance.random((n_random, d)), axis=1), axis=1)
    pool = [np.where(ranks < sizes[:, None], random, 0.0)]
    if seeds:
        parents = np.array(seeds)
        base = parents[chance.integers(len(parents), size=share)]
        noise = 0.25 * chance.standard_normal((share, d)) * (chance.random((share, d)) < 0.4)
        mother = parents[chance.integers(len(parents), size=share)]
        father = parents[chance.integers(len(parents), size=share)]
        pool += [base + noise, np.where(chance.random((share, d)) < 0.5, mother, father)]
        pool.append(parents)
    return np.unique(tidy(envelope, np.clip(np.vstack(pool), low, high)), axis=0)
