"""`nkloop plan ... --reserve`: a plan holds what it will take, and nobody else plans with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nkloop.cli.run.source import source_of
from nkloop.errors import WorklistError
from nkloop.runs.lot_files import load_lots
from nkloop.runs.stock import opened
from nkloop.workspace import Workspace

pytestmark = pytest.mark.usefixtures("by_ledger")
Nkloop = Callable[..., Any]
PLAN = ("plan", "medium", "ucb-nk", "--stage", "expansion_i", "--volume", "20 mL")
DOSE = ("plan", "dosing", "--recipe", "ucb-nk", "--stage", "expansion_i", "--vessel", "plate-24", "--donors", "U1")
LOTS = Path("devices/lots/virtual.yaml")


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose stock was imported once."""
    workspace = Workspace.create(tmp_path_factory.mktemp("counted") / "lab")
    with opened(workspace) as records:
        records.stock.import_lots("virtual", load_lots(workspace.root / LOTS), by="Ada", at=datetime.now(UTC))
    return workspace.root


@pytest.fixture
def workspace(counted: Path, tmp_path: Path) -> Workspace:
    return Workspace.find(shutil.copytree(counted, tmp_path / "lab"))


def reserved_of(nkloop: Nkloop) -> dict[str, float]:
    rows = nkloop("lots", "list", "--json").json["lots"]
    return {row["lot"]: row["reserved_ul"] for row in rows if row["reserved_ul"]}


@pytest.mark.parametrize("plan", [pytest.param(PLAN, id="medium"), pytest.param(DOSE, id="dosing")])
def test_a_plan_holds_what_it_takes_until_it_is_released(nkloop: Nkloop, plan: tuple[str, ...]) -> None:
    told = nkloop(*plan, "--reserve", "batch 7", "--by", "Ada", "--json").json
    again = nkloop(*plan, "--json").json
    assert again["take_out"] == told["take_out"]
    assert any(note.startswith("This plan is reserved as 'batch 7' by Ada until") for note in again["notes"])
    wanted = {row["lot"]: row["volume_ul"] for row in told["lots"]}
    assert reserved_of(nkloop) == pytest.approx(wanted)
    assert told["reserved"]["name"] == "batch 7"
    assert sum(one["volume_ul"] for one in told["reserved"]["containers"]) == pytest.approx(sum(wanted.values()))
    assert nkloop("lots", "release", "batch 7", "--reason", "not run", "--by", "Ada").code == 0
    assert reserved_of(nkloop) == {}


def test_a_name_is_reserved_once_and_only_by_a_plan_that_passes(nkloop: Nkloop, workspace: Workspace) -> None:
    shown = nkloop(*PLAN, "--reserve", "batch 7", "--by", "Ada")
    assert "Reserved for batch 7 until" in shown.out
    before = reserved_of(nkloop)
    again = nkloop(*PLAN, "--reserve", "batch 7", "--by", "Ada", "--csv", "x.csv")
    assert again.code == 1
    assert "error: --reserve: 'batch 7' holds a reservation already. Remedy: choose another name" in again.err
    twice = nkloop(*PLAN, "--reserve", "batch 8", "--by", "Bo")
    assert "error: --reserve: this very plan is reserved already, as 'batch 7' until" in twice.err
    assert not (workspace.root / "x.csv").exists()
    assert reserved_of(nkloop) == before


@pytest.mark.parametrize(
    ("more", "told"),
    [
        pytest.param(("--by", ""), "--by: it is empty. Remedy: write who reserves", id="nobody"),
        pytest.param(("--by", "Ada", "--hold", "40 d"), "--hold: 40 d is not a time above 0 and up to 31 d", id="long"),
        pytest.param(("--by", "Ada", "--hold", "3 mL"), "--hold: 3 mL is not a time above 0", id="no time"),
        pytest.param(("--by", "Ada", "--lots", LOTS), "cannot reserve: a file is not the counted stock", id="file"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(nkloop: Nkloop, more: tuple[str, ...], told: str) -> None:
    ended = nkloop(*PLAN, "--reserve", "batch 7", *more)
    assert ended.code == 1
    assert told in ended.err
    assert reserved_of(nkloop) == {}


def test_without_a_counted_stock_nothing_is_reserved(nkloop: Nkloop, workspace: Workspace) -> None:
    (workspace.state / "records.db").unlink()
    ended = nkloop(*PLAN, "--reserve", "batch 7", "--by", "Ada")
    assert "nothing is counted in bench virtual, so nothing can be reserved. Remedy: run `" in ended.err
    assert "nkloop lots import FILE" in ended.err
    assert not (workspace.state / "records.db").exists()


def test_a_table_is_known_by_the_plan_that_reserved_for_it(nkloop: Nkloop, workspace: Workspace) -> None:
    nkloop(*PLAN, "--reserve", "batch 7", "--by", "Ada", "--csv", "monday.csv")
    table = workspace.root / "monday.csv"
    assert table.is_file()
    (workspace.root / "monday.plan.json").unlink()  # which would tell it everywhere
    with opened(workspace) as records:
        (part,) = source_of(str(table), "", records, "virtual").parts
        assert part.worklist.procedure == "medium_preparation"
        with pytest.raises(WorklistError, match="which procedure this is cannot be told: 'monday'"):
            source_of(str(table), "", records, "flex_byonoy")
