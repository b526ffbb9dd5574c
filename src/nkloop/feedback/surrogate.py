"""Gaussian process for the difference to the reference recipe, with donor and round as blocks.

score(arm, donor, round) = block(donor, round) + f(x) + noise, x = log2 factors, f(0) = 0 at the reference. f has an
ARD Matérn 5/2 kernel pinned to zero at the reference: k(x,x') - k(x,0) - k(0,x') + k(0,0). Blocks have a variance so
wide that only differences within a donor and round inform f. Hyperparameters maximise marginal likelihood times
log-normal priors. (Rasmussen & Williams 2006, chapters 2, 4.2 and 5.4.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

Array = NDArray[np.float64]

LENGTH = 2.0
"""Prior median of a length scale in log2 units: an effect bends over a fourfold change of concentration."""
LENGTH_SPREAD = 0.6
SIGNAL_SPREAD = 0.7
NOISE = 0.1
"""Prior median of the noise when replicates do not tell."""
BLOCK_SHARE = 25.0
"""Block variance over the variance of the scores: vague."""
_ROOT5 = 5.0**0.5


@dataclass(frozen=True)
class Data:
    """Observed values."""

    x: Array
    """log2 factors, shape (n, d)."""
    y: Array
    """Scores, shape (n,)."""
    block: NDArray[np.int_]
    """Number of the donor-and-round block, shape (n,)."""


@dataclass(frozen=True)
class Surrogate:
    """A fitted model; predicts differences to the reference in units of y."""

    data: Data
    signal: float
    lengths: Array
    noise: float
    factor: tuple[Array, bool]
    weights: Array

    @classmethod
    def fit(cls, data: Data, *, noise: float | None = None, freedom: int = 0) -> Surrogate:
        """Fit hyperparameters; `noise` is the pooled replicate standard deviation known with `freedom` degrees."""
        centre, spread = _priors(data, noise, freedom)
        starts = [centre, centre + np.concatenate([[0.5], np.full(data.x.shape[1], -0.5), [0.0]])]
        best = min(
            (
                minimize(
                    _objective,
                    start,
                    args=(data, centre, spread),
                    jac=True,
                    method="L-BFGS-B",
                    bounds=[(c - 3 * s, c + 3 * s) for c, s in zip(centre, spread, strict=True)],
                    options={"maxiter": 60},
                )
                for start in starts
            ),
            key=lambda solution: float(solution.fun),
        )
        signal, lengths, sd = _unpacked(np.asarray(best.x, dtype=float))
        factor = cho_factor(_covariance(data, signal, lengths, sd), lower=True)
        return cls(data, signal, lengths, sd, factor, cho_solve(factor, data.y - data.y.mean()))

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of f at points of shape (m, d)."""
        cross = _pinned(x, self.data.x, self.signal, self.lengths)
        explained = np.einsum("ij,ji->i", cross, cho_solve(self.factor, cross.T))
        variance = _pinned_variance(x, self.signal, self.lengths) - explained
        return cross @ self.weights, np.sqrt(np.maximum(variance, 0.0))

    def covariance(self, a: Array, b: Array) -> Array:
        """Posterior covariance of f between points of shapes (m, d) and (k, d)."""
        result: Array = _pinned(a, b, self.signal, self.lengths) - _pinned(
            a, self.data.x, self.signal, self.lengths
        ) @ cho_solve(self.factor, _pinned(b, self.data.x, self.signal, self.lengths).T)
        return result


def _unpacked(theta: Array) -> tuple[float, Array, float]:
    return float(np.exp(theta[0])), np.exp(theta[1:-1]), float(np.exp(theta[-1]))


def _priors(data: Data, noise: float | None, freedom: int) -> tuple[Array, Array]:
    """Centre and spread of log (signal, lengths, noise)."""
    means = np.array([data.y[data.block == b].mean() for b in data.block])
    scatter = max(float(np.var(data.y - means)), 1e-6)
    known = noise is not None and noise > 0 and freedom > 0
    # what replicate noise explains is not signal; a floor keeps the prior open when noise seems to explain it all
    explained = noise**2 if known and noise is not None else 0.0
    effect = max(scatter - explained, 0.15 * scatter) ** 0.5
    # the standard deviation of log s is about 1 / sqrt(2 df) for a normal sample
    noise_spread = max(0.15, (2 * freedom) ** -0.5) if known else 0.7
    noise_centre = noise if known and noise is not None else min(NOISE, effect)
    d = data.x.shape[1]
    centre = np.log(np.concatenate([[2 * effect], np.full(d, LENGTH), [max(noise_centre, 1e-3 * effect)]]))
    return centre, np.concatenate([[SIGNAL_SPREAD], np.full(d, LENGTH_SPREAD), [noise_spread]])


def _matern(a: Array, b: Array, lengths: Array) -> tuple[Array, Array, Array]:
    """Kernel of unit variance, its common gradient factor, and squared scaled differences (n, m, d)."""
    squares = ((a[:, None, :] - b[None, :, :]) / lengths) ** 2
    r = _ROOT5 * np.sqrt(squares.sum(axis=-1))
    decay = np.exp(-r)
    return (1 + r + r**2 / 3) * decay, 5.0 / 3.0 * (1 + r) * decay, squares


def _pinned(a: Array, b: Array, signal: float, lengths: Array) -> Array:
    zero = np.zeros((1, a.shape[1]))
    result: Array = signal**2 * (
        _matern(a, b, lengths)[0] - _matern(a, zero, lengths)[0] - _matern(zero, b, lengths)[0] + 1.0
    )
    return result


def _pinned_variance(x: Array, signal: float, lengths: Array) -> Array:
    result: Array = signal**2 * 2.0 * (1.0 - _matern(x, np.zeros((1, x.shape[1])), lengths)[0][:, 0])
    return result


def _block_covariance(data: Data) -> Array:
    same: Array = (data.block[:, None] == data.block[None, :]).astype(float)
    return BLOCK_SHARE * max(float(np.var(data.y)), 1e-6) * same


def _covariance(data: Data, signal: float, lengths: Array, noise: float) -> Array:
    result: Array = _pinned(data.x, data.x, signal, lengths) + _block_covariance(data) + noise**2 * np.eye(data.y.size)
    return result


def _objective(theta: Array, data: Data, centre: Array, spread: Array) -> tuple[float, Array]:
    """Negative log posterior of the hyperparameters and its gradient."""
    signal, lengths, noise = _unpacked(theta)
    n = data.y.size
    # the reference is an extra last point, so that pinning is one linear map of kernel and gradients alike
    points = np.vstack([data.x, np.zeros((1, data.x.shape[1]))])
    kernel, slope, squares = _matern(points, points, lengths)
    pin = np.hstack([np.eye(n), -np.ones((n, 1))])
    f = signal**2 * pin @ kernel @ pin.T
    factor = cho_factor(f + _block_covariance(data) + noise**2 * np.eye(n), lower=True)
    y = data.y - data.y.mean()
    alpha = cho_solve(factor, y)
    inner = np.outer(alpha, alpha) - cho_solve(factor, np.eye(n))
    gradient = np.empty_like(theta)
    gradient[0] = np.sum(inner * f)
    pulled = pin.T @ inner @ pin
    gradient[1:-1] = 0.5 * signal**2 * np.einsum("ij,ij,ijd->d", pulled, slope, squares)
    gradient[-1] = noise**2 * np.trace(inner)
    z = (theta - centre) / spread
    value = 0.5 * y @ alpha + np.sum(np.log(np.diag(factor[0]))) + 0.5 * z @ z
    return float(value), -gradient + z / spread
