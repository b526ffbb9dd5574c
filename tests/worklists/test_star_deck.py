"""Decks with carriers: tips in slots of their own, independent channels, worklists told by their pipettes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nkloop.errors import WorkspaceError
from nkloop.labware import Catalogue
from nkloop.worklists.bench_deck import BenchDeck, PipetteAccuracy, PipetteSpec
from nkloop.worklists.builder import DeckFullError, WorklistBuilder
from nkloop.worklists.models import DeckItem, Liquid
from nkloop.worklists.protocol_files import protocol_path, takes_protocol

ROOT = Path(__file__).resolve().parents[2]
PLATE = "corning_96_wellplate_360ul_flat"


def deck(**changes: Any) -> BenchDeck:
    accuracy = (PipetteAccuracy(volume_ul=50, systematic_percent=1, random_cv_percent=1),)
    pipettes = tuple(
        PipetteSpec(
            mount=mount, load_name=f"star_{n}channel_1000", channels=n, min_volume_ul=5, max_volume_ul=1000,
            accuracy=accuracy, source="x",
        )
        for mount, n in (("left", 1), ("right", 8))
    )  # fmt: skip
    return BenchDeck(**{"model": "star", "pipettes": pipettes, "tip_slots": ("A3", "B3"), **changes})


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(ROOT / "labware")


def test_a_star_has_no_trash_slot_and_the_makers_tips() -> None:
    star = deck()
    assert star.trash_slot == ""
    assert [tip.volume_ul for tip in star.tips] == [50, 300, 1000]
    assert star.has_independent_channels
    assert not deck(model="flex", tip_slots=()).has_independent_channels


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tip_slots": ("A4",)}, "tips in slot A4, which the deck of the star does not have"),
    ],
)
def test_slots_the_deck_does_not_have_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        deck(**changes)


def test_tips_stand_in_their_slots_and_nothing_else_does(catalogue: Catalogue) -> None:
    builder = WorklistBuilder("x", "cytotoxicity_assay", deck(), catalogue)
    for number in range(3):
        builder.place(f"plate_{number}", PLATE, "plate")
    water = Liquid(name="water", per_ul={"water": 1.0})
    builder.fill(("plate_0", "A1"), 200, water)
    builder.transfer(("plate_0", "A1"), ("plate_1", "A1"), 20)
    worklist = builder.build()
    racks = {item.slot for item in worklist.deck if "tiprack" in item.load_name}
    assert racks == {"A3"}
    assert {item.slot for item in worklist.deck} - racks == {"A1", "A2", "B1"}
    assert worklist.robot == "star"
    for number in range(3, 10):
        builder.place(f"plate_{number}", PLATE, "plate")
    with pytest.raises(DeckFullError):
        builder.place("plate_10", PLATE, "plate")


def test_a_worklist_of_a_star_takes_no_protocol(catalogue: Catalogue, tmp_path: Path) -> None:
    builder = WorklistBuilder("x", "cytotoxicity_assay", deck(), catalogue)
    builder.place("plate", PLATE, "plate")
    builder.fill(("plate", "A1"), 200, Liquid(name="water", per_ul={"water": 1.0}))
    builder.transfer(("plate", "A1"), ("plate", "B1"), 20)
    worklist = builder.build()
    assert not takes_protocol(worklist)
    with pytest.raises(WorkspaceError, match="a star takes no protocol file"):
        protocol_path(tmp_path, worklist)
    flex = worklist.model_copy(
        update={
            "pipettes": {"left": "flex_1channel_1000"},
            "deck": (DeckItem(nickname="p", slot="A1", load_name=PLATE),),
        }
    )
    assert takes_protocol(flex)
