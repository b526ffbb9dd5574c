from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.assays.models import LayoutWell
from nkloop.errors import PlanError
from nkloop.worklists.effectors import plan_series
from nkloop.worklists.plans import EffectorTube


def series(catalogue, density, ratios, replicates=2, index=0):
    free = (f"{row}{column}" for column in range(2, 12) for row in "BCDEFG")
    wells = [
        LayoutWell(well=next(free), role="experimental", sample="a", nominal_ratio=ratio)
        for ratio in ratios
        for _ in range(replicates)
    ]
    tube = EffectorTube(sample="a", lot="harvest:P:A1", cells_per_ul=density)
    return plan_series(tube, wells, index, 1e4, 100.0, catalogue["nest_96_wellplate_2ml_deep"], 5.0)


@given(density=st.floats(min_value=1000, max_value=20_000), fold=st.floats(min_value=1.5, max_value=4))
def test_densities_and_volumes_are_right_at_every_step(catalogue, density, fold):
    ratios = [10 / fold**n for n in range(5)]
    made = series(catalogue, density, ratios)
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


def test_samples_stand_in_rows_and_share_them_when_there_are_more_than_eight(catalogue):
    ratios = [10, 5, 2.5, 1.25, 0.625, 0.3125]
    assert [step.well for step in series(catalogue, 2000, ratios, index=1).steps] == [f"B{n}" for n in range(1, 7)]
    assert [step.well for step in series(catalogue, 2000, ratios, index=8).steps] == [f"A{n}" for n in range(7, 13)]
    with pytest.raises(PlanError, match="no room for 6 dilutions"):
        series(catalogue, 2000, ratios, index=16)


def test_too_many_replicates_overflow_a_well(catalogue):
    with pytest.raises(PlanError, match=r"the E:T 5 dilution of a needs \d+ µL, a well holds 1800 µL"):
        series(catalogue, 2000, [10, 5, 2.5], replicates=15)


def test_a_well_without_a_ratio_is_refused(catalogue):
    tube = EffectorTube(sample="a", lot="harvest:P:A1", cells_per_ul=2000)
    well = LayoutWell(well="B2", role="experimental", sample="a")
    with pytest.raises(PlanError, match="well B2 of a has no E:T"):
        plan_series(tube, [well], 0, 1e4, 100.0, catalogue["nest_96_wellplate_2ml_deep"], 5.0)
