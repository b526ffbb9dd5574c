"""The Gaussian process: blocks cancel, gradients are right, uncertainty behaves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from nkloop.feedback import surrogate
from nkloop.feedback.surrogate import Data, Surrogate


def data(n: int = 8, d: int = 3, seed: int = 0, noise: float = 0.05) -> Data:
    chance = np.random.default_rng(seed)
    x = chance.uniform(-1, 1, (n, d))
    x[0] = 0.0
    points, block = np.vstack([x, x]), np.repeat([0, 1], n)
    y = points[:, 0] - 0.5 * points[:, 1] ** 2 + np.array([3.0, 4.0])[block] + noise * chance.standard_normal(2 * n)
    return Data(points, y, block)


def test_gradient_of_the_hyperparameter_objective() -> None:
    known = data()
    centre, spread = surrogate._priors(known, 0.05, 7)
    for shift in (0.0, 0.4):
        error = check_grad(
            lambda theta: surrogate._objective(theta, known, centre, spread)[0],
            lambda theta: surrogate._objective(theta, known, centre, spread)[1],
            centre + shift,
        )
        assert error < 1e-3


def test_the_reference_has_no_difference_to_itself() -> None:
    mean, sd = Surrogate.fit(data()).predict(np.zeros((1, 3)))
    assert mean[0] == pytest.approx(0, abs=1e-9)
    assert sd[0] == pytest.approx(0, abs=1e-6)


def test_shifting_a_whole_block_changes_nothing() -> None:
    known = data()
    moved = Data(known.x, known.y + np.where(known.block == 1, 2.0, 0.0), known.block)
    theta = np.log([1.0, 2.0, 2.0, 2.0, 0.05])
    signal, lengths, noise = surrogate._unpacked(theta)
    x = np.array([[0.5, 0.2, -0.3]])
    means = []
    for each in (known, moved):
        wide = surrogate._covariance(each, signal, lengths, noise)
        weights = np.linalg.solve(wide, each.y - each.y.mean())
        means.append(float((surrogate._pinned(x, each.x, signal, lengths) @ weights)[0]))
    assert means[1] == pytest.approx(means[0], abs=2e-3)


def test_a_smooth_function_is_recovered() -> None:
    model = Surrogate.fit(data(n=25, noise=0.02), noise=0.02, freedom=24)
    x = np.random.default_rng(9).uniform(-0.7, 0.7, (20, 3))
    mean, sd = model.predict(x)
    truth = x[:, 0] - 0.5 * x[:, 1] ** 2
    assert np.abs(mean - truth).max() < 0.1
    assert np.mean(np.abs(mean - truth) < 2 * sd) >= 0.8


def test_uncertainty_grows_away_from_the_data_and_falls_with_more() -> None:
    few, many = Surrogate.fit(data(n=5)), Surrogate.fit(data(n=20))
    far, near = np.full((1, 3), 3.0), np.full((1, 3), 0.3)
    assert few.predict(far)[1] > few.predict(near)[1]
    assert many.predict(near)[1] < few.predict(near)[1]


def test_covariance_agrees_with_the_standard_deviation() -> None:
    model, x = Surrogate.fit(data()), np.random.default_rng(1).uniform(-1, 1, (4, 3))
    assert np.sqrt(np.diag(model.covariance(x, x))) == pytest.approx(model.predict(x)[1], rel=1e-6)
