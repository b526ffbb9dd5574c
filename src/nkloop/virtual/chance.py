"""Named random streams: a draw depends on the seed and on what it is for, never on what was drawn before it."""

from __future__ import annotations

from hashlib import sha256

import numpy as np


def stream(seed: int, *names: object) -> np.random.Generator:
    """Random generator for one purpose; the same seed and names give the same numbers in any order of use."""
    digest = sha256("\x1f".join(str(name) for name in names).encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 16, 4)]
    return np.random.default_rng([seed, *words])


def bounded_normal(random: np.random.Generator) -> float:
    """A standard normal draw, cut off at 2.5 standard deviations: nature varies, but no lot is empty."""
    return max(-2.5, min(2.5, float(random.standard_normal())))
