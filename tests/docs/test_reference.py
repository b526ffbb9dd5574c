"""The reference pages name what the code has, and their examples are valid."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from nkloop.assays.readings.generic import read_generic
from nkloop.assays.readings.header import FRAME_NAMES
from nkloop.assays.readings.models import PlateReading
from nkloop.drivers.bench_file import BenchFile
from nkloop.drivers.bench_page import fields_page
from nkloop.inventory import Inventory
from nkloop.inventory.containers import Container
from nkloop.inventory.models import Certificate, Lot
from nkloop.labware.models import LabwareType
from nkloop.recipes.models import (
    CarryOverLimit,
    Component,
    Control,
    Criterion,
    ExpectedRange,
    Ingredient,
    LoopLimits,
    Medium,
    Mixing,
    Objective,
    ProcessStep,
    Provenance,
    Recipe,
    RecipeArm,
    Refresh,
    Revision,
    Sampling,
    Source,
    Stage,
    VariedComponent,
    Vessel,
)
from nkloop.records import Records
from nkloop.runs import campaign
from nkloop.runs.lot_table import COLUMNS as COLUMNS_OF_LOTS
from nkloop.virtual.routes import world_router
from nkloop.virtual.world import World
from nkloop.worklists.bench_deck import BenchDeck, ModuleSpec, PipetteAccuracy, PipetteSpec
from nkloop.worklists.robot_interpreter import COLUMNS

RECIPE_MODELS = (
    *(Recipe, Source, Component, Stage, Ingredient, Provenance, Refresh, ExpectedRange),
    *(CarryOverLimit, Control, Criterion, Medium, Mixing, ProcessStep, RecipeArm, Sampling, Vessel),
    *(LoopLimits, VariedComponent, Objective, Revision),
)
BENCH_MODELS = (BenchFile, BenchDeck, PipetteSpec, PipetteAccuracy, ModuleSpec)
LOT_MODELS = (Lot, Container, Certificate)
_FENCED = re.compile(r"^( *)```yaml\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def page(root: Path, name: str) -> str:
    return (root / "docs" / f"{name}.md").read_text(encoding="utf-8")


def named(text: str) -> set[str]:
    """Words that stand as code, also the parts of dotted ones."""
    return {part for code in re.findall(r"`([^`\n]+)`", text) for part in (code, *code.split("."))}


def yaml_examples(text: str) -> list[Any]:
    return [YAML(typ="safe", pure=True).load(body) for _, body in _FENCED.findall(text)]


@pytest.mark.parametrize("model", RECIPE_MODELS)
def test_recipe_page_names_every_field(root: Path, model: type[BaseModel]) -> None:
    assert set(model.model_fields) <= named(page(root, "reference/recipe-file"))


@pytest.mark.parametrize("model", BENCH_MODELS)
def test_bench_page_names_every_field(root: Path, model: type[BaseModel]) -> None:
    assert set(model.model_fields) <= named(page(root, "reference/bench-fields"))


def test_the_page_of_bench_fields_is_the_one_of_the_schema(root: Path) -> None:
    assert page(root, "reference/bench-fields") == fields_page()


@pytest.mark.parametrize("model", LOT_MODELS)
def test_lot_page_names_every_field(root: Path, model: type[BaseModel]) -> None:
    assert set(model.model_fields) <= named(page(root, "reference/lot-list"))


def test_worklist_page_has_the_header_of_the_interpreter(root: Path) -> None:
    text = page(root, "reference/worklist-csv")
    assert f"\n{','.join(COLUMNS)}\n" in text
    assert set(COLUMNS) <= named(text) | {"record", "action"}


def test_demo_page_lists_the_keys_of_the_outcome(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = dict.fromkeys(("rounds", "runs", "plates", "proposals", "observations", "summaries"), ())
    nothing = SimpleNamespace(**empty, proposed=None, recipe=SimpleNamespace(revision_id="ucb-nk@0"))
    monkeypatch.setattr(campaign, "campaign_story", lambda *_: nothing)
    summary = campaign.campaign_outcome(cast(Records, None), "c", tmp_path / "c.html")["summary"]
    rows = re.findall(r"^\| `(\w+)` \|", page(root, "reference/demo-json"), re.MULTILINE)
    assert rows == list(summary)
    assert set(summary["revision"]) <= named(page(root, "reference/demo-json"))


def test_virtual_page_lists_every_world_route(root: Path) -> None:
    text = page(root, "reference/virtual-bench")
    routes: list[Any] = list(world_router(cast(World, None)).routes)
    assert len(routes) >= 8
    for route in routes:
        for method in route.methods:
            assert f"`{method} {route.path}`" in text


def test_bench_of_the_how_to_is_valid(root: Path) -> None:
    (devices,) = yaml_examples(page(root, "how-to/move-to-a-real-bench"))
    virtual = YAML(typ="safe", pure=True).load(root / "devices" / "virtual.yaml")
    file = BenchFile.model_validate({**virtual, **devices, "name": "lab", "simulated": False})
    assert (file.locks, file.plate_reader.lock) == (("lab-flex",), "lab-reader")


def test_cytokine_of_the_how_to_is_valid(root: Path) -> None:
    declared, dosed, varied, lots = yaml_examples(page(root, "how-to/add-a-cytokine"))
    component = Component.model_validate(declared["components"][0])
    ingredient = Ingredient.model_validate(dosed["stages"][0]["medium"]["additives"][0])
    lot = Lot.model_validate(lots[0])
    factor = VariedComponent.model_validate(varied["loop"]["vary"][0])
    assert {component.name, ingredient.component, lot.component, factor.component} == {"IL-21"}
    low, high = component.plausible
    assert low.canonical <= ingredient.amount.canonical <= high.canonical


def test_lot_list_of_the_page_is_valid(root: Path) -> None:
    (written,) = yaml_examples(page(root, "reference/lot-list"))
    (lot,) = Inventory.model_validate(written).lots
    assert len(lot.containers) == 20
    assert lot.volume_ul == pytest.approx(180 + 19 * 250)


def test_lot_page_names_every_column(root: Path) -> None:
    text = page(root, "reference/lot-list")
    table = text[text.index("| column |") :]
    for column in COLUMNS_OF_LOTS:
        assert column.name in table


def test_labware_of_the_how_to_is_valid(root: Path) -> None:
    ((entry,),) = yaml_examples(page(root, "how-to/add-a-labware"))
    labware = LabwareType.model_validate(entry)
    assert labware.dead_volume_ul < labware.working_volume_ul < labware.well_volume_ul


def test_every_decision_is_in_the_index_under_its_title(root: Path) -> None:
    folder = root / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for path in sorted(folder.glob("0*.md")):
        title, *_ = path.read_text(encoding="utf-8").splitlines()
        assert f"- [{title.removeprefix('# ')}]({path.name})" in index


def test_reading_files_of_the_page_are_read(root: Path, tmp_path: Path) -> None:
    text = page(root, "reference/reading-files")
    assert {"quantity", "minutes", "hours"} <= named(text) & set(FRAME_NAMES)
    read: list[PlateReading] = []
    for example in re.findall(r"^```csv\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        (tmp_path / "reading.csv").write_text(example, encoding="utf-8")
        read.append(read_generic(tmp_path / "reading.csv"))
    grid, table, over_time = read
    assert [frame.wavelength_nm for frame in grid.frames] == [490, 680]
    assert (grid.barcode, grid.mode, grid.frames[0].values["B2"]) == ("P1", "absorbance", 0.873)
    assert {frame.quantity: frame.values["B3"] for frame in table.frames} == {"dead_targets": 795, "live_targets": 4235}
    assert [(frame.minutes, frame.values["B3"]) for frame in over_time.frames] == [(30, 1.01), (60, 1.15)]
