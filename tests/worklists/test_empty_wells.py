"""What has to stand empty on the deck."""

from __future__ import annotations

from nkloop.worklists.empty_wells import empty_told, empty_wells
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Worklist


def _worklist(load_name: str, well: str, channels: int) -> Worklist:
    return Worklist(
        name="x",
        procedure="medium_preparation",
        pipettes={"left": "flex_8channel_1000"},
        deck=(
            DeckItem(nickname="source", slot="B1", load_name="nest_12_reservoir_15ml"),
            DeckItem(nickname="goal", slot="B2", load_name=load_name),
        ),
        fillings=(
            Filling(labware="source", well="A1", volume_ul=5000, liquid=Liquid(name="GBGM", per_ul={})),
            Filling(labware="goal", well="B2", volume_ul=50, liquid=Liquid(name="GBGM", per_ul={})),
        ),
        steps=(
            Step(number=1, action="transfer", labware="source", well="A1", to_labware="goal", to_well=well,
                 volume_ul=50, channels=channels),
        ),
    )  # fmt: skip


def test_wells_the_robot_fills_are_empty_but_those_that_hold_something() -> None:
    worklist = _worklist("nest_96_wellplate_2ml_deep", "A2", 8)
    empty = empty_wells(worklist.deck[1], worklist)
    assert empty == ("A2", "C2", "D2", "E2", "F2", "G2", "H2")
    assert empty_told(worklist.deck[1], empty) == "7 empty wells, the robot fills them: A2, C2, D2, E2, F2, G2, H2"
    assert empty_wells(worklist.deck[0], worklist) == ()


def test_all_channels_stand_in_the_one_well_of_a_trough() -> None:
    worklist = _worklist("nest_12_reservoir_15ml", "A3", 8)
    assert empty_wells(worklist.deck[1], worklist) == ("A3",)


def test_racks_hold_tubes() -> None:
    worklist = _worklist("opentrons_24_tuberack_nest_1.5ml_snapcap", "A3", 1)
    told = empty_told(worklist.deck[1], empty_wells(worklist.deck[1], worklist))
    assert told == "1 empty tube, the robot fills it: A3"
    assert empty_told(worklist.deck[1], ()) == ""
