"""Wells of labware that outlives a run which its steps change, channel by channel."""

from __future__ import annotations

from typing import Any

import pytest

from nkloop.records.touched import touched
from nkloop.worklists.models import OperatorTask, Step, VesselMove, Worklist

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
    assert [found.well for found in touched(made, {1})] == [f"{row}1" for row in wells]
    assert list(touched(made, {2})) == []
