"""Slots of a run's labware."""

from __future__ import annotations

import time
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.labware.catalogue import Catalogue
from nkloop.worklists.bench_deck import BenchDeck, ModuleSpec
from nkloop.worklists.deck_layout import arrange, behind, beside, overhangs, usable_slots
from nkloop.worklists.models import DeckItem

CATALOGUE = Catalogue.load(Path(__file__).parents[2] / "labware")
PLATE, RACK = "corning_96_wellplate_360ul_flat", "opentrons_flex_96_filtertiprack_200ul"
TALL, DEEP = "opentrons_6_tuberack_nest_50ml_conical", "nest_96_wellplate_2ml_deep"


def bench(deck: BenchDeck, model: str = "flex", **modules: str) -> BenchDeck:
    there = tuple(ModuleSpec(slot=slot, load_name=name) for name, slot in modules.items())
    trash = "A3" if model == "flex" else "12"
    return deck.model_copy(update={"model": model, "modules": there, "trash_slot": trash})


def items(*load_names: str) -> tuple[DeckItem, ...]:
    return tuple(DeckItem(nickname=f"i{n}", slot="A1", load_name=name) for n, name in enumerate(load_names))


def slots(
    deck: BenchDeck, hanging: tuple[str, ...] = (), *load_names: str, cleared_mm: float = 85
) -> dict[str, str] | None:
    things = items(*load_names)
    kinds = {one.nickname: CATALOGUE[one.load_name] for one in things}
    return arrange(things, kinds, deck, dict.fromkeys(hanging, cleared_mm))


def test_without_rules_labware_fills_the_deck_in_the_order_it_was_asked_for(deck: BenchDeck) -> None:
    assert slots(bench(deck), (), PLATE, RACK, TALL) == {"i0": "A1", "i1": "A2", "i2": "B1"}


@pytest.mark.parametrize(
    ("model", "modules", "missing"),
    [
        pytest.param("flex", {"thermocyclerModuleV2": "B1"}, {"A1", "B1", "A3"}, id="flex thermocycler"),
        pytest.param("flex", {"heaterShakerModuleV1": "D1"}, {"D1", "A3"}, id="flex shaker"),
        pytest.param("ot2", {"thermocyclerModuleV2": "7"}, {"7", "8", "10", "11"}, id="ot2 thermocycler"),
        pytest.param("ot2", {"temperatureModuleV2": "4"}, {"4"}, id="ot2 cold block"),
    ],
)
def test_modules_and_trash_take_their_slots(
    deck: BenchDeck, model: str, modules: dict[str, str], missing: set[str]
) -> None:
    flex = {f"{row}{column}" for row in "ABCD" for column in "123"}
    every = flex if model == "flex" else {str(n) for n in range(1, 12)}
    assert set(usable_slots(bench(deck, model, **modules))) == every - missing


def test_idle_nozzles_keep_off_the_back_row_and_tall_neighbours(deck: BenchDeck) -> None:
    found = slots(bench(deck), ("i1", "i3"), TALL, PLATE, TALL, RACK, DEEP)
    assert found is not None
    tall = {found["i0"], found["i2"], found["i3"]}
    for one in ("i1", "i3"):
        assert found[one][0] != "A"
        assert behind(found[one]) not in tall


def test_what_stands_behind_is_no_taller_than_the_tips_are_long(deck: BenchDeck) -> None:
    tubes = "opentrons_24_tuberack_nest_1.5ml_snapcap"
    long, short = (CATALOGUE[f"opentrons_flex_96_filtertiprack_{size}ul"].tip_reach_mm for size in (1000, 50))
    under_long = slots(bench(deck), ("i1",), tubes, PLATE, cleared_mm=long)
    assert under_long == {"i0": "A1", "i1": "B1"}
    under_short = slots(bench(deck), ("i1",), tubes, PLATE, cleared_mm=short)
    assert under_short is not None
    assert behind(under_short["i1"]) != under_short["i0"]


def test_a_deck_that_cannot_keep_the_rules_is_told(deck: BenchDeck) -> None:
    assert slots(bench(deck), ("i2", "i3", "i4"), *[TALL, PLATE, *[RACK] * 9]) is None


def test_a_deck_with_many_partly_used_plates_is_refused_at_once(deck: BenchDeck) -> None:
    """All slots are filled and no plate may stand behind the tip racks: millions of orders, none to be tried whole."""
    plates = tuple(f"i{n}" for n in range(7))
    begun = time.process_time()
    assert slots(bench(deck), plates, *[PLATE] * 7, *[RACK] * 4) is None
    assert time.process_time() - begun < 1


@given(labware=st.lists(st.tuples(st.sampled_from([PLATE, RACK, TALL]), st.booleans()), min_size=1, max_size=4))
def test_an_order_is_found_where_there_is_one(deck: BenchDeck, labware: list[tuple[str, bool]]) -> None:
    """Every order on a deck of five slots, judged slot by slot."""
    slotted = bench(deck, **{f"m{slot}": slot for slot in ("A1", "B1", "C1", "D1", "A2", "B2")})
    names, hanging = [name for name, _ in labware], {f"i{n}" for n, (_, hangs) in enumerate(labware) if hangs}
    height = {f"i{n}": CATALOGUE[name].height_mm for n, name in enumerate(names)}

    def keeps_the_rules(placed: dict[str, str]) -> bool:
        stands = {slot: height[nickname] for nickname, slot in placed.items()}
        backs = [behind(placed[nickname]) for nickname in hanging]
        return all(back is not None and stands.get(back, 0) <= 85 for back in backs)

    orders = permutations(usable_slots(slotted), len(names))
    possible = any(keeps_the_rules(dict(zip(height, order, strict=True))) for order in orders)
    found = slots(slotted, tuple(sorted(hanging)), *names)
    assert (found is not None) == possible
    assert found is None or keeps_the_rules(found)


def test_nothing_tall_stands_beside_a_shaker_in_use_on_an_ot2(deck: BenchDeck) -> None:
    shaken = DeckItem(nickname="plate", slot="1", load_name=PLATE, module="heaterShakerModuleV1")
    things = (shaken, *items(TALL, DEEP))
    kinds = {one.nickname: CATALOGUE[one.load_name] for one in things}
    found = arrange(things, kinds, bench(deck, "ot2", heaterShakerModuleV1="1"))
    assert found == {"plate": "1", "i0": "3", "i1": "2"}


def test_the_deck_knows_its_neighbours() -> None:
    assert (behind("D2"), behind("A2"), behind("3"), behind("11")) == ("C2", None, "6", None)
    assert (beside("B2"), beside("B1"), beside("4"), beside("6")) == (("B1", "B3"), ("B2",), ("5",), ("5",))


def test_only_part_of_a_column_overhangs() -> None:
    plate = CATALOGUE[PLATE]
    assert not overhangs(plate, "H1", 8)
    assert not overhangs(plate, "H1", 3), "idle nozzles stand over the plate itself"
    assert overhangs(plate, "D1", 4)
    assert overhangs(CATALOGUE["nest_12_reservoir_15ml"], "A1", 4)
