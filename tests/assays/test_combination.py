"""Combinations against closed forms, and what the advisory models do when they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from nkloop.assays.combination import CombinationData, analyse_combination
from nkloop.assays.combination_study import study_combination
from nkloop.errors import AssayError


def matrix(excess: float = 0.0, noise: float = 0.0, replicates: int = 3, seed: int = 1) -> CombinationData:
    """Two agents that are independent (Bliss) but for `excess` points."""
    chance = np.random.default_rng(seed)
    rows = []
    for a in (0, 1, 2, 4, 8):
        for b in (0, 1, 3, 9, 27):
            one, two = 80 * a / (a + 2), 60 * b / (b + 5)
            e = one + two - one * two / 100 + (excess if a and b else 0)
            rows += [(a, b, e + noise * chance.standard_normal()) for _ in range(replicates)]
    return CombinationData(*(np.array(column, float) for column in zip(*rows, strict=True)))


def test_independent_agents_have_no_bliss_excess_and_hsa_is_the_weaker_share() -> None:
    result = analyse_combination(matrix(replicates=1))
    assert all(cell.excess == pytest.approx(0, abs=1e-9) for cell in result.bliss.cells)
    first = result.hsa.cells[0]
    one, two = 80 / 3, 10.0
    assert first.excess == pytest.approx(one + two - one * two / 100 - max(one, two))
    assert (first.ci_low, result.resampling) == (None, "none")
    assert "no dose pair has a replicate: there are no intervals" in result.warnings


def test_a_true_excess_is_seen_and_its_interval_is_as_wide_as_theory_says() -> None:
    data = matrix(excess=10, noise=2)
    result = analyse_combination(data)
    assert result.bliss.summary.reading == "more"
    assert result.bliss.summary.ci_low is not None
    assert result.bliss.summary.ci_low < 10 < result.bliss.summary.ci_high  # type: ignore[operator]
    cell = result.bliss.cells[0]
    # observed and both margins carry 2 / sqrt 3 each; the margins are scaled by what the other agent leaves
    theory = 1.96 * 2 / np.sqrt(3) * np.sqrt(1 + 0.9**2 + (1 - 80 / 300) ** 2)
    assert (cell.ci_high - cell.ci_low) / 2 == pytest.approx(theory, rel=0.25)  # type: ignore[operator]


def test_intervals_cover() -> None:
    hits = [
        cell.ci_low <= 0 <= cell.ci_high  # type: ignore[operator]
        for seed in range(60)
        for cell in analyse_combination(matrix(noise=3, seed=seed), draws=300).bliss.cells
    ]
    assert 0.91 <= np.mean(hits) <= 0.98


def test_equal_seeds_give_equal_figures() -> None:
    data = matrix(noise=2)
    assert analyse_combination(data, seed=5) == analyse_combination(data, seed=5)


def test_advice_is_marked_and_follows_the_library() -> None:
    result = study_combination(matrix(excess=8, noise=1))
    assert result.zip is not None
    assert result.loewe is not None
    assert result.zip.advisory
    assert result.zip.mean == pytest.approx(8, abs=3)
    few = matrix(noise=1)
    keep = few.dose_a < 3
    told = study_combination(CombinationData(few.dose_a[keep], few.dose_b[keep], few.effect[keep])).loewe
    assert told is not None
    assert (told.available, told.reason) == (False, "agent a has 2 doses alone, its curve needs 4")


@pytest.mark.parametrize(
    ("a", "b", "effect", "message"),
    [
        pytest.param([0, 1, 1], [1, 0, 2], [1, 2, 3], "dose 2 of agent b was not tested alone", id="missing_margin"),
        pytest.param([0, 1], [1, 0], [1, 2], "no well got both agents", id="margins_only"),
        pytest.param([-1, 1], [1, 1], [1, 2], "a dose is negative", id="negative"),
        pytest.param([0, 1], [1, 1], [1, np.nan], "not a finite number", id="nan"),
    ],
)
def test_broken_matrices_are_refused(a: list[float], b: list[float], effect: list[float], message: str) -> None:
    with pytest.raises(AssayError) as caught:
        analyse_combination(CombinationData(np.array(a, float), np.array(b, float), np.array(effect, float)))
    assert message in str(caught.value)
