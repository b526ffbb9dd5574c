"""Checking a workspace: each kind of file passes or says what is wrong with it, where, and what to do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nkloop.assays.methods.files import FOLDER
from nkloop.errors import Problem, VendorError, WorkspaceError
from nkloop.labware import Catalogue
from nkloop.recipes import load_recipe
from nkloop.recipes.files import save_recipe
from nkloop.runs.checking import CheckedItem, WorkspaceCheck
from nkloop.vendor.analysis import Analysis
from nkloop.worklists import rules
from nkloop.worklists.interpreter_block import END
from nkloop.workspace import Workspace

SHIPPED = Catalogue.load(Path(__file__).parents[2] / "labware")


class Vendor:
    """Refuses what it is told to refuse."""

    refusals: tuple[Problem, ...] = ()

    async def validate_labware(self, definition: dict[str, Any]) -> tuple[Problem, ...]:
        return self.refusals

    async def labware_definition(self, load_name: str, namespace: str, version: int) -> dict[str, Any]:
        """What the shipped catalogue says, as the maker would: it was copied from there."""
        entry = next((one for one in SHIPPED.entries if one.load_name == load_name), None)
        if entry is None or entry.version != version:
            raise VendorError(f'Labware "{load_name}" not found with version {version}')
        well = {"shape": "circular", "diameter": 1, "x": 1, "y": 1, "z": 1, "depth": 1}
        wells = () if entry.kind == "adapter" else entry.wells
        return {
            "parameters": {"loadName": load_name},
            "namespace": namespace,
            "version": version,
            "wells": {name: {**well, "totalLiquidVolume": entry.well_volume_ul} for name in wells},
            "dimensions": {"zDimension": entry.height_mm},
            "brand": {"brandId": [entry.catalogue_number]},
        }

    async def analyse(self, protocol: Path, **given: Any) -> Analysis:
        return Analysis(result="not-ok", errors=({"message": "no such tip", "where": "step 1", "remedy": "name one"},))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def check(workspace: Workspace, vendor: Vendor) -> Callable[..., Any]:
    """`check(path, ...)`: the items of these files."""

    async def checked(*paths: Path) -> list[CheckedItem]:
        checking = WorkspaceCheck(workspace, vendor)  # type: ignore[arg-type]
        return [item async for item in checking.run(checking.files(paths))]

    return checked


def edited(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_everything_of_the_workspace_is_found(workspace: Workspace, vendor: Vendor) -> None:
    names = {path.name for path in WorkspaceCheck(workspace, vendor).files()}  # type: ignore[arg-type]
    assert {"ucb-nk.yaml", "virtual.yaml", "catalogue.yaml", "medium_preparation.py"} <= names
    assert {f"{p}.example.csv" for p in ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")} <= names


def test_a_file_named_twice_is_checked_once(workspace: Workspace, vendor: Vendor) -> None:
    checking = WorkspaceCheck(workspace, vendor)  # type: ignore[arg-type]
    recipe = workspace.recipes / "ucb-nk.yaml"
    assert checking.files([recipe, workspace.recipes, recipe]).count(recipe) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("recipes/ucb-nk.yaml", "recipe"),
        ("devices/virtual.yaml", "bench"),
        ("devices/lots/virtual.yaml", "lots"),
        ("devices/lines/virtual.yaml", "lines"),
        ("labware/catalogue.yaml", "labware"),
        ("labware/bags.yaml", "labware"),
        ("labware/nkloop_costar3799_96_wellplate_330ul_round.json", "labware"),
        ("protocols/medium_preparation.py", "protocol"),
    ],
)
async def test_what_ships_passes(workspace: Workspace, check: Callable[..., Any], name: str, kind: str) -> None:
    (item,) = await check(workspace.root / name)
    assert (item.kind, item.problems, item.passed) == (kind, (), True)
    assert item.checks
    assert item.seconds > 0


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        pytest.param(
            "recipes/ucb-nk.yaml", "TPO, amount: 25 ng/mL", "TPO, amount: 25 ng", r"nk.yaml:\d+:\d+.*mass", id="recipe"
        ),
        pytest.param("devices/mine.yaml", "mount: left", "mount: middle", r"mine.yaml:\d+.*'middle'", id="bench"),
        pytest.param("devices/lines/virtual.yaml", "passage: 8", "passage: -8", r"virtual.yaml:\d+.*-8", id="lines"),
        pytest.param("devices/lots/virtual.yaml", "volume: 1 L", "volume: -1 L", r"virtual.yaml:\d+.*-1", id="lots"),
        pytest.param(
            "protocols/medium_preparation.py", END, f"x = 1\n{END}", r"preparation.py:\d+: .*differs from its source",
            id="protocol",
        ),
    ],
)  # fmt: skip
async def test_what_is_broken_fails_with_place_and_remedy(
    workspace: Workspace, check: Callable[..., Any], name: str, old: str, new: str, told: str
) -> None:
    (workspace.devices / "mine.yaml").write_text((workspace.devices / "virtual.yaml").read_text())
    (item,) = await check(edited(workspace.root / name, old, new))
    assert not item.passed
    assert any(re.search(told, str(problem)) for problem in item.problems), item.problems


async def test_a_copied_recipe_needs_an_id_of_its_own(workspace: Workspace, check: Callable[..., Any]) -> None:
    text = (workspace.recipes / "ucb-nk.yaml").read_text(encoding="utf-8")
    copy, later = workspace.recipes / "mine.yaml", workspace.recipes / "second.yaml"
    copy.write_text(text, encoding="utf-8")
    line = text.partition("\nid: ")[0].count("\n") + 2
    (item,) = await check(copy)
    (problem,) = item.problems
    assert problem.where.startswith(f"{copy}:{line}:")
    assert "revision 0 of recipe 'ucb-nk' is in ucb-nk.yaml as well" in problem.message
    assert "an id of its own, such as mine" in problem.remedy
    edited(copy, "\nid: ucb-nk\n", "\nid: mine\n")
    recipe = load_recipe(workspace.recipes / "ucb-nk.yaml")
    revision = recipe.revision.model_copy(update={"number": 1})
    save_recipe(recipe.model_copy(update={"revision": revision}), later)
    assert [one.passed for one in await check(copy, workspace.recipes / "ucb-nk.yaml", later)] == [True, True, True]


async def test_a_protocol_needs_an_example(workspace: Workspace, check: Callable[..., Any]) -> None:
    (workspace.protocols / "medium_preparation.example.csv").unlink()
    (item,) = await check(workspace.protocols / "medium_preparation.py")
    assert [str(p) for p in item.problems] == [
        f"{workspace.protocols / 'medium_preparation.py'}: no example worklist lies beside it. "
        "Remedy: add medium_preparation.example.csv"
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param("rows: 4\n    columns: 6", "rows: 6\n    columns: 4", "not the 6 rows and 4 columns", id="wells"),
        pytest.param("well_volume_ul: 3400", "well_volume_ul: 6900", "holds 3400 µL, the catalogue 6900", id="volume"),
        pytest.param("height_mm: 20.27", "height_mm: 21", "is 20.27 mm high, the catalogue says 21 mm", id="height"),
        pytest.param("3.4ml_flat", "3.4ml_fla", "did you mean 'corning_24_wellplate_3.4ml_flat'", id="name"),
    ],
)
async def test_standard_labware_is_what_its_maker_defines(
    workspace: Workspace, check: Callable[..., Any], old: str, new: str, told: str
) -> None:
    path = workspace.labware / "catalogue.yaml"
    before, name, after = path.read_text().partition("load_name: corning_24_wellplate_3.4ml_flat")
    path.write_text(before + (name + after).replace(old, new, 1))
    line = before.count("\n") + 1
    (item,) = await check(path)
    (problem,) = item.problems
    assert told in str(problem)
    assert problem.where.startswith(f"{path}:{line}: corning_24")


async def test_labware_is_also_judged_by_its_maker(
    workspace: Workspace, vendor: Vendor, check: Callable[..., Any]
) -> None:
    path = workspace.labware / "nkloop_costar3799_96_wellplate_330ul_round.json"
    vendor.refusals = (Problem("no namespace", "costar", "add one"),)
    (item,) = await check(path)
    assert [str(p) for p in item.problems] == [f"{path}: costar: no namespace. Remedy: add one"]
    assert [p.rule for p in item.problems] == [rules.GEOMETRY]
    vendor.refusals = ()
    (sound,) = await check(path)
    assert sound.problems == ()


async def test_labware_with_a_well_outside_fails_alone_and_nothing_is_verified_with_it(
    workspace: Workspace, check: Callable[..., Any]
) -> None:
    path = workspace.labware / "nkloop_costar3799_96_wellplate_330ul_round.json"
    definition = json.loads(path.read_text())
    definition["wells"]["A1"]["x"] = -5
    path.write_text(json.dumps(definition))
    other = next(one for one in sorted(workspace.labware.glob("*.json")) if one != path)
    worklist = workspace.protocols / "medium_preparation.example.csv"
    items = await check(path, other, worklist, workspace.recipes / "ucb-nk.yaml", path.with_name("catalogue.yaml"))
    assert [item.passed for item in items] == [False, True, False, True, False]
    (own,), (cause, told) = items[0].problems, items[2].problems
    assert re.search(rf"{path.name}: A1: well A1 reaches from -8.43.*Remedy: correct its place", str(own))
    assert own.rule == rules.GEOMETRY
    assert own.where in items[4].problems[0].where
    assert own.rule == items[4].problems[0].rule
    assert cause == items[4].problems[0]
    assert told.message == "cannot be verified while the labware of the workspace is wrong"


async def test_a_slip_in_the_catalogue_is_no_fault_of_the_bags_beside_it(
    workspace: Workspace, check: Callable[..., Any]
) -> None:
    edited(workspace.labware / "catalogue.yaml", "rows: 8", "rows: 80")
    bags = workspace.labware / "bags.yaml"
    assert [item.passed for item in await check(workspace.labware / "catalogue.yaml", bags)] == [False, True]
    edited(bags, "capacity_ml:", "capacity:")
    (item,) = await check(bags)
    assert [one.message for one in item.problems] == [
        "field 'capacity_ml' is missing",
        "field 'capacity' is not known here",
    ]


async def test_labware_the_catalogue_does_not_list_fails(workspace: Workspace, check: Callable[..., Any]) -> None:
    stray = workspace.labware / "my_plate.json"
    stray.write_text("{}")
    (item,) = await check(stray)
    assert [p.message for p in item.problems] == ["labware my_plate is not in the catalogue"]


async def test_a_worklist_is_told_by_each_check_that_refuses_it(
    workspace: Workspace, check: Callable[..., Any]
) -> None:
    """The stand-in for Opentrons' analysis refuses everything; our ledger and PyLabRobot's agree with the file."""
    (item,) = await check(workspace.protocols / "cytokine_dosing.example.csv")
    assert set(item.checks) == {"ledger", "opentrons analysis", "pylabrobot tracking"}
    assert {p.message.partition(":")[0] for p in item.problems} == {"opentrons analysis"}
    assert all(str(item.path) in p.where for p in item.problems)


async def test_a_worklist_that_cannot_be_read_says_in_which_line(
    workspace: Workspace, check: Callable[..., Any]
) -> None:
    path = edited(workspace.protocols / "cytokine_dosing.example.csv", "step,2,", "step,two,")
    (item,) = await check(path)
    assert (item.checks, item.passed) == (("read",), False)
    assert any("line" in p.where and str(path) in p.where for p in item.problems)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("notes.txt", "notes.txt is not a recipe, bench, lot list", id="no kind"),
        pytest.param("monday.csv", r"worklists are named <procedure>.<anything>.csv", id="no procedure"),
    ],
)
def test_files_of_no_kind_are_refused(
    workspace: Workspace, vendor: Vendor, tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(WorkspaceError, match=told):
        WorkspaceCheck(workspace, vendor).files([tmp_path / name])  # type: ignore[arg-type]
    with pytest.raises(WorkspaceError, match=r"there is no .*gone.yaml"):
        WorkspaceCheck(workspace, vendor).files([tmp_path / "gone.yaml"])  # type: ignore[arg-type]


async def test_a_broken_catalogue_does_not_hide_what_is_wrong_elsewhere(
    workspace: Workspace, check: Callable[..., Any]
) -> None:
    (workspace.labware / "catalogue.yaml").write_text("- 1")
    recipe = edited(workspace.recipes / "ucb-nk.yaml", "TPO, amount: 25 ng/mL", "TPO, amount: 25 ng")
    catalogue, found = await check(workspace.labware / "catalogue.yaml", recipe)
    assert "no list `labware`" in catalogue.problems[0].message
    assert "mass" in found.problems[0].message


def test_an_item_without_any_check_has_not_passed() -> None:
    assert not CheckedItem("recipe", Path("x"), (), (), 0).passed
    assert not CheckedItem("recipe", Path("x"), ("read",), (Problem("p"),), 0).passed


async def test_a_check_given_up_leaves_nothing_under_way(workspace: Workspace, vendor: Vendor) -> None:
    async def never(definition: dict[str, Any]) -> tuple[Problem, ...]:
        await asyncio.sleep(3600)
        return ()

    vendor.validate_labware = never  # type: ignore[method-assign]
    checking = WorkspaceCheck(workspace, vendor)  # type: ignore[arg-type]
    before = asyncio.all_tasks()
    items = checking.run(checking.files([workspace.labware]))
    assert (await anext(items)).passed
    await items.aclose()  # type: ignore[attr-defined]
    assert asyncio.all_tasks() == before


async def test_a_method_of_the_lab_is_checked_with_the_workspace(
    workspace: Workspace, vendor: Vendor, check: Callable[..., Any]
) -> None:
    workspace.methods.mkdir(parents=True)
    path = workspace.methods / "ldh.yaml"
    path.write_text((FOLDER / "ldh.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    assert path in WorkspaceCheck(workspace, vendor).files()  # type: ignore[arg-type]
    (item,) = await check(path)
    assert (item.kind, item.passed) == ("method", True)
    edited(path, "formula: release", "formula: guess")
    (broken,) = await check(path)
    assert "'guess' is not allowed here" in str(broken.problems[0])
