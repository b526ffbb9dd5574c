"""The picture of what a person is asked to do."""

from __future__ import annotations

from datetime import date
from typing import get_args
from xml.etree import ElementTree

import pytest

from nkloop.reports.task_picture import task_svg, wells_touched
from nkloop.worklists.models import DeckItem, Filling, Liquid, LotFacts, OperatorTask, OperatorTaskKind, Step, Worklist

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def worklist() -> Worklist:
    plate = "corning_96_wellplate_360ul_flat"
    return Worklist(
        name="feed",
        procedure="cytokine_dosing",
        pipettes={"right": "flex_8channel_1000"},
        deck=(
            DeckItem(nickname="plate", slot="D1", load_name=plate, label="Culture", barcode="P-1"),
            DeckItem(nickname="block", slot="C1", load_name=plate),
            DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul"),
        ),
        fillings=(Filling(labware="plate", well="H12", volume_ul=200, liquid=Liquid(name="cells", per_ul={})),),
        steps=(
            Step(number=1, action="transfer", labware="block", well="A1", to_labware="plate", to_well="B3",
                 volume_ul=50, channels=2, tip="tips:A1"),
        ),
    )  # fmt: skip


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("kind", get_args(OperatorTaskKind))
def test_every_kind_of_task_has_a_sign_of_its_own(kind: OperatorTaskKind) -> None:
    task = OperatorTask(kind=kind, instruction="Do <this> & that", minutes=5, temperature_c=37, force_g=300)
    shown = texts(task_svg(task))
    assert "5 min, 37 °C, 300 × g" in shown
    assert "Do <this> & that" in shown
    others = [other for other in get_args(OperatorTaskKind) if other != kind]
    sign = ElementTree.fromstring(task_svg(task)).find(f"{SVG}path")
    assert sign is not None
    for other in others:
        again = ElementTree.fromstring(task_svg(task.model_copy(update={"kind": other}))).find(f"{SVG}path")
        assert again is not None
        assert again.get("d") != sign.get("d")


def test_wells_concerned_are_marked(worklist: Worklist) -> None:
    assert wells_touched(worklist, ["plate"]) == {"plate": ("B3", "C3", "H12")}
    svg = task_svg(OperatorTask(kind="incubate", instruction="Incubate", labware=("plate",)), worklist)
    marked = [box for box in ElementTree.fromstring(svg).iter(f"{SVG}rect") if box.get("fill") == "#0072b2"]
    assert len(marked) == 3
    assert "Culture (slot D1, barcode P-1)" in texts(svg)
    assert "3 wells concerned" in texts(svg)


def test_only_the_wells_of_a_task_are_marked(worklist: Worklist) -> None:
    named = OperatorTask(kind="warm", instruction="Warm", labware=("plate",), wells=("H12",))
    assert "1 well concerned" in texts(task_svg(named, worklist))
    vial = Filling(labware="plate", well="A1", volume_ul=35, liquid=Liquid(name="IL-15", per_ul={}, lot="L-15"))
    lot = LotFacts(id="L-15", component="IL-15", expires=date(2027, 1, 1), on_hand_ul=35, storage="-80 °C")
    frozen = worklist.model_copy(update={"fillings": (*worklist.fillings, vial), "lots": (lot,)})
    thaw = OperatorTask(kind="thaw", instruction="Thaw", labware=("plate",))
    assert "1 well concerned" in texts(task_svg(thaw, frozen))


def test_wells_may_be_named(worklist: Worklist) -> None:
    task = OperatorTask(kind="harvest", instruction="Harvest", labware=("plate",))
    assert "1 well concerned" in texts(task_svg(task, worklist, wells={"plate": ("A1",)}))


@pytest.mark.parametrize("is_loading", [False, True])
def test_a_picture_brings_its_ground_for_pages_that_are_dark(worklist: Worklist, is_loading: bool) -> None:
    task = OperatorTask(kind="confirm", instruction="Load", labware=("plate",))
    picture = ElementTree.fromstring(task_svg(task, worklist, is_loading=is_loading))
    ground = picture[0]
    assert (ground.tag, ground.get("fill")) == (f"{SVG}rect", "#ffffff")
    assert (ground.get("width"), ground.get("height")) == (picture.get("width"), picture.get("height"))


def test_loading_shows_the_deck(worklist: Worklist) -> None:
    task = OperatorTask(kind="confirm", instruction="Load", labware=("plate",))
    assert any("Culture" in text for text in texts(task_svg(task, worklist, is_loading=True)))
