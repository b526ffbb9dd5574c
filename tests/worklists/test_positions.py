from __future__ import annotations

from collections import Counter

import pytest

from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.worklists.positions import assign_positions, feedings, map_csv, outer_wells, usable_wells


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


def test_every_block_holds_every_arm_once_and_seeds_spread_arms_evenly(catalogue):
    arms = many_arms(6)
    kind = catalogue["corning_96_wellplate_360ul_flat"]
    places = Counter()
    for seed in range(400):
        made = assign_positions(arms, ("U1", "U2"), kind, seed, replicates=2, outer="avoid")
        blocks = {}
        for one in made:
            blocks.setdefault((one.donor, one.replicate), []).append(one.arm)
        assert len(blocks) == 4
        assert all(sorted(names) == sorted(arm.name for arm in arms) for names in blocks.values())
        assert {one.well for one in made} == set(usable_wells(kind, "avoid")[:24])
        places.update(one.well for one in made if one.arm == "reference")
    # each well of a block is the reference's 400 / 6 times, within 5 SD of a binomial
    assert len(places) == 24
    assert all(abs(n - 400 / 6) < 5 * (400 / 6 * 5 / 6) ** 0.5 for n in places.values())


def test_the_same_seed_gives_the_same_map_and_another_one_another(catalogue):
    arms, kind = many_arms(6), catalogue["corning_24_wellplate_3.4ml_flat"]
    first, again, other = (assign_positions(arms, ("U1", "U2"), kind, seed) for seed in (5, 5, 6))
    assert first == again != other
    text = map_csv(first, plate="P-1", seed=5, levels={one.name: f"{one.name}: SCF x2" for one in arms})
    assert text.splitlines()[0] == "plate,well,donor,replicate,arm,seed,outer_wells,levels"
    assert text.splitlines()[1] == f"P-1,A1,U1,1,{first[0].arm},5,use,{first[0].arm}: SCF x2"


@pytest.mark.parametrize(
    ("load_name", "edge", "inner"),
    [
        pytest.param("corning_96_wellplate_360ul_flat", 36, 60, id="96"),
        pytest.param("corning_48_wellplate_1.6ml_flat", 24, 24, id="48"),
        pytest.param("corning_24_wellplate_3.4ml_flat", 16, 8, id="24"),
        pytest.param("corning_6_wellplate_16.8ml_flat", 6, 0, id="6"),
    ],
)
def test_the_edge_is_left_out_by_policy(catalogue, load_name, edge, inner):
    kind = catalogue[load_name]
    assert len(outer_wells(kind)) == edge
    assert len(usable_wells(kind, "medium")) == inner
    with pytest.raises(PlanError, match="of them away from the edge"):
        assign_positions(many_arms(61), ("U1",), kind, 1, outer="medium")


def many_arms(n):
    rest = [Arm(name=f"arm-{k}", factors={}, origin="exploration") for k in range(1, n)]
    return [Arm(name="reference", factors={}, origin="reference"), *rest]
