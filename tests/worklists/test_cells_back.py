"""Which plates with cells stand on the deck when a run ends, for a person to put back."""

from __future__ import annotations

from nkloop.worklists.cells_back import cells_back_told
from nkloop.worklists.models import DeckItem, Filling, Limits, Liquid, OperatorTask, Step, Worklist

PLATE, RACK = "corning_24_wellplate_3.4ml_flat", "opentrons_24_tuberack_nest_1.5ml_snapcap"
TOLD = "Afterwards: {} back into the incubator at once; at most 60 min outside"


def filling(labware, volume_ul, lot=None):
    return Filling(labware=labware, well="A1", volume_ul=volume_ul, liquid=Liquid(name="it", per_ul={}, lot=lot))


def moved(number, source, target, volume_ul):
    where = {"labware": source, "well": "A1", "to_labware": target, "to_well": "A1"}
    return Step(number=number, action="transfer", volume_ul=volume_ul, tip="t:A1", **where)


def pause(number, kind, *labware):
    return Step(number=number, action="pause", operator=OperatorTask(kind=kind, instruction="do it", labware=labware))


def worklist(fillings, steps, cells_in=("culture",)):
    racks = (("arms", "B1", None), ("donors", "B2", None), ("waste", "B3", None))
    plates = (("culture", "A1", "culture-1"), ("new_culture", "A2", "culture-2"))
    deck = [DeckItem(nickname=n, slot=s, load_name=PLATE, barcode=code) for n, s, code in plates]
    deck += [DeckItem(nickname=n, slot=s, load_name=RACK, barcode=code) for n, s, code in racks]
    return Worklist(
        name="feed", procedure="cytokine_dosing", pipettes={"left": "flex_1channel_1000"}, deck=deck,
        fillings=fillings, steps=steps, limits=Limits(cells_in=cells_in),
    )  # fmt: skip


MEDIUM = filling("arms", 1000)
FED = (pause(1, "confirm", "culture"), moved(2, "culture", "waste", 500), moved(3, "arms", "culture", 500))


def test_a_plate_that_was_fed_goes_back_with_the_longest_time_it_may_be_out():
    fed = worklist((MEDIUM, filling("culture", 1000)), FED)
    assert cells_back_told(fed) == TOLD.format("culture-1")
    limits = Limits(cells_in=("culture",), cells_out_minutes=45)
    assert cells_back_told(fed.model_copy(update={"limits": limits})).endswith("at most 45 min outside")


def test_a_plate_that_the_run_itself_sends_away_at_its_end_is_not_told():
    for kind in ("incubate", "move_to_reader", "store"):
        sent = worklist((MEDIUM, filling("culture", 1000)), (*FED, pause(4, kind, "culture")))
        assert cells_back_told(sent) == ""
    back = (pause(1, "incubate", "culture"), *(s.model_copy(update={"number": s.number + 1}) for s in FED))
    assert cells_back_told(worklist((MEDIUM, filling("culture", 1000)), back)) == TOLD.format("culture-1")


def test_a_plate_that_was_seeded_goes_in_and_the_tubes_of_the_cells_do_not():
    fillings = (MEDIUM, filling("donors", 200, lot="donor:U1"))
    steps = (moved(1, "arms", "culture", 900), moved(2, "donors", "culture", 100))
    assert cells_back_told(worklist(fillings, steps, cells_in=())) == TOLD.format("culture-1")


def test_of_two_plates_that_which_was_emptied_is_not_told():
    fillings = (MEDIUM, filling("culture", 1000))
    whole, part = ((moved(1, "culture", "new_culture", volume),) for volume in (1000, 400))
    assert cells_back_told(worklist(fillings, whole)) == TOLD.format("culture-2")
    assert cells_back_told(worklist(fillings, part)) == TOLD.format("culture-1 and culture-2")


def test_a_run_without_cells_tells_nothing():
    assert cells_back_told(worklist((MEDIUM,), (moved(1, "arms", "culture", 900),), cells_in=())) == ""
