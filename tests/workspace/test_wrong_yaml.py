"""Whatever somebody writes into a YAML file, it is read or refused with file, line and remedy; never a traceback."""

from __future__ import annotations

import copy
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nkloop.assays.methods import load_method
from nkloop.assays.methods.files import FOLDER as METHODS
from nkloop.assays.panel import load_line_stock
from nkloop.assays.panel.files import FILE as PANEL
from nkloop.assays.panel.files import load_panel
from nkloop.errors import NkloopError, Problem
from nkloop.labware import Catalogue
from nkloop.labware.bags import BagCatalogue
from nkloop.recipes import load_recipe
from nkloop.runs.benches.files import bench_problems
from nkloop.runs.lot_files import load_lots
from nkloop.worklists.protocol_files import REGISTER, load_register
from nkloop.yamlfile import load_yaml

ROOT = Path(__file__).parents[2]
FILES: dict[str, tuple[list[Path], Callable[[Path], object]]] = {
    "recipe": (sorted((ROOT / "recipes").glob("*.yaml")), load_recipe),
    "method": (sorted(METHODS.glob("*.yaml")), load_method),
    "panel": ([PANEL], load_panel),
    "lines": (sorted((ROOT / "devices/lines").glob("*.yaml")), load_line_stock),
    "lots": (sorted((ROOT / "devices/lots").glob("*.yaml")), load_lots),
    "bench": (sorted((ROOT / "devices").glob("*.yaml")), bench_problems),
    "labware": ([ROOT / "labware/catalogue.yaml"], lambda path: Catalogue.load(path.parent)),
    "bags": ([ROOT / "labware/bags.yaml"], lambda path: BagCatalogue.load(path.parent)),
    "protocols": ([ROOT / "protocols" / REGISTER], load_register),
}
SLIPS: dict[str, Any] = {
    "null": None,
    "empty text": "",
    "text": "x",
    "long text": "9" * 300,
    "negative": -1,
    "zero": 0,
    "huge": 1e300,
    "longer than a number": 10**400,
    "no number": float("nan"),
    "endless": float("inf"),
    "truth": True,
    "empty list": [],
    "list of one": ["x"],
    "list of three": [1, 2, 3],
    "list in a list": [[1]],
    "block": {"a": 1},
    "empty block": {},
    "unknown unit": "5 furlong",
    "unit of something else": "5 kg",
    "temperature": "37 degC",
    "negative amount": "-5 mL",
    "amount that is none": "nan mL",
    "endless amount": "inf ng/mL",
    "a sum to do": "2 ** 99999 mL",
    "day there is not": "2027-13-45",
    "way out of the folder": "../x",
}
TWIN = "@twin@"
PYDANTIC = re.compile(
    r"Input should|Value error|Field required|[Uu]nable to parse|should have|validation|<class|\bNone\b"
)


def at_key(data: Any, path: tuple[str | int, ...], slip: str) -> bool:
    """Make a slip of the key; False where there is none."""
    if not path or not isinstance(path[-1], str):
        return False
    block, key = inside(data, path[:-1]), path[-1]
    if slip == "misspelt":
        block[f"{key}z"] = block.pop(key)
    elif slip == "left out":
        del block[key]
    elif slip == "twice":
        block[TWIN + key] = block[key]
    return True


def of_list(data: Any, path: tuple[str | int, ...], slip: str) -> bool:
    """Make a slip in a list; False where there is none."""
    value = inside(data, path)
    if not isinstance(value, list) or not value:
        return False
    changed = {"first only": value[:1], "one more": [*value, value[-1]], "turned round": value[::-1]}[slip]
    value[:] = changed
    return True


KEY_SLIPS = ("misspelt", "left out", "twice")
LIST_SLIPS = ("first only", "one more", "turned round")


def inside(data: Any, path: tuple[str | int, ...]) -> Any:
    """What stands at a path."""
    for step in path:
        data = data[step]
    return data


def paths(data: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every path of plain data."""
    yield at
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in items:
        yield from paths(value, (*at, step))


def with_slip(data: Any, path: tuple[str | int, ...], slip: str) -> Any | None:
    """A copy of plain data with one slip; None where that slip cannot be made."""
    made = copy.deepcopy(data)
    if slip in SLIPS:
        if not path:
            return [SLIPS[slip]]
        inside(made, path[:-1])[path[-1]] = SLIPS[slip]
        return made
    done = at_key(made, path, slip) if slip in KEY_SLIPS else of_list(made, path, slip)
    return made if done else None


def as_yaml(data: Any) -> str:
    """Plain data as a file that stands in many lines; JSON is YAML."""
    text = json.dumps(data, indent=1, ensure_ascii=False).replace(TWIN, "")
    return re.sub(r"\b(NaN|Infinity)\b", lambda found: {"NaN": ".nan", "Infinity": ".inf"}[found[1]], text)


def ill_told(problem: Problem, path: Path) -> bool:
    """Whether a refusal leaves out where it is, what to do, or speaks the language of a library."""
    told = str(problem)
    # a definition that contradicts its entry may be as wrong as the entry
    places = rf"{re.escape(path.name)}:\d+|\.json"
    return not re.search(places, problem.where) or not problem.remedy or bool(PYDANTIC.search(told)) or len(told) > 2000


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a workspace, to write into, with what belongs to the package beside them."""
    made = tmp_path_factory.mktemp("tree")
    for name in ("recipes", "devices", "labware", "protocols"):
        shutil.copytree(ROOT / name, made / name)
    shutil.copytree(METHODS, made / "methods")
    shutil.copy(PANEL, made / "methods")
    return made


def copied(tree: Path, path: Path) -> Path:
    """The file of the tree that stands for a shipped one."""
    return tree / path.relative_to(ROOT) if ROOT / "src" not in path.parents else tree / "methods" / path.name


@pytest.mark.parametrize("kind", FILES)
def test_a_slip_is_read_or_refused_with_its_line(kind: str, tree: Path) -> None:
    files, load = FILES[kind]
    random_ones = random.Random(f"slips of {kind}")
    shipped = {path: load_yaml(path)[0] for path in files}
    wrong: list[str] = []
    for _ in range(60):
        path = random_ones.choice(files)
        at, slip = random_ones.choice(list(paths(shipped[path]))), random_ones.choice([*SLIPS, *KEY_SLIPS, *LIST_SLIPS])
        made = with_slip(shipped[path], at, slip)
        if made is None:
            continue
        file = copied(tree, path)
        file.write_text(as_yaml(made), encoding="utf-8")
        try:
            found = load(file)
            told = found if isinstance(found, tuple) and kind == "bench" else ()
        except NkloopError as error:
            told = error.problems
        except Exception as error:  # noqa: BLE001 - this is what must not be
            wrong.append(f"{path.name} {at} {slip}: {error!r}")
            told = ()
        wrong += [f"{path.name} {at} {slip}: {one}" for one in told if ill_told(one, file)]
        shutil.copy(path, file)
    assert not wrong, "\n".join(wrong)
