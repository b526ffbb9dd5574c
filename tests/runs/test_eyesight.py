"""By how much a step changes a level, and what is told where that is too little."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.labware import Catalogue
from nkloop.runs.eyesight import level_change_mm, too_small
from nkloop.worklists.models import DeckItem, Step, Worklist

PLATE, TUBES, TROUGH = (
    "corning_96_wellplate_360ul_flat",
    "opentrons_6_tuberack_nest_50ml_conical",
    "nest_1_reservoir_195ml",
)
DECK = tuple(DeckItem(nickname=n, slot=s, load_name=k) for n, s, k in (("p", "D1", PLATE), ("t", "D2", TUBES)))


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(Path(__file__).resolve().parents[2] / "labware")


@pytest.mark.parametrize(
    ("volume_ul", "source", "target", "mm"),
    [(5, "p", "p", 0.136), (100, "t", "p", 2.73), (100, "t", "t", 0.163), (100, "t", "nowhere", None)],
)
def test_the_level_that_changes_most_counts(
    volume_ul: float, source: str, target: str, mm: float | None, catalogue: Catalogue
) -> None:
    step = Step(
        number=1, action="transfer", labware=source, well="A1", to_labware=target, to_well="A1", volume_ul=volume_ul
    )
    worklist = Worklist.model_construct(deck=DECK, steps=(step,))
    expected = None if mm is None else pytest.approx(mm, rel=0.01)
    assert level_change_mm(step, worklist, catalogue) == expected


def test_eight_channels_draw_from_one_trough(catalogue: Catalogue) -> None:
    step = Step(
        number=1, action="transfer", labware="r", well="A1", to_labware="p", to_well="A1", volume_ul=1, channels=8
    )
    deck = (DeckItem(nickname="r", slot="D3", load_name=TROUGH), *DECK)
    one = step.model_copy(update={"channels": 1})
    many, single = (level_change_mm(s, Worklist.model_construct(deck=deck, steps=(s,)), catalogue) for s in (step, one))
    assert many == single, "the wells of the plate rise more than the trough falls"


def test_what_is_seen_well_is_not_told() -> None:
    assert too_small({1: 1.2, 2: None}) == ""
    assert "step 1,3 changes a level by 0.3 mm at most" in too_small({1: 0.3, 2: 4.0, 3: 0.1})
