"""10,000 four-parameter fits with intervals, all at once, against the same fits one by one with lmfit."""

from __future__ import annotations

import sys

import lmfit
import numpy as np
from scipy.stats import t as student

from nkloop.assays.fitting.batch import BatchFit, fit_batch
from nkloop.assays.fitting.data import CurveData
from nkloop.assays.fitting.logistic import ANCHOR, logistic
from nkloop.assays.fitting.profile import profile_interval
from nkloop.assays.fitting.solver import Array
from stopwatch import seconds, show_machine, show_ratio

DOSES = np.repeat(np.geomspace(0.01, 100, 8), 3)
LOG_DOSES = np.log10(DOSES)[None]
NAMES = ("bottom", "top", "log10_ec50", "slope")
N_PROFILES = 100
"""Profile-likelihood intervals by lmfit take far longer than fits: these many, and their time per fit."""


def main() -> None:
    """Print times, their ratio, and the largest difference of estimates, standard errors and limits."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    show_machine()
    responses = _responses(n)
    made: list[BatchFit] = []
    fast = seconds(lambda: made.append(fit_batch(CurveData.of(DOSES, responses))))
    fit = made[0]
    low, high = fit.intervals()
    theirs = np.empty((4, n, 4))
    slow = seconds(lambda: _one_by_one(responses, theirs))
    print(f"{n:,} fits of {DOSES.size} points: together {fast:.2f} s, one by one {slow:.1f} s")
    show_ratio("fits with t intervals", slow, fast, wanted=10)
    ours = (fit.parameters[:, :4], fit.standard_errors[:, :4], low[:, :4], high[:, :4])
    for what, mine, other in zip(
        ("estimate", "standard error", "lower limit", "upper limit"), ours, theirs, strict=True
    ):
        scale = np.maximum(np.abs(other), fit.standard_errors[:, :4])
        print(f"largest difference of any {what}: {np.max(np.abs(mine - other) / scale):.1e} (wanted: at most 1e-6)")
    _profiles(fit, responses[:N_PROFILES])


def _responses(n: int) -> Array:
    chance = np.random.default_rng(1)
    truth = np.column_stack(
        [
            chance.uniform(0, 10, n),
            chance.uniform(80, 100, n),
            chance.uniform(-0.7, 0.7, n),
            chance.uniform(0.8, 2.0, n),
            np.ones(n),
        ]
    )
    exact, _ = logistic(truth, np.broadcast_to(LOG_DOSES, (n, DOSES.size)))
    result: Array = exact + 3 * chance.standard_normal(exact.shape)
    return result


def _values(parameters: lmfit.Parameters) -> Array:
    return np.array([[*(parameters[name].value for name in NAMES), 1.0]])


def _fit_one(response: Array) -> tuple[lmfit.Minimizer, lmfit.minimizer.MinimizerResult]:
    """lmfit at its best: with derivatives given, so that its answers are exact enough to compare."""
    parameters = lmfit.Parameters()
    parameters.add_many(("bottom", 0.0), ("top", 100.0), ("log10_ec50", 0.0), ("slope", 1.0))
    minimizer = lmfit.Minimizer(lambda p: logistic(_values(p), LOG_DOSES)[0][0] - response, parameters)
    found = minimizer.leastsq(
        Dfun=lambda p: logistic(_values(p), LOG_DOSES)[1][0][:, :4], ftol=1e-15, xtol=1e-15, gtol=1e-15
    )
    return minimizer, found


def _one_by_one(responses: Array, out: Array) -> None:
    quantile = float(student.ppf(0.975, DOSES.size - 4))
    for i, response in enumerate(responses):
        _, found = _fit_one(response)
        estimates = np.array([found.params[name].value for name in NAMES])
        errors = np.array([found.params[name].stderr for name in NAMES])
        out[:, i] = estimates, errors, estimates - quantile * errors, estimates + quantile * errors


def _profiles(fit: BatchFit, responses: Array) -> None:
    n = len(fit.parameters)
    fast = seconds(lambda: profile_interval(fit, ANCHOR)) / n
    fitted = [_fit_one(response) for response in responses]

    def one_by_one() -> None:
        for minimizer, found in fitted:
            lmfit.conf_interval(minimizer, found, p_names=["log10_ec50"], sigmas=[0.95])

    slow = seconds(one_by_one) / len(responses)
    told = f"together {fast * 1e3:.2f} ms ({n:,}), lmfit {slow * 1e3:.1f} ms ({len(responses)})"
    print(f"profile interval of the EC50, per fit: {told}")
    show_ratio("profile-likelihood intervals", slow, fast)


if __name__ == "__main__":
    main()
