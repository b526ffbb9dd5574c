"""Which lots a plan may use: the file that is named, else the stock, else the bench's own list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nkloop.drivers.bench import load_bench_file
from nkloop.errors import BenchError, InventoryError, ShortageError
from nkloop.inventory import Inventory
from nkloop.runs.stock import lots_for, opened, planning_lots, seed_path, stock_of
from nkloop.workspace import Workspace

NOW = datetime.now(UTC)
LIST = (
    "lots:\n  - {id: L1, component: SCF, lot_number: '1', supplier: m, concentration: 100 µg/mL, "
    "volume: 1 mL, expires: 2040-01-01, storage: 4 °C}\n"
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("NKLOOP_DATABASE_URL", raising=False)
    return Workspace.create(tmp_path / "lab")


def test_without_a_stock_it_is_the_list_of_the_bench_and_no_database_is_made(workspace: Workspace) -> None:
    assert lots_for(workspace, "virtual") == Inventory.load(seed_path(workspace, "virtual"))
    assert stock_of(workspace, "virtual") is None
    assert not (workspace.state / "records.db").exists()


def test_the_stock_wins_over_the_list_and_a_file_over_the_stock(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(LIST, encoding="utf-8")
    with opened(workspace) as records:
        records.stock.import_lots("virtual", Inventory.load(path), by="Ada", at=NOW)
        records.stock.adjust("virtual", "L1", by="Ada", at=NOW, reason="counted", volume_ul=400)
    assert [(lot.id, lot.volume_ul) for lot in lots_for(workspace, "virtual").lots] == [("L1", 400)]
    assert lots_for(workspace, "virtual", lots=path).lot("L1").volume_ul == 1000
    assert len(lots_for(workspace, "virtual_ot2").lots) > 10


def test_a_bench_without_any_lot_is_told_with_its_file_and_what_to_do(workspace: Workspace, tmp_path: Path) -> None:
    for path in sorted(workspace.devices.glob("*.yaml")):
        lots = load_bench_file(path).lots
        assert lots, f"{path.name} names no lot list"
        assert (path.parent / lots).is_file(), f"{path.name}: {lots} is not there"
        if "virtual" not in path.stem:
            with pytest.raises(
                ShortageError, match=rf"(?s)lots/{path.stem}\.yaml: bench {path.stem} has no lots yet.*--lots"
            ):
                planning_lots(workspace, path.stem)
    empty = tmp_path / "empty.yaml"
    empty.write_text("title: none\nlots: []\n", encoding="utf-8")
    with pytest.raises(ShortageError, match="has no lots"):
        planning_lots(workspace, "virtual", lots=empty)
    assert planning_lots(workspace, "virtual").lots


def test_what_is_reserved_cannot_be_planned_with_until_its_time_is_over(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(LIST, encoding="utf-8")
    day = NOW.date()
    with opened(workspace) as records:
        records.stock.import_lots("virtual", Inventory.load(path), by="Ada", at=NOW)
        until = NOW + timedelta(hours=2)
        records.stock.reserve("virtual", "monday", {"L1": 900}, use_until=day, until=until, by="Ada", at=NOW)
    with pytest.raises(ShortageError, match="900 µL reserved for monday until"):
        lots_for(workspace, "virtual").pick("SCF", 200, day)
    assert lots_for(workspace, "virtual", at=NOW + timedelta(hours=3)).choose("SCF", 200, day).id == "L1"


def test_a_wrong_bench_or_file_is_told(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="there is no bench 'nowhere'"):
        lots_for(workspace, "nowhere")
    with pytest.raises(InventoryError, match="cannot be read"):
        lots_for(workspace, "virtual", lots=tmp_path / "absent.yaml")
