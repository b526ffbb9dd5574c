"""`nkloop lots`: from a list to a counted stock, as a technician types it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nkloop.cli.lots.show import _containers
from nkloop.runs.lot_files import load_lots
from nkloop.workspace import Workspace

Nkloop = Callable[..., Any]
HEAD = "lot,component,lot number,supplier,concentration,container,kind,volume,expires,opened life,storage,price\n"
LINES = (
    "SCF-1,SCF,A1,maker,100 µg/mL,SCF-1-a,cryovial,200 µL,2040-12-31,7 d,-80 °C,200\n"
    "SCF-1,,,,,SCF-1-b,cryovial,200 µL,,,,\n"
    "SCF-2,SCF,A2,maker,100 µg/mL,SCF-2-a,cryovial,1 mL,2039-06-30,7 d,-80 °C,\n"
    "PBS-1,PBS,B1,maker,100 % v/v,PBS-1-a,bottle,500 mL,2020-01-31,,20 °C,50\n"
)


@pytest.fixture
def fridge(workspace: Workspace) -> Path:
    path = workspace.root / "fridge.csv"
    path.write_text(HEAD + LINES, encoding="utf-8-sig")
    return path


@pytest.fixture
def stocked(nkloop: Nkloop, fridge: Path) -> Nkloop:
    assert nkloop("lots", "import", fridge, "--by", "Ada").code == 0
    return nkloop


def test_a_dry_run_says_what_would_change_and_writes_nothing(
    nkloop: Nkloop, fridge: Path, workspace: Workspace
) -> None:
    ended = nkloop("lots", "import", fridge, "--dry-run")
    assert ended.code == 0
    assert "new               SCF-1: SCF, 400 µL in 2 containers" in ended.out
    assert "3 lots would change, 0 stay as they are. Nothing was written." in ended.out
    assert "This is the bench's own list" in nkloop("lots", "list").out


def test_importing_twice_changes_nothing(stocked: Nkloop, fridge: Path) -> None:
    ended = stocked("lots", "import", fridge, "--by", "Ada")
    assert ended.code == 0
    assert "0 lots changed in the stock of bench virtual, 3 stay as they are." in ended.out


def test_an_import_needs_a_name(nkloop: Nkloop, fridge: Path, workspace: Workspace) -> None:
    ended = nkloop("lots", "import", fridge)
    assert ended.code == 1
    assert "error: --by: it is empty. Remedy: write who imports the list, or try it with --dry-run" in ended.err
    assert not (workspace.state / "records.db").exists()


def test_a_contradiction_is_named_and_corrected_with_a_reason(stocked: Nkloop, fridge: Path) -> None:
    fridge.write_text(fridge.read_text("utf-8-sig").replace("2039-06-30", "2038-06-30"), encoding="utf-8")
    refused = stocked("lots", "import", fridge, "--by", "Ada")
    assert refused.code == 1
    assert "lot SCF-2: expires is 2039-06-30 in the stock, 2038-06-30 in the list" in refused.err
    assert "--correct" in refused.err
    dry = stocked("lots", "import", fridge, "--dry-run", "--json")
    assert (dry.code, dry.json["changes"]) == (1, 0)
    corrected = stocked("lots", "import", fridge, "--by", "Ada", "--correct", "--reason", "typing error")
    assert corrected.code == 0
    assert "changed by Ada: typing error" in stocked("lots", "show", "SCF-2").out


def test_the_list_is_first_expired_first_out_and_fits_a_hundred_columns(stocked: Nkloop) -> None:
    ended = stocked("lots", "list")
    assert ended.code == 0
    assert max(map(len, ended.out.splitlines())) <= 100
    assert ended.out.index("SCF-2") < ended.out.index("SCF-1")
    rows = {row["lot"]: row for row in stocked("lots", "list", "--json").json["lots"]}
    assert [*rows] == ["SCF-2", "SCF-1", "PBS-1"]
    assert (rows["SCF-1"]["remaining_ul"], rows["SCF-1"]["free_ul"]) == (400, 340)
    assert rows["PBS-1"]["free_ul"] == 0
    assert rows["PBS-1"]["remarks"][0].startswith("expired ")


@pytest.mark.parametrize("barcode", ["SUPPLIER-SCF-000001-01", 60 * "x"])
def test_barcodes_of_containers_are_never_cut(fridge: Path, capsys: pytest.CaptureFixture[str], barcode: str) -> None:
    fridge.write_text(fridge.read_text("utf-8-sig").replace("SCF-1-a", barcode), encoding="utf-8-sig")
    lots = load_lots(fridge)
    _containers(Console(width=80), lots, lots.lot("SCF-1"))
    told = capsys.readouterr().out
    assert "…" not in told
    assert max(map(len, told.splitlines())) <= 80
    assert barcode in told or told.count("x") == len(barcode)


def test_one_component_as_csv(stocked: Nkloop, workspace: Workspace) -> None:
    out = workspace.root / "scf.csv"
    assert stocked("lots", "list", "--component", "SCF", "--csv", out).code == 0
    with out.open(encoding="utf-8") as table:
        assert [row["lot"] for row in csv.DictReader(table)] == ["SCF-2", "SCF-1"]
    wrong = stocked("lots", "list", "--component", "SFC")
    assert (wrong.code, "did you mean 'SCF'?" in wrong.err) == (1, True)


def test_adjusting_is_told_and_kept_in_the_history(stocked: Nkloop) -> None:
    who = ("--by", "Bo", "--reason", "spilled")
    ended = stocked("lots", "adjust", "SCF-1-a", "--volume", "150 uL", "--thawed", "today", *who)
    assert ended.code == 0
    assert "SCF-1-a: 200 µL, 0 thaws -> 150 µL, opened " in ended.out
    shown = stocked("lots", "show", "SCF-1-a")
    assert "corrected" in shown.out
    assert "-50.0 µL" in shown.out
    history = stocked("lots", "show", "SCF-1", "--json").json["history"]
    assert [(row["kind"], row["by"], row["why"]) for row in history[2:]] == [
        ("thawed", "Bo", "spilled"),
        ("corrected", "Bo", "spilled"),
    ]
    assert stocked("lots", "adjust", "SCF-1-b", "--discard", *who).code == 0
    assert "1 more containers are empty" in stocked("lots", "show", "SCF-1").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(("SCF-1-a",), "nothing is to be changed. Remedy: give --volume", id="nothing"),
        pytest.param(("SCF-1-x", "--discard"), "no container 'SCF-1-x' in the stock. Remedy: did you mean", id="typo"),
        pytest.param(("SCF-1-a", "--volume", "1,5 mL"), "1,5 mL", id="decimal comma"),
        pytest.param(("SCF-1-a", "--volume", "5 mg"), "--volume: 5 mg is no volume", id="mass"),
        pytest.param(("SCF-1-a", "--opened", "31.1.27"), "'31.1.27' is not a day. Remedy: write today", id="day"),
        pytest.param(("SCF-1-a", "--opened", "2099-01-01"), "2099-01-01 is in the future", id="future"),
        pytest.param(("SCF-1-a", "--discard", "--volume", "1 mL"), "--discard empties the container", id="both"),
        pytest.param(("PBS-1-a", "--thawed", "today"), "cannot be thawed, lot PBS-1 is stored at 20 °C", id="no ice"),
    ],
)
def test_a_wrong_adjustment_says_what_to_do(stocked: Nkloop, arguments: tuple[str, ...], told: str) -> None:
    ended = stocked("lots", "adjust", *arguments, "--by", "Bo", "--reason", "x")
    assert ended.code == 1
    assert told in ended.err
    assert "Traceback" not in ended.err


def test_before_an_import_nothing_can_be_adjusted(nkloop: Nkloop) -> None:
    ended = nkloop("lots", "adjust", "SCF-01-01", "--discard", "--by", "Bo", "--reason", "x")
    assert ended.code == 1
    assert "no lot list was imported yet" in ended.err


def test_a_lot_held_back_is_not_planned_with(stocked: Nkloop) -> None:
    held = stocked("lots", "state", "SCF-2", "quarantined", "--by", "QA", "--reason", "endotoxin pending")
    assert "SCF-2 is quarantined from now on" in held.out
    rows = stocked("lots", "list", "--json", "--component", "SCF").json["lots"]
    held_row = next(row for row in rows if row["lot"] == "SCF-2")
    assert (held_row["free_ul"], held_row["remarks"][0]) == (0, "quarantined: endotoxin pending")
    wrong = stocked("lots", "state", "SCF-2", "open", "--by", "QA", "--reason", "x")
    assert "'open' is no state of a lot. Remedy: write one of: released, quarantined, blocked" in wrong.err


def test_releasing_nothing_is_told(stocked: Nkloop) -> None:
    ended = stocked("lots", "release", "monday", "--by", "Bo", "--reason", "x")
    assert "'monday' has reserved nothing. Remedy: reserved by: nobody" in ended.err
