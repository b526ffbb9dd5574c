"""Parts of columns, seen by all three checks: two to seven channels of a Flex eight-channel pipette."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.drivers.bench import load_bench_file
from nkloop.drivers.pylabrobot.tracking import check_tracking
from nkloop.labware.catalogue import Catalogue
from nkloop.vendor.client import VendorClient
from nkloop.worklists.analysis_check import check_analysis
from nkloop.worklists.builder import DeckFullError, WorklistBuilder
from nkloop.worklists.csv_format import carried, from_csv, to_csv
from nkloop.worklists.models import Liquid, Worklist

ROOT = Path(__file__).parents[2]
CATALOGUE = Catalogue.load(ROOT / "labware")
DECK = load_bench_file(ROOT / "devices" / "virtual.yaml").deck


def planned() -> Worklist:
    """A trough into parts of three columns, with racks of tall tubes around."""
    builder = WorklistBuilder("parts", "cytotoxicity_assay", DECK, CATALOGUE)
    builder.place("cells", "opentrons_6_tuberack_nest_50ml_conical", "Tall tubes")
    builder.place("detection", "corning_96_wellplate_360ul_flat", "Plate")
    builder.place("reagents", "nest_12_reservoir_15ml", "Trough")
    medium = builder.supply("reagents", ("A1", "A2"), Liquid(name="medium", per_ul={"medium": 1.0}))
    assert builder.reaches([("detection", "B2"), ("reagents", "A1")], 5, 50)
    for spot, channels in (("A1", 8), ("B2", 5), ("F3", 3), ("A4", 2)):
        builder.transfer(medium, ("detection", spot), 50, channels=channels, mix_after=0)
    builder.transfer(medium, ("detection", "H2"), 50)
    builder.transfer(("detection", "B2"), ("detection", "B5"), 20, channels=5, mix_before=2)
    return builder.build()


def test_parts_stand_clear_of_the_back_row_and_of_tall_racks() -> None:
    slots = {item.nickname: item.slot for item in planned().deck}
    hanging = [slots[name] for name in ("detection", "reagents")]
    assert all(slot[0] != "A" for slot in hanging)
    assert slots["cells"] not in {f"{chr(ord(slot[0]) - 1)}{slot[1]}" for slot in hanging}


@pytest.mark.parametrize(("n_tall", "reached"), [(3, True), (5, False)])
def test_parts_of_columns_reach_only_where_the_tips_can_be_taken(n_tall: int, reached: bool) -> None:
    """In front of the trash three stand clear; tips need a fourth place with something low behind it."""
    builder = WorklistBuilder("parts", "cytotoxicity_assay", DECK, CATALOGUE)
    builder.place("water", "nest_12_reservoir_15ml", "Water")
    builder.place("plate", "nest_96_wellplate_2ml_deep", "Plate")
    builder.place("other", "nest_96_wellplate_2ml_deep", "Other plate")
    for number in range(n_tall):
        builder.place(f"tall_{number}", "opentrons_6_tuberack_nest_50ml_conical", "Tall tubes")
    assert builder.reaches([("water", "A1"), ("plate", "A1"), ("other", "A1")], 4, 50) is reached
    water = builder.supply("water", ["A1"], Liquid(name="water", per_ul={"water": 1.0}))
    for plate in ("plate", "other"):
        builder.transfer(water, (plate, "A1"), 50, channels=4)
    if reached:
        builder.build()
    else:
        with pytest.raises(DeckFullError, match="no order on the deck"):
            builder.build()


def test_the_csv_carries_channels() -> None:
    plan = planned()
    liquids = {"medium": plan.fillings[0].liquid}
    read = from_csv(to_csv(plan), name=plan.name, procedure=plan.procedure, liquids=liquids)
    assert read == carried(plan, liquids)
    assert [step.channels for step in read.steps] == [8, 5, 3, 2, 1, 5]


def test_pylabrobot_counts_the_same() -> None:
    assert check_tracking(planned(), CATALOGUE).problems == ()


@pytest.mark.vendor
@pytest.mark.timeout(600)
@pytest.mark.asyncio(loop_scope="session")
async def test_the_robot_does_the_same(vendor: VendorClient) -> None:
    plan = planned()
    analysis = await vendor.analyse(ROOT / "protocols" / "cytotoxicity_assay.py", csv=to_csv(plan))
    result = check_analysis(plan, analysis, CATALOGUE, DECK)
    assert result.problems == ()
    layouts = [
        c["params"]["configurationParams"] for c in analysis.commands if c["commandType"] == "configureNozzleLayout"
    ]
    assert [one.get("backLeftNozzle") for one in layouts] == ["D1", "F1", "G1", "D1"]
