from __future__ import annotations

import pytest

from nkloop.errors import PlanError
from nkloop.worklists.positions import assign_positions, feedings


@pytest.fixture
def plate(catalogue):
    return catalogue["corning_24_wellplate_3.4ml_flat"]


def test_each_donor_is_a_block_with_every_arm_once(arms, plate):
    positions = assign_positions(arms, ("U1", "U2"), plate, seed=5)
    for donor, block in (("U1", plate.wells[:3]), ("U2", plate.wells[3:6])):
        mine = [p for p in positions if p.donor == donor]
        assert [p.well for p in mine] == list(block)
        assert {p.arm for p in mine} == {arm.name for arm in arms}


def test_the_seed_decides_the_order(arms, plate):
    assert assign_positions(arms, ("U1",), plate, 1) == assign_positions(arms, ("U1",), plate, 1)
    orders = {tuple(p.arm for p in assign_positions(arms, ("U1",), plate, seed)) for seed in range(20)}
    assert len(orders) > 1


def test_too_many_arms_say_how_many_fit(arms, plate):
    with pytest.raises(PlanError, match=r"3 arms of 9 donors need 27 wells.*at most 2 arms"):
        assign_positions(arms, tuple(f"U{n}" for n in range(9)), plate, 1)


def test_feedings_carry_the_split_wells(arms, plate):
    fed = feedings(assign_positions(arms, ("U1",), plate, 1), add_ul=500, remove_ul=500, mixed_wells=("B1",))
    assert [well.mixed for well in fed] == [False, True, False]
    assert {(well.add_ul, well.remove_ul) for well in fed} == {(500, 500)}
