from __future__ import annotations

import pytest

from nkloop.errors import LabwareError
from nkloop.worklists.contents import Ledger
from nkloop.worklists.ledger_check import follow


def problems(worklist, catalogue, deck=None):
    return [(p.where, p.message) for p in follow(worklist, catalogue, deck).violations]


def test_a_transfer_moves_volume_components_and_lots(worklist_of, transfer, catalogue):
    worklist = worklist_of(
        transfer("water:A1", "plate:A1", 90, "tips_1000:A1"), transfer("tubes:A1", "plate:A1", 10, "tips_50:A1")
    )
    ledger = follow(worklist, catalogue)
    well = ledger.well("plate", "A1")
    assert well.volume_ul == pytest.approx(100)
    assert well.amounts == pytest.approx({"water": 100, "dye": 20})
    assert well.per_ul["dye"] == pytest.approx(0.2)
    assert well.lots == {"LOT-W", "LOT-D"}
    assert ledger.well("tubes", "A1").amounts == pytest.approx({"dye": 980, "water": 490})
    assert ledger.taken == pytest.approx({"LOT-W": 90, "LOT-D": 10})
    assert ledger.tips_used == 2
    assert not ledger.violations


def test_eight_channels_reach_a_column_from_one_trough_well(worklist_of, transfer, catalogue):
    worklist = worklist_of(transfer("water:A1", "plate:A3", 50, "tips_1000:A1", channels=8))
    ledger = follow(worklist, catalogue)
    assert [ledger.well("plate", f"{row}3").volume_ul for row in "ABCDEFGH"] == pytest.approx([50] * 8)
    assert ledger.well("water", "A1").volume_ul == pytest.approx(10_000 - 400)
    assert ledger.tips_used == 8
    assert not ledger.violations


def test_an_empty_well_holds_nothing(worklist_of, transfer, catalogue):
    ledger = Ledger.of(worklist_of(transfer("water:A1", "plate:A1", 50, "tips_50:A1")), catalogue)
    assert ledger.well("plate", "A1").volume_ul == 0
    assert ledger.well("plate", "A1").per_ul == {}


@pytest.mark.parametrize(("nickname", "well"), [("plate", "Z9"), ("elsewhere", "A1")])
def test_asking_for_a_well_that_is_not_there_says_so(worklist_of, transfer, catalogue, nickname, well):
    ledger = Ledger.of(worklist_of(transfer("water:A1", "plate:A1", 50, "tips_50:A1")), catalogue)
    with pytest.raises(LabwareError, match=f"no well {well} of '{nickname}'"):
        ledger.well(nickname, well)


STEP = "step 2"


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (("water:A1", "plate:A1", 260, "tips_1000:B1"), "plate A1 is overfilled: 310 µL, its working volume is 300"),
        (("tubes:A1", "plate:A2", 480, "tips_1000:B1"), "tubes A1 is overdrawn: 480 µL of 500 µL leaves 20 µL"),
        (("plate:A5", "plate:A6", 10, "tips_50:B1"), "plate A5 is overdrawn: 10 µL of 0 µL"),
        (("water:A1", "nowhere:A1", 50, "tips_50:B1"), "labware 'nowhere' is not on the deck"),
        (("water:A1", "plate:I1", 50, "tips_50:B1"), "has no well I1"),
        (("water:A1", "plate:A2", 50, "tips_50:A1"), "tip tips_50:A1 was used before"),
        (("water:A1", "plate:A2", 50, "tips_200:A1"), "no tip rack 'tips_200'"),
        (("water:A1", "plate:A2", 50, "plate:A1"), "no tip rack 'plate'"),
        (("water:A1", "plate:A2", 50, "tips_50:A13"), "has no well A13"),
        (("water:A1", "plate:A2", 60, "tips_50:B1"), "60 µL is more than the tip takes"),
        (("water:A1", "plate:A2", 1100, "tips_1000:B1"), "1100 µL is more than the pipette takes"),
        (("water:A1", "plate:A2", 4, "tips_50:B1"), "4 µL is below the reliable minimum of flex_1channel_1000"),
    ],
)
def test_a_wrong_transfer_is_told_with_its_step(worklist_of, transfer, catalogue, second, message):
    worklist = worklist_of(transfer("water:A1", "plate:A1", 50, "tips_50:A1"), transfer(*second))
    found = problems(worklist, catalogue)
    assert any(where == STEP and message in text for where, text in found), found
    assert all(where == STEP for where, _ in found)


