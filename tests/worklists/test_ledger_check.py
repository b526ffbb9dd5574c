from __future__ import annotations

import pytest

from nkloop.worklists.bench_deck import BenchDeck, ModuleSpec
from nkloop.worklists.deck_layout import place
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import Target


@pytest.fixture
def good(worklist_of, transfer):
    return worklist_of(
        transfer("water:A1", "plate:A1", 90, "tips_1000:A1"), transfer("tubes:A1", "plate:A1", 10, "tips_50:A1")
    )


def messages(worklist, catalogue, deck=None):
    return [f"{p['where']}: {p['message']}" for p in check_ledger(worklist, catalogue, deck).problems]


def test_a_good_worklist_passes(good, catalogue, deck):
    result = check_ledger(good, catalogue, deck)
    assert result.passed
    assert result.check == "ledger"
    assert result.problems == ()


def test_a_target_that_is_reached_passes_and_one_that_is_not_says_by_how_much(good, catalogue):
    reached = Target(labware="plate", well="A1", component="dye", per_ul=0.2)
    missed = Target(labware="plate", well="A1", component="dye", per_ul=0.25)
    empty = Target(labware="plate", well="A2", component="dye", per_ul=0.2)
    assert messages(good.model_copy(update={"targets": (reached,)}), catalogue) == []
    found = messages(good.model_copy(update={"targets": (missed, empty)}), catalogue)
    assert found == ["plate A2: dye is 0 per µL, target 0.2 ± 5 % (-100.0 %); so is it in plate A1"]
    alone = messages(good.model_copy(update={"targets": (missed,)}), catalogue)
    assert alone == ["plate A1: dye is 0.2 per µL, target 0.25 ± 5 % (-20.0 %)"]


def test_a_component_that_must_be_absent(good, catalogue):
    absent = Target(labware="plate", well="A1", component="dye", per_ul=0)
    assert "should be absent" in messages(good.model_copy(update={"targets": (absent,)}), catalogue)[0]


def test_steps_out_of_order_are_told(good, catalogue):
    swapped = good.model_copy(update={"steps": good.steps[::-1]})
    assert messages(swapped, catalogue) == ["step 2: step 2 stands at place 1"]


def with_item(worklist, **changes):
    item = worklist.deck[-1].model_copy(update=changes)
    return worklist.model_copy(update={"deck": (*worklist.deck[:-1], item)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slot": "A1"}, "slot A1: 2 labware stand in slot A1"),
        ({"slot": "A3"}, "plate in A3: slot A3 holds the trash"),
        ({"slot": "D1"}, "plate in D1: slot D1 holds module heaterShakerModuleV1"),
        ({"slot": "C2", "module": "temperatureModuleV2"}, "no module temperatureModuleV2 in slot C2"),
        ({"nickname": "water"}, "deck: nickname 'water' is used twice"),
    ],
)
def test_a_wrong_deck_is_told(good, catalogue, deck, changes, message):
    assert any(message in text for text in messages(with_item(good, **changes), catalogue, deck))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slot": "C1"}, "slot 4: 2 labware stand in slot 4 and C1, which are one place"),
        ({"slot": "A3"}, "plate in A3: slot A3 holds the trash"),
        ({"slot": "B1"}, "plate in B1: slot B1 holds module temperatureModuleV2"),
        ({"slot": "D1"}, None),
    ],
)
def test_slots_of_an_ot2_are_one_place_by_number_and_by_letter(good, catalogue, deck, changes, message):
    module = ModuleSpec(slot="7", load_name="temperatureModuleV2")
    bench = BenchDeck(model="ot2", pipettes=deck.pipettes, modules=(module,))
    numbers = ("4", "5", "6", "8", "9", "11")
    items = (item.model_copy(update={"slot": slot}) for item, slot in zip(good.deck, numbers, strict=False))
    on_ot2 = with_item(good.model_copy(update={"deck": tuple(items)}), **changes)
    told = [text for text in messages(on_ot2, catalogue, bench) if "slot" in text]
    assert told == ([] if message is None else [message])


@pytest.mark.parametrize(("number", "letters"), [("1", "D1"), ("3", "D3"), ("4", "C1"), ("11", "A2"), ("12", "A3")])
def test_a_slot_of_an_ot2_has_row_and_column(number, letters):
    assert place(number) == place(letters) == letters


def test_without_a_bench_modules_are_not_asked_for(good, catalogue):
    assert messages(with_item(good, slot="D1"), catalogue) == []
