"""Wells of labware that outlives a run which its steps change, channel by channel."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nkloop.errors import LabwareError
from nkloop.labware import Catalogue
from nkloop.records.touched import touched
from nkloop.worklists.empty_wells import reached
from nkloop.worklists.models import OperatorTask, Step, VesselMove, Worklist

CATALOGUE = Catalogue.load(Path(__file__).parents[2] / "labware")
TASK = OperatorTask(
    kind="weld", instruction="x", moves=(VesselMove(from_vessel="plate:A1", to_vessel="b", volume_ul=1),)
)


@pytest.mark.parametrize(
    ("load_name", "step", "wells"),
    [
        ("corning_96_wellplate_360ul_flat", {"channels": 8}, "ABCDEFGH"),
        ("corning_96_wellplate_360ul_flat", {"well": "C1", "channels": 3}, "CDE"),
        ("corning_384_wellplate_112ul_flat", {"well": "B1", "channels": 4}, "BDFH"),
        ("corning_96_wellplate_360ul_flat", {"action": "pause", "operator": TASK, "labware": ""}, "A"),
        ("corning_96_wellplate_360ul_flat", {"action": "delay", "labware": "plate"}, ""),
    ],
)
def test_every_channel_changes_the_well_it_stands_in(
    worklist: Worklist, load_name: str, step: dict[str, Any], wells: str
) -> None:
    one = Step.model_validate({"number": 1, "action": "mix", "labware": "plate", "well": "A1", "volume_ul": 5} | step)
    deck = (worklist.deck[0].model_copy(update={"load_name": load_name}),)
    made = worklist.model_copy(update={"deck": deck, "steps": (one,)})
    assert [found.well for found in touched(made, {1}) if found.barcode] == [f"{row}1" for row in wells]
    assert list(touched(made, {2})) == []


@pytest.mark.parametrize("load_name", [kind.load_name for kind in CATALOGUE.entries if kind.rows in {8, 16}])
def test_part_of_a_column_is_told_as_the_catalogue_tells_it_wherever_it_begins(load_name: str) -> None:
    """A rest may begin in the middle of a column, with as many channels as are left of it."""
    kind = CATALOGUE[load_name]
    for well in kind.well_names:
        for channels in range(1, 9):
            with suppress(LabwareError):
                assert tuple(reached(load_name, well, channels)) == kind.reached(well, channels)


@pytest.mark.parametrize(("held", "drawn"), [("A", [80.0]), ("ABCDEFGH", 8 * [10.0])])
def test_eight_channels_draw_all_from_the_one_well_of_a_trough(
    worklist: Worklist, held: str, drawn: list[float]
) -> None:
    filling, step = worklist.fillings[0], worklist.steps[0]
    fillings = tuple(filling.model_copy(update={"well": f"{row}1"}) for row in held)
    step = step.model_copy(update={"channels": 8, "to_labware": "elsewhere"})
    made = worklist.model_copy(update={"fillings": fillings, "steps": (step,)})
    assert [one.volume_ul for one in touched(made, {1})] == drawn