def test_a_transfer_without_a_tip_is_told(worklist_of, transfer, catalogue):
    assert problems(worklist_of(transfer("water:A1", "plate:A1", 50)), catalogue)[0] == (
        "step 1",
        "flex_1channel_1000 has no tip attached",
    )


def test_a_pause_drops_the_tips(worklist_of, transfer, catalogue):
    wait = {"action": "pause", "operator": {"kind": "confirm", "instruction": "look"}}
    worklist = worklist_of(
        transfer("water:A1", "plate:A1", 50, "tips_50:A1"), wait, transfer("water:A1", "plate:A2", 50)
    )
    assert next(where for where, _ in problems(worklist, catalogue)) == "step 3"


def test_eight_channels_without_an_eight_channel_pipette(worklist_of, transfer, catalogue):
    worklist = worklist_of(
        transfer("water:A1", "plate:A1", 50, "tips_50:A1", channels=8), pipettes={"left": "flex_1channel_1000"}
    )
    assert "no pipette with 8 channels" in problems(worklist, catalogue)[0][1]


def test_a_pipette_that_is_not_on_the_bench(worklist_of, transfer, catalogue, deck):
    worklist = worklist_of(transfer("water:A1", "plate:A1", 50, "tips_50:A1"), pipettes={"left": "flex_1channel_50"})
    assert problems(worklist, catalogue, deck)[0] == (
        "pipette left",
        "flex_1channel_50 is not on the left mount of the bench",
    )


def test_eight_channels_over_a_part_column_are_told(worklist_of, transfer, catalogue):
    worklist = worklist_of(transfer("water:A1", "tubes:A2", 50, "tips_50:A1", channels=8))
    assert "8 channels do not fit well A2" in problems(worklist, catalogue)[0][1]


def test_a_tip_that_touched_something_else_may_not_go_back_into_a_stock(worklist_of, transfer, catalogue):
    worklist = worklist_of(transfer("tubes:A1", "plate:H12", 10, "tips_50:A1"), transfer("tubes:A1", "plate:A1", 10))
    found = problems(worklist, catalogue)
    assert len(found) == 1
    assert found[0][0] == "step 2"
    assert "has touched salt and would contaminate tubes A1 (stock LOT-D)" in found[0][1]


def test_a_mixed_destination_wets_the_tip_too(worklist_of, transfer, catalogue):
    worklist = worklist_of(
        transfer("water:A1", "plate:H12", 50, "tips_50:A1", mix_after=2, mix_volume_ul=40),
        transfer("water:A1", "plate:A1", 50),
    )
    assert "would contaminate water A1" in problems(worklist, catalogue)[0][1]


def test_one_tip_may_fill_many_empty_wells(worklist_of, transfer, catalogue):
    worklist = worklist_of(
        transfer("water:A1", "plate:A1", 50, "tips_50:A1"),
        *(transfer("water:A1", f"plate:A{n}", 50) for n in range(2, 12)),
    )
    assert problems(worklist, catalogue) == []


def test_mixing_more_than_stands_in_the_well_is_told(worklist_of, transfer, catalogue):
    worklist = worklist_of(
        transfer("water:A1", "plate:A1", 50, "tips_1000:A1", mix_after=3, mix_volume_ul=60),
    )
    assert "plate A1 is overdrawn: 60 µL of 50 µL" in problems(worklist, catalogue)[0][1]


def test_eight_channels_draw_eight_times_from_a_trough_when_mixing(worklist_of, catalogue):
    mix = {"action": "mix", "labware": "water", "well": "A1", "channels": 8, "tip": "tips_1000:A1", "mix_before": 3}
    assert problems(worklist_of({**mix, "volume_ul": 1000}), catalogue) == []
    found = problems(worklist_of({**mix, "volume_ul": 1000}, pipettes={"right": "flex_8channel_1000"}), catalogue)
    assert found == []
    less = worklist_of({**mix, "volume_ul": 1000})
    fillings = (less.fillings[0].model_copy(update={"volume_ul": 8000.0}),)
    assert len(problems(less.model_copy(update={"fillings": fillings}), catalogue)) == 1


