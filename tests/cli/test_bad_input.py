"""Bad input is refused before any liquid moves: place and remedy, exit code 1, no traceback, nothing written."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from nkloop.cli import main
from nkloop.workspace import Workspace

Nkloop = Callable[..., Any]
MEDIUM = ("plan", "medium", "--recipe", "ucb-nk", "--stage", "expansion_i")
TPO = "component: TPO, amount: 25 ng/mL"


def files_of(root: Path) -> dict[Path, bytes]:
    """Every file but caches of answers, with its content."""
    return {p: p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file() and ".nkloop" not in p.parts}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param(TPO, "component: TPO, amount: 25 ng", r"25 ng measures mass.*Remedy", id="wrong kind of unit"),
        pytest.param(
            TPO, "component: TPO, amount: 25 ng/mLL", r"unit 'ng/mLL' is not known", id="no unit of that name"
        ),
        pytest.param(TPO, "component: TPO, amount: 25", r"25 is not an amount, it has no unit", id="no unit"),
        pytest.param(TPO, "component: TPO, amount: -25 ng/mL", r"-25 ng/mL must be above 0", id="negative"),
        pytest.param(TPO, "component: TPO, amount: 0 ng/mL", r"0 ng/mL must be above 0", id="zero"),
        pytest.param(TPO, "component: TPO, amount: .nan", r"nan is not an amount, it is not finite", id="nan"),
        pytest.param(TPO, "component: TP0, amount: 25 ng/mL", r"unknown component 'TP0'.*mean 'TPO'", id="unknown"),
        pytest.param("amount: 98 % v/v", "amount: 97.7 % v/v", r"percentages sum to 99.7 %.*100 ± 0.2", id="99.7 %"),
        pytest.param("stages:", "stages: [", r"Remedy", id="no YAML"),
    ],
)
@pytest.mark.parametrize("command", ["check", "plan", "show"])
def test_a_broken_recipe(workspace: Workspace, nkloop: Nkloop, old: str, new: str, told: str, command: str) -> None:
    path = workspace.recipes / "ucb-nk.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    before = files_of(workspace.root)
    commands = {
        "check": ("check", path),
        "plan": (
            "plan",
            "medium",
            "--recipe",
            "ucb-nk",
            "--stage",
            "expansion_i",
            "--volume",
            "50 mL",
            "--csv",
            "x.csv",
        ),
        "show": ("recipe", "show", "ucb-nk"),
    }
    ended = nkloop(*commands[command])
    said = ended.out + ended.err
    assert ended.code == 1
    assert re.search(rf"ucb-nk.yaml:\d+:\d+: .*{told}", said), said
    assert "Remedy: " in said
    assert "Traceback" not in said
    assert files_of(workspace.root) == before


def test_percentages_within_the_tolerance_pass(workspace: Workspace, nkloop: Nkloop) -> None:
    path = workspace.recipes / "ucb-nk.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("amount: 98 % v/v", "amount: 98.2 % v/v"), encoding="utf-8"
    )
    assert nkloop("check", path).code == 0


WORKLISTS = {
    # name: what is replaced, by what (a regular expression), where it is told, what is told
    "overfills": (r"(step,3,.*?,)681,", r"\g<1>20000,", r"step 3", r"20000|20,000"),
    "overdraws": (r"(base,A1,,,)20500,", r"\g<1>1500,", r"step \d", r"overdrawn|air|dead volume"),
    "overfull_well": (
        r"(liquid,.*?stocks,A1,,,)35,", r"\g<1>4000,", r"stocks", r"overfull|overfilled|holds|4000",
    ),
    "absent_tip": ("tips_1000:A12", "tips_1000:A13", r"step 3", r"A13"),
    "absent_rack": ("tips_1000:A12", "tips_5000:A12", r"line 22, column tip", r"tips_5000"),
    "absent_labware": (r"(step,3,transfer,.*?),base,A1,", r"\1,basis,A1,", r"line 22, column labware", r"basis"),
    "unknown_labware": (
        "corning_24_wellplate_3.4ml_flat", "corning_25_wellplate", r"culture|line", r"corning_25_wellplate",
    ),
    "absent_pipette": ("flex_1channel_1000", "flex_1channel_50", r"left|step|pipette", r"flex_1channel"),
    "eight_channels_without": (r"(step,3,.*?,681,),", r"\g<1>8,", r"step 3", r"8|eight|channel"),
    "negative_volume": (r"(step,3,.*?,)681,", r"\g<1>-681,", r"line \d+", r"-681"),
    "nan_volume": (r"(step,3,.*?,)681,", r"\g<1>nan,", r"line \d+", r"nan"),
    "no_header": ("record,step,", "rec,step,", r"line 1", r"record|header|column"),
    "binary": ("", "", r"binary", r"cannot be read"),
}  # fmt: skip


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All the bad worklists checked by one command."""
    workspace = Workspace.create(tmp_path_factory.mktemp("bad") / "lab")
    folder = workspace.root / "mine"
    folder.mkdir()
    for name, (old, new, *_) in WORKLISTS.items():
        text = (workspace.protocols / "cytokine_dosing.example.csv").read_text(encoding="utf-8")
        changed, n = re.subn(old, new, text, count=1) if old else (text, 1)
        assert n == 1, name
        (folder / f"cytokine_dosing.{name}.csv").write_bytes(changed.encode() if old else b"\xff\xfe\x00")
    before = files_of(workspace.root)
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
        patched.chdir(workspace.root)
        patched.setattr(sys, "argv", ["nkloop", "check", str(folder), "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
    assert files_of(workspace.root) == before
    assert (ended.value.code, err.getvalue()) == (1, "")
    told = json.loads(out.getvalue())
    assert told["passed"] is False
    return {Path(item["path"]).name.split(".")[1]: item for item in told["items"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLISTS)
def test_a_bad_worklist(refused: dict[str, Any], name: str) -> None:
    *_, where, told = WORKLISTS[name]
    item = refused[name]
    assert item["passed"] is False
    own = [p for p in item["problems"] if re.search(where, p["where"]) and re.search(told, p["message"] + p["where"])]
    assert own, item["problems"]
    assert all(f"{name}.csv" in p["where"] for p in item["problems"])
    assert all(p["remedy"] for p in own)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(("check", "gone.csv"), r"there is no gone.csv. Remedy", id="check nothing"),
        pytest.param(
            ("check", "prefect.yaml", "--bench", "star"), r"no bench 'star'.*ot2_spectramax.*virtual", id="bench"
        ),
        pytest.param(
            ("plan", "medium", "--recipe", "nope", "--stage", "s", "--volume", "1 mL"), r"no recipe 'nope'", id="recipe"
        ),
        pytest.param(
            ("plan", "medium", "--recipe", "ucb-nk", "--stage", "s", "--volume", "50 mL"),
            r"no stage 's'. Remedy: use expansion_i", id="stage",
        ),
        pytest.param(
            (*MEDIUM, "--volume", "50"),
            r"'50' is not a number with a unit", id="volume without unit",
        ),
        pytest.param(
            (*MEDIUM, "--volume", "50 mL", "--lots", "gone.yaml"),
            r"gone.yaml: cannot be read", id="lots",
        ),
        pytest.param(("recipe", "show", "nope"), r"no recipe 'nope'. Remedy: use one of: ucb-dc, ucb-nk", id="show"),
        pytest.param(("recipe", "show", "ucb-nk@0"), r"revision ucb-nk@0 is not recorded", id="revision"),
        pytest.param(("recipe", "approve", "ucb-nk@0", "--by", "A", "--reason", "x"), r"is not recorded", id="approve"),
        pytest.param(("report", "nope"), r"no campaign or run 'nope'. Remedy: nkloop report lists", id="report"),
        pytest.param(("init", "recipes"), r"folder is not empty", id="init"),
        pytest.param(("serve", "--bench", "star"), r"no bench 'star'", id="serve"),
        pytest.param(("report", "--workspace", "/"), r"has the folders recipes.*nkloop init DIR", id="no workspace"),
        pytest.param(("demo", "--directory", "recipes"), r"folder is not empty", id="demo"),
    ],
)  # fmt: skip
def test_a_slip_on_the_command_line(
    nkloop: Nkloop, workspace: Workspace, arguments: tuple[str, ...], told: str
) -> None:
    before = files_of(workspace.root)
    ended = nkloop(*arguments)
    assert (ended.code, ended.out) == (1, "")
    assert re.search(told, ended.err), ended.err
    assert ended.err.startswith("error: ")
    assert files_of(workspace.root) == before
