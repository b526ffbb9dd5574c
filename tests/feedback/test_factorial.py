from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.errors import FeedbackError
from nkloop.feedback.factorial import fractional_factorial, full_factorial

TWO = (0.5, 2.0)


def signs(design):
    return np.array(
        [[1 if run[name] == levels[1] else -1 for name, levels in design.levels.items()] for run in design.runs]
    )


@given(st.lists(st.integers(2, 3), min_size=1, max_size=4))
def test_a_full_factorial_has_every_combination_once(sizes):
    levels = {f"F{n}": tuple(float(k + 1) for k in range(size)) for n, size in enumerate(sizes)}
    design = full_factorial(levels)
    assert len({tuple(run.values()) for run in design.runs}) == len(design.runs) == np.prod(sizes)
    assert design.resolution is None
    assert "every effect can be told" in design.sentence


@pytest.mark.parametrize(
    ("n", "generators", "resolution", "runs"),
    [
        pytest.param(3, {"C": "A*B"}, 3, 4, id="half fraction of 3"),
        pytest.param(4, {"D": "A*B*C"}, 4, 8, id="half fraction of 4"),
        pytest.param(5, {"E": "-A*B*C*D"}, 5, 16, id="half fraction of 5, other half"),
        pytest.param(7, {"D": "A*B", "E": "A*C", "F": "B*C", "G": "A*B*C"}, 3, 8, id="saturated 7 in 8"),
        pytest.param(6, {"E": "A*B*C", "F": "B*C*D"}, 4, 16, id="quarter of 6"),
    ],
)
def test_a_fraction_is_balanced_orthogonal_and_states_its_aliases(n, generators, resolution, runs):
    names = "ABCDEFG"[:n]
    design = fractional_factorial(dict.fromkeys(names, TWO), generators)
    table = signs(design)
    assert (design.resolution, len(design.runs)) == (resolution, runs)
    assert (table.T @ table == runs * np.eye(n)).all()
    # the alias sets are those columns of products that are equal (or opposite) in every run
    columns = {name: table[:, k] for k, name in enumerate(names)}
    columns |= {f"{a}·{b}": columns[a] * columns[b] for a, b in combinations(names, 2)}
    together = {frozenset(one.lstrip("-") for one in group) for group in design.aliases}
    for one, other in combinations(columns, 2):
        same = abs(int(columns[one] @ columns[other])) == runs
        assert same == any({one, other} <= group for group in together), (one, other)
    for group in design.aliases:
        for one in group:
            assert (columns[one.lstrip("-")] * (-1 if one.startswith("-") else 1) == columns[group[0]]).all()


def test_a_fraction_says_its_resolution_and_relation():
    design = fractional_factorial({"SCF": TWO, "IL-7": TWO, "TPO": TWO}, {"TPO": "SCF*IL-7"})
    assert design.sentence == (
        "1/2 fraction of 3 factors at 2 levels, 4 runs, resolution III, defining relation I = SCF·IL-7·TPO; "
        "not told apart: SCF = IL-7·TPO; IL-7 = SCF·TPO; TPO = SCF·IL-7"
    )


@pytest.mark.parametrize(
    ("levels", "generators", "message"),
    [
        pytest.param({}, {}, "at least one factor", id="no factor"),
        pytest.param({"A": (2.0,)}, {}, "A has the levels 2, at least 2", id="one level"),
        pytest.param({"A": (2.0, 2.0)}, {}, "A has the levels 2, 2, at least 2 different", id="equal levels"),
        pytest.param(dict.fromkeys("ABCDEFG", TWO), {}, "has 128 runs, at most 96", id="too many runs"),
        pytest.param({"A": TWO, "B": (1.0, 2.0, 3.0)}, {"A": "B"}, "B has not exactly 2 levels", id="three levels"),
        pytest.param({"A": TWO, "B": TWO}, {"B": "Z"}, "names Z, which is no factor", id="unknown factor"),
        pytest.param(dict.fromkeys("ABC", TWO), {"B": "A", "C": "B"}, "uses B, which is generated", id="chained"),
        pytest.param(dict.fromkeys("ABC", TWO), {"C": "A*A"}, "names a factor twice", id="factor twice"),
        pytest.param(dict.fromkeys("AB", TWO), {"B": "A"}, "A and B would change together", id="confounded mains"),
    ],
)
def test_a_design_that_tells_nothing_is_refused(levels, generators, message):
    with pytest.raises(FeedbackError, match=message):
        fractional_factorial(levels, generators) if generators else full_factorial(levels)
