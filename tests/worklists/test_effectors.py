from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.worklists.effectors import FRUGAL, Level, PlateTooLargeError, plan_series
from nkloop.worklists.plans import EffectorTube

RATIOS = (10, 5, 2.5, 1.25, 0.625, 0.3125)


def series(catalogue, density, levels, base_ul=0.0):
    tube = EffectorTube(sample="a", lot="harvest:P:A1", cells_per_ul=density)
    block = catalogue["nest_96_wellplate_2ml_deep"]
    return plan_series(tube, levels, 1e4, 100.0, block, 5.0, base_ul=base_ul)


def singles(ratios, replicates=2):
    """Dilutions whose assay wells are given one by one."""
    return [
        Level(ratio, f"{row}1", serves=tuple(f"{row}{column}" for column in range(2, 2 + replicates)))
        for row, ratio in zip("ABCDEFGH", ratios, strict=False)
    ]


def columns(ratios, need):
    """Dilutions that stand in one block column."""
    return [Level(ratio, f"{row}1", column_ul=need) for row, ratio in zip("BCDEFG", ratios, strict=False)]


@given(density=st.floats(min_value=1000, max_value=20_000), fold=st.floats(min_value=1.5, max_value=4))
def test_densities_and_volumes_are_right_at_every_step(catalogue, density, fold):
    ratios = [10 / fold**n for n in range(5)]
    made = series(catalogue, density, singles(ratios))
    concentration, previous = density, None
    for step, ratio in zip(made.steps, ratios, strict=True):
        total = step.take_ul + step.medium_ul
        concentration *= step.take_ul / total
        assert concentration == pytest.approx(ratio * 100, rel=0.01)
        assert step.medium_ul == 0 or step.medium_ul >= 5
        assert step.take_ul >= 5
        if previous is not None:
            assert previous >= step.take_ul + 200 + 30 - 0.1
        previous = total
    assert previous >= 230


@given(
    density=st.floats(min_value=1000, max_value=20_000),
    fold=st.floats(min_value=1.5, max_value=4),
    need=st.floats(min_value=140, max_value=400),
)
def test_a_column_holds_its_volume_in_every_row_whatever_the_base(catalogue, density, fold, need):
    ratios = [10 / fold**n for n in range(5)]
    need = round(need, 2)
    made = series(catalogue, density, columns(ratios, need), base_ul=need)
    concentration = density
    for step, after in zip(made.steps, [*made.steps[1:], None], strict=True):
        total = step.take_ul + step.medium_ul
        concentration *= step.take_ul / total
        assert concentration == pytest.approx(step.ratio * 100, rel=0.01)
        assert total - (after.take_ul if after else 0) >= need - 0.1
        top_up = step.medium_ul - made.base_ul
        assert top_up == 0 or top_up >= 5 - 0.01


def test_halving_takes_equal_medium_in_all_rows_for_hardly_more_cells(catalogue):
    equal, own = (series(catalogue, 2000, columns(RATIOS, 360.0), base_ul=base) for base in (360.0, 0.0))
    assert equal.base_ul == 360
    assert {step.medium_ul for step in equal.steps} == {360}
    assert len({step.medium_ul for step in own.steps}) > 1
    assert own.take_ul < equal.take_ul < FRUGAL * own.take_ul


@pytest.mark.parametrize(
    ("density", "ratios"), [(1000, RATIOS), (1100, RATIOS), (2000, (10, 8, 6.4, 5))], ids=["exact", "thin", "shallow"]
)
def test_equal_medium_is_given_up_when_it_would_waste_cells(catalogue, density, ratios):
    made = series(catalogue, density, columns(ratios, 140.0), base_ul=140.0)
    assert made.base_ul == 0
    assert made.take_ul == series(catalogue, density, columns(ratios, 140.0)).take_ul


def test_copies_are_made_in_addition(catalogue):
    def tube_ul(*copies):
        return series(catalogue, 2000, [Level(10, "B1", column_ul=140.0, copies=copies)]).take_ul

    assert tube_ul(("C1", 140.0), ("D1", 140.0)) == pytest.approx(3 * tube_ul())


def test_too_many_replicates_overflow_a_well(catalogue):
    with pytest.raises(PlateTooLargeError, match=r"the E:T 5 dilution of a needs \d+ µL, a well holds 1800 µL"):
        series(catalogue, 2000, singles([10, 5, 2.5], replicates=15))


def test_a_thin_sample_is_refused(catalogue):
    with pytest.raises(PlanError, match="a has 500 cells/µL, E:T 10 needs 1000 cells/µL"):
        series(catalogue, 500, singles(RATIOS))
