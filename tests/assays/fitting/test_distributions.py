"""The light forms of quantile and rank correlation against scipy.stats; a plate is analysed without loading it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from scipy.stats import t as student

from nkloop.assays.fitting.distributions import rank_correlation, t_quantile


@pytest.mark.parametrize("p", [0.95, 0.975, 0.995])
def test_quantiles(p: float) -> None:
    freedom = np.array([1, 2, 5, 17, 400])
    np.testing.assert_allclose(t_quantile(p, freedom), student.ppf(p, freedom), rtol=1e-10)


@pytest.mark.parametrize("p", [0.025, 0.5, 0.975])
def test_without_freedom_there_is_no_quantile(p: float) -> None:
    freedom = np.array([0, -1, 3, np.nan])
    np.testing.assert_allclose(t_quantile(p, freedom), student.ppf(p, freedom), rtol=1e-10, atol=1e-15)
    assert np.isnan(t_quantile(p, 0))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=12))
def test_rank_correlation_with_ties(pairs: list[tuple[int, int]]) -> None:
    x, y = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(rank_correlation(x, y))
    else:
        assert rank_correlation(x, y) == pytest.approx(float(spearmanr(x, y).statistic), abs=1e-12)


def test_analysing_a_plate_does_not_load_scipy_stats() -> None:
    code = "import sys, nkloop.assays.plate_file, nkloop.reports.plate_page; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
