"""Simulated plates with known truth: coverage of the 95 % intervals and bias, for curves, potency and combinations."""

from __future__ import annotations

import sys

import numpy as np

from nkloop.assays.combination import CombinationData, analyse_combination
from nkloop.assays.fitting.batch import fit_batch
from nkloop.assays.fitting.data import CurveData, Request
from nkloop.assays.fitting.logistic import ANCHOR, NAMES, SLOPE, TOP, Level, logistic, move_anchor
from nkloop.assays.fitting.profile import profile_interval
from nkloop.assays.fitting.solver import Flags
from nkloop.assays.potency.data import PotencyData
from nkloop.assays.potency.parallel_line import Question, analyse_lines
from stopwatch import show_machine

RATIOS = np.repeat([10.0, 5.0, 2.5, 1.25, 0.625, 0.3125], 3)


def main() -> None:
    """Print coverage (wanted: 93 to 97 %) and bias (wanted: below 1 %) over simulated plates, 2,000 unless said."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    show_machine()
    chance = np.random.default_rng(2026)
    _curves(n, chance)
    _potency(n, chance)
    _combination(max(n // 20, 20), chance)


def _share(hits: Flags) -> str:
    share = 100 * float(np.mean(hits))
    return f"{share:.1f} % ({'met' if 93 <= share <= 97 else 'NOT MET'})"


def _curves(n: int, chance: np.random.Generator) -> None:
    truth = np.array([0.0, 92.0, np.log10(1.6), 1.2, 1.0])
    log_ratio = np.log10(RATIOS)
    exact = logistic(truth[None], log_ratio[None])[0]
    lysis = exact + 4 * chance.standard_normal((n, RATIOS.size))
    fit = fit_batch(CurveData.of(RATIOS, lysis), Request("3pl"))
    for j in (TOP, ANCHOR, SLOPE):
        low, high = profile_interval(fit, j)
        print(f"3PL of lysis, {n} plates, {NAMES[j]}: covered {_share((low <= truth[j]) & (truth[j] <= high))}")
    half = Level(50.0, is_response=True)
    low, high = profile_interval(fit, ANCHOR, level=half)
    where = float(move_anchor(truth[None], half)[0])
    print(f"ET50 (50 % lysis): covered {_share((low <= where) & (where <= high))}")
    found = 10 ** move_anchor(fit.parameters, half)
    for name, bias in (
        ("ET50", np.mean(found) / 10**where - 1),
        ("top", np.mean(fit.parameters[:, TOP]) / truth[TOP] - 1),
    ):
        print(f"bias of {name}: {100 * bias:+.2f} % ({'met' if abs(bias) < 0.01 else 'NOT MET'})")


def _potency(n: int, chance: np.random.Generator) -> None:
    doses = np.log10(np.repeat([1.0, 2.0, 4.0, 8.0], 3))
    names = ("S",) * 12 + ("T",) * 12
    x = np.concatenate([doses, doses])
    hits, found = [], []
    for _ in range(n):
        y = 10 + 8 * x + np.array([0.0] * 12 + [8 * np.log10(1.25)] * 12) + 0.8 * chance.standard_normal(24)
        result = analyse_lines(PotencyData(names, x, y, y), Question("S", "crd"))
        hits.append(
            result.ci_low is not None and result.ci_high is not None and result.ci_low <= 1.25 <= result.ci_high
        )
        found.append(np.log10(result.potency or np.nan))
    bias = 10 ** float(np.nanmean(found)) / 1.25 - 1
    print(f"parallel-line potency, {n} assays: covered {_share(np.array(hits))}, bias {100 * bias:+.2f} %")


def _combination(n: int, chance: np.random.Generator) -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(np.repeat([0, 1, 2, 4, 8], 3), [0, 1, 3, 9, 27]))
    one, two = 80 * a / (a + 2), 60 * b / (b + 5)
    exact = one + two - one * two / 100
    hits = []
    for seed in range(n):
        effect = exact + 3 * chance.standard_normal(exact.size)
        result = analyse_combination(CombinationData(a.astype(float), b.astype(float), effect), seed=seed)
        hits += [
            c.ci_low is not None and c.ci_high is not None and c.ci_low <= 0 <= c.ci_high for c in result.bliss.cells
        ]
    print(f"Bliss excess per dose pair, {n} matrices of {len(result.bliss.cells)}: covered {_share(np.array(hits))}")


if __name__ == "__main__":
    main()
