"""When the liquids of a worklist come onto its deck."""

from __future__ import annotations

import pytest

from nkloop.worklists.arrivals import arrival_told, left_by, runs_left_by
from nkloop.worklists.models import DeckItem, Filling, Liquid, LotFacts, OperatorTask, Step, Worklist

TUBES = "opentrons_24_tuberack_nest_1.5ml_snapcap"


def filling(labware, well, lot):
    return Filling(labware=labware, well=well, volume_ul=100, liquid=Liquid(name=lot, per_ul={lot: 1}, lot=lot))


def pause(number, kind, labware, *wells):
    task = OperatorTask(kind=kind, instruction="do it", labware=(labware,), wells=wells)
    return Step(number=number, action="pause", operator=task)


@pytest.fixture
def worklist():
    lots = [("LOT-SCF", "-80 °C"), ("LOT-HEP", "4 °C")]
    return Worklist(
        name="dosing",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000"},
        deck=[
            DeckItem(nickname=n, slot=s, load_name=TUBES)
            for n, s in (("stocks", "A1"), ("donors", "B1"), ("base", "C1"))
        ],
        fillings=[
            filling("stocks", "A1", "LOT-SCF"),
            filling("stocks", "B1", "LOT-HEP"),
            filling("donors", "A1", "donor:U1"),
            filling("base", "A1", "left:run-0004:LOT-GBGM"),
            filling("base", "B1", "prepared:base:A1"),
        ],
        steps=[
            pause(1, "warm", "base", "B1"),
            pause(2, "thaw", "stocks"),
            Step(number=3, action="mix", labware="stocks", well="A1", volume_ul=20, tip="t:A1"),
            pause(4, "confirm", "donors"),
        ],
        lots=[
            LotFacts(id=lot, component=lot, expires="2027-01-01", on_hand_ul=1e3, storage=at, keep_cold=True)
            for lot, at in lots
        ],
    )


def test_what_a_person_brings_at_a_step_is_told_with_it_and_what_an_interrupted_run_left_is_left_alone(worklist):
    told = [arrival_told(one, worklist) for one in worklist.fillings]
    left = "leave it on the deck, run-0004 has left it there"
    assert told == ["not yet: step 2", "", "not yet: step 4", left, "not yet: step 1"]
    assert [left_by(one) for one in worklist.fillings] == ["", "", "", "run-0004", ""]
    twice = worklist.model_copy(update={"fillings": worklist.fillings * 2})
    assert runs_left_by(twice) == ("run-0004",)


def test_cells_that_the_robot_reaches_before_anybody_is_asked_stand_there_from_the_start(worklist):
    steps = [step if step.number != 3 else step.model_copy(update={"labware": "donors"}) for step in worklist.steps]
    assert arrival_told(worklist.fillings[2], worklist.model_copy(update={"steps": tuple(steps)})) == ""
