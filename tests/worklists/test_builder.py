from __future__ import annotations

import pytest

from nkloop.errors import PlanError
from nkloop.worklists.builder import DeckFullError, WorklistBuilder, round_up, split
from nkloop.worklists.models import Liquid

WATER = Liquid(name="water", per_ul={"water": 1.0}, lot="LOT-W")


@pytest.fixture
def builder(deck, catalogue):
    made = WorklistBuilder("test", "medium_preparation", deck, catalogue)
    made.place("water", "nest_12_reservoir_15ml", "Water")
    made.place("plate", "nest_96_wellplate_2ml_deep", "Plate")
    return made


@pytest.mark.parametrize(
    ("volume", "number", "parts"),
    [(1500, 2, (750, 750)), (1000.01, 2, (500.01, 500.0)), (10, 1, (10,)), (0.05, 2, (0.03, 0.02))],
)
def test_parts_sum_to_the_whole(volume, number, parts):
    assert split(volume, number) == pytest.approx(parts)
    assert sum(split(volume, number)) == pytest.approx(volume)


@pytest.mark.parametrize(("volume", "rounded"), [(12.3, 13), (999.5, 1000), (1001, 1010), (12_345, 12_400), (50, 50)])
def test_volumes_are_rounded_up_to_what_a_person_measures(volume, rounded):
    assert round_up(volume) == rounded


def test_large_volumes_are_split_and_sources_filled_with_what_is_drawn(builder):
    water = builder.supply("water", ["A1"], WATER)
    builder.transfer(water, ("plate", "A1"), 1500)
    worklist = builder.build()
    assert [step.volume_ul for step in worklist.steps] == [750, 750]
    assert [step.tip for step in worklist.steps] == ["tips_1000:A12", ""]
    assert worklist.fillings[0].volume_ul == 1500 + 500
    assert worklist.pipettes == {"left": "flex_1channel_1000"}


def test_a_supply_opens_its_next_well_when_one_is_used_up(builder):
    water = builder.supply("water", ["A1", "A2"], WATER)
    for column in range(1, 11):
        builder.transfer(water, ("plate", f"A{column}"), 175, channels=8, fresh=column == 1)
    worklist = builder.build()
    assert [(filling.well, filling.volume_ul) for filling in worklist.fillings] == [("A1", 13_100), ("A2", 1900)]


def test_a_supply_that_cannot_give_more_says_so(builder):
    water = builder.supply("water", ["A1"], WATER)
    builder.transfer(water, ("plate", "A1"), 1000)
    for column in range(2, 11):
        builder.transfer(water, ("plate", f"A{column}"), 170, channels=8)
    with pytest.raises(PlanError, match="water needs more than the deck holds: each well gives 13500 µL"):
        builder.transfer(water, ("plate", "A11"), 170, channels=8)


def test_tips_are_the_smallest_that_take_the_volume(builder):
    water = builder.supply("water", ["A1"], WATER)
    for number, volume in enumerate((50, 51, 200, 201), start=1):
        builder.transfer(water, ("plate", f"A{number}"), volume)
    builder.transfer(water, ("plate", "A6"), 50, channels=8)
    tips = [step.tip for step in builder.build().steps]
    assert tips == ["tips_50:A12", "tips_200:A12", "tips_200:B12", "tips_1000:A12", "tips_50:A1"]


def test_a_used_up_rack_is_followed_by_the_next(builder):
    water = builder.supply("water", ["A1"], WATER)
    for _ in range(12):
        builder.transfer(water, ("plate", "A1"), 5, channels=8, fresh=True)
    builder.transfer(water, ("plate", "A2"), 5)
    racks = {step.tip.partition(":")[0] for step in builder.steps}
    assert racks == {"tips_50", "tips_50_2"}


def test_a_full_deck_is_told(builder):
    for number in range(7):
        builder.place(f"more_{number}", "nest_96_wellplate_2ml_deep", "More")
    with pytest.raises(DeckFullError, match=r"no free slot is left for One more \(nest_96_wellplate_2ml_deep\)"):
        builder.place("one_more", "nest_96_wellplate_2ml_deep", "One more")
    water = builder.supply("water", ["A1"], WATER)
    with pytest.raises(DeckFullError, match="the deck holds no more tips for 10 µL"):
        builder.transfer(water, ("plate", "A1"), 10)


def test_channels_that_find_no_tips_reach_nothing(builder):
    for number in range(7):
        builder.place(f"more_{number}", "nest_96_wellplate_2ml_deep", "More")
    assert not builder.reaches([("plate", "A1")], 8, 10)


def test_reach_is_asked_of_the_pipette_that_takes_the_volume(deck, catalogue):
    eight = next(spec for spec in deck.pipettes if spec.channels == 8)
    small = eight.model_copy(update={"mount": "left", "min_volume_ul": 1, "max_volume_ul": 50})
    both = deck.model_copy(update={"pipettes": (small, eight), "tips": tuple(t for t in deck.tips if t.volume_ul > 50)})
    made = WorklistBuilder("test", "medium_preparation", both, catalogue)
    made.place("plate", "nest_96_wellplate_2ml_deep", "Plate")
    assert made.reaches([("plate", "A1")], 8, 100)
    assert not made.reaches([("plate", "A1")], 8, 10), "no tips for the small pipette, which takes 10 µL"


def test_slots_of_trash_and_modules_stay_free(builder):
    for number in range(6):
        builder.place(f"more_{number}", "nest_96_wellplate_2ml_deep", "More")
    water = builder.supply("water", ["A1"], WATER)
    builder.transfer(water, ("plate", "A1"), 10)
    slots = {item.slot for item in builder.build().deck}
    assert slots == {"A1", "A2", "B1", "B2", "B3", "C2", "C3", "D2", "D3"}


def test_mixing_never_takes_more_than_stands_there(builder):
    water = builder.supply("water", ["A1"], WATER)
    builder.transfer(water, ("plate", "A1"), 100, mix_after=3)
    builder.transfer(water, ("plate", "B1"), 10, mix_after=3)
    big, small = builder.steps
    assert (big.mix_after, big.mix_volume_ul) == (3, 70)
    assert (small.mix_after, small.mix_volume_ul) == (0, 0)
    with pytest.raises(PlanError, match="too little to mix in plate B1"):
        builder.mix(("plate", "B1"), 3)


def test_a_pipette_that_is_not_there_is_told(deck, catalogue):
    single = deck.model_copy(update={"pipettes": deck.pipettes[:1]})
    builder = WorklistBuilder("test", "medium_preparation", single, catalogue)
    with pytest.raises(PlanError, match="the bench has no pipette with 8 channels"):
        builder.pipette(8)


def test_a_plan_that_breaks_a_rule_is_never_returned(builder):
    water = builder.supply("water", ["A1"], WATER)
    builder.transfer(water, ("plate", "A1"), 1000)
    builder.transfer(water, ("plate", "A1"), 1000)
    with pytest.raises(PlanError, match="step 2: the plan breaks a rule: plate A1 is overfilled"):
        builder.build()