def test_fillings_on_labware_that_is_not_there_are_told(worklist_of, transfer, catalogue):
    worklist = worklist_of(transfer("water:A1", "plate:A1", 50, "tips_50:A1"))
    lost = worklist.fillings[0].model_copy(update={"labware": "lost"})
    too_much = worklist.fillings[1].model_copy(update={"volume_ul": 1450.0})
    changed = worklist.model_copy(update={"fillings": (*worklist.fillings[:1], lost, too_much)})
    found = problems(changed, catalogue)
    assert found[0] == ("filling lost A1", "'lost' is not on the deck")
    assert "tubes A1 is overfilled: 1450 µL" in found[1][1]


def test_unknown_labware_is_told(worklist_of, transfer, catalogue):
    worklist = worklist_of(transfer("water:A1", "tubes:B1", 50, "tips_50:A1"))
    item = worklist.deck[-1].model_copy(update={"load_name": "unheard_of"})
    found = problems(worklist.model_copy(update={"deck": (*worklist.deck[:-1], item)}), catalogue)
    assert ("deck", "labware 'unheard_of' is not in the catalogue") in found


def test_ten_thousand_transfers_are_followed(worklist_of, transfer, catalogue):
    rows, steps = "ABCDEFGH", []
    for n in range(10_000):
        source = f"plate:{rows[n % 8]}{1 + n % 11}"
        steps.append(transfer(source, f"plate:{rows[(n + 3) % 8]}{1 + (n + 5) % 11}", 5, "" if n else "tips_50:A1"))
    worklist = worklist_of(*steps)
    filling = worklist.fillings[2]
    fillings = tuple(filling.model_copy(update={"well": f"{row}{column}"}) for row in rows for column in range(1, 12))
    full = worklist.model_copy(update={"fillings": fillings})
    ledger = follow(full, catalogue)
    assert ledger.well("plate", "A1").amounts["salt"] > 0


def test_a_tip_that_drops_from_the_rim_may_go_back_to_its_source(worklist_of, transfer, catalogue):
    first = transfer("tubes:A1", "plate:H12", 10, "tips_50:A1")
    again = transfer("tubes:A1", "plate:H12", 10)
    assert "would contaminate tubes A1" in problems(worklist_of(first, again), catalogue)[0][1]
    assert problems(worklist_of({**first, "dispense_at": "rim"}, again), catalogue) == []


def test_what_drops_from_the_rim_is_not_mixed_in_the_same_step(worklist_of, transfer):
    with pytest.raises(ValueError, match="only a transfer without mix_after is dispensed from the rim"):
        worklist_of(transfer("tubes:A1", "plate:H12", 10, "tips_50:A1", dispense_at="rim", mix_after=2))


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (
            ("tubes:B1", "plate:A1", 10),
            "tip tips_50:A1 has been in LOT-D and would bring it into tubes B1 (stock LOT-E)",
        ),
        (("tubes:A1", "tubes:B1", 10), "LOT-D would be dispensed into stock LOT-E in tubes B1"),
        (("tubes:A1", "plate:A1", 10), ""),
    ],
)
def test_two_lots_of_one_component_are_kept_apart(worklist_of, transfer, catalogue, second, said):
    worklist = worklist_of(transfer("tubes:A1", "plate:A2", 10, "tips_50:A1"), transfer(*second))
    first = next(one for one in worklist.fillings if (one.labware, one.well) == ("tubes", "A1"))
    liquid = first.liquid.model_copy(update={"lot": "LOT-E"})
    other = first.model_copy(update={"well": "B1", "liquid": liquid})
    worklist = worklist.model_copy(update={"fillings": (*worklist.fillings, other)})
    assert [told for _, told in problems(worklist, catalogue)] == [said] * bool(said)
