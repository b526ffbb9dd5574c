"""What is left of a medium that one run has made and several draw from, whatever their plans counted on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nkloop.errors import RecordError
from nkloop.runs.contents import known_contents
from nkloop.runs.left_in import left_in, require_sources
from nkloop.runs.session import Session
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Worklist

PLATE = "corning_96_wellplate_360ul_flat"
MEDIUM = Liquid(name="medium", per_ul={"base": 1.0, "TPO": 2.0})
WATER = Liquid(name="water", per_ul={"base": 1.0})
Journalled = Callable[..., str]


@pytest.fixture
def moved(worklist: Worklist) -> Callable[..., Worklist]:
    """`moved(name, source, target, volumes, believed_ul)`: portions from A1 of one labware into A1, B1… of another."""

    def make(name: str, source: str, target: str, volumes: tuple[float, ...], believed_ul: float) -> Worklist:
        steps = tuple(
            Step(
                number=number, action="transfer", labware="source", well="A1", to_labware="target",
                to_well="A1" if target == "M-1" else f"{'ABCDEFGH'[number - 1]}1", volume_ul=volume,
                tip=f"tips:{'ABCDEFGH'[number - 1]}1",
            )
            for number, volume in enumerate(volumes, start=1)
        )  # fmt: skip
        deck = (
            DeckItem(nickname="source", slot="D1", load_name=PLATE, barcode=source or None),
            DeckItem(nickname="target", slot="D2", load_name=PLATE, barcode=target),
            DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul"),
        )
        liquid = MEDIUM if target == "M-1" else WATER
        held = Filling(labware="source", well="A1", volume_ul=believed_ul, liquid=liquid)
        return worklist.model_copy(update={"name": name, "deck": deck, "steps": steps, "fillings": (held,)})

    return make


@pytest.fixture
def left(session: Session) -> Callable[[], float | None]:
    """`left()`: µL that are left of the medium."""

    def told() -> float | None:
        found = left_in(session.records, session.catalogue, session.bench_file.deck, "M-1", {"A1"})
        return round(found["A1"].volume_ul, 6) if found else None

    return told


def test_what_runs_drew_is_taken_off_what_one_has_made(
    session: Session, moved: Any, journalled: Journalled, left: Callable[[], float | None]
) -> None:
    assert left() is None
    journalled(moved("make", "", "M-1", (100.0, 100.0, 50.0), 350.0))
    assert left() == 250
    journalled(moved("planned before it was made", "M-1", "P-1", (60.0, 30.0), 90.0))
    assert left() == 160
    journalled(moved("planned beside the other", "M-1", "P-2", (50.0,), 250.0), "interrupted", "failed")
    assert left() == 160, "it moved nothing"
    known = known_contents(session.records, session.catalogue, session.bench_file.deck, "M-1").wells["A1"]
    assert known.volume_ul == pytest.approx(160)
    assert known.per_ul == pytest.approx({"base": 1.0, "TPO": 2.0})


def test_a_medium_that_is_mixed_before_it_is_drawn_from_was_not_filled_thereby(
    session: Session, moved: Any, journalled: Journalled, left: Callable[[], float | None]
) -> None:
    journalled(moved("make", "", "M-1", (100.0, 100.0, 50.0), 350.0))
    feed = moved("planned before it was made", "M-1", "P-1", (60.0,), 90.0)
    (draw,) = feed.steps
    mix = Step(number=1, action="mix", labware="source", well="A1", volume_ul=50, tip="tips:B1")
    journalled(feed.model_copy(update={"steps": (mix, draw.model_copy(update={"number": 2, "tip": ""}))}))
    assert left() == 190
    known = known_contents(session.records, session.catalogue, session.bench_file.deck, "M-1").wells["A1"]
    assert known.volume_ul == pytest.approx(190)


def test_nobody_knows_what_is_left_behind_a_step_of_unknown_outcome(
    moved: Any, journalled: Journalled, left: Callable[[], float | None]
) -> None:
    journalled(moved("make", "", "M-1", (100.0, 100.0), 350.0))
    journalled(moved("cut", "M-1", "P-1", (60.0,), 200.0), "interrupted", "unknown")
    assert left() is None


def test_a_stock_that_no_run_has_filled_is_as_its_worklist_says(
    session: Session, moved: Any, journalled: Journalled, left: Callable[[], float | None]
) -> None:
    journalled(moved("feed", "M-1", "P-1", (60.0,), 200.0))
    assert left() is None
    known = known_contents(session.records, session.catalogue, session.bench_file.deck, "M-1")
    assert known.wells["A1"].volume_ul == 140


def test_two_feeds_that_were_planned_on_the_same_medium_do_not_draw_more_than_there_is(
    session: Session, moved: Any, journalled: Journalled
) -> None:
    bench = replace(session.bench, catalogue=session.catalogue)
    journalled(moved("make", "", "M-1", (100.0, 100.0), 350.0))
    one, other, less = (
        moved(name, "M-1", plate, (volume, 60.0), 200.0)
        for name, plate, volume in (("one", "P-1", 60.0), ("other", "P-2", 60.0), ("less", "P-3", 20.0))
    )
    for feed in (one, other):
        require_sources(feed, bench, session.records)
    journalled(one)
    told = (
        "other: draws 120 µL from M-1 A1, in which 80 µL are left by what runs have given and drawn: another run has "
        "drawn from it since this was planned, or less was made. Remedy: plan anew on what M-1 holds now"
    )
    with pytest.raises(RecordError, match=re.escape(told)):
        require_sources(other, bench, session.records)
    require_sources(less, bench, session.records)
