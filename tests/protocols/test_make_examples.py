"""The examples beside the protocols are what the planners make today."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nkloop.vendor.client import VendorClient
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.ledger_check import check_ledger

HERE = Path(__file__).parent
PROTOCOLS = HERE.parents[1] / "protocols"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """`make_examples.py`, which lies beside this file and in no package."""
    spec = importlib.util.spec_from_file_location("make_examples", HERE / "make_examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_on_disk_are_what_the_planners_make(maker: Any, tmp_path: Path) -> None:
    maker.main(tmp_path)
    made = {str(path.relative_to(tmp_path)): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.csv")}
    there = {
        str(path.relative_to(PROTOCOLS)): path.read_text(encoding="utf-8") for path in PROTOCOLS.rglob("*.example.csv")
    }
    assert made.keys() == there.keys()
    stale = [name for name in made if made[name] != there[name]]
    assert not stale, "run: python tests/protocols/make_examples.py protocols"


def test_every_example_reaches_its_targets_on_the_bench(maker: Any) -> None:
    for robot in maker.BENCHES:
        _, _, catalogue, deck = maker.shipped(robot)
        for make in maker.EXAMPLES.values():
            result = check_ledger(make(robot), catalogue, deck)
            assert result.passed, result.problems


@pytest.mark.vendor
@pytest.mark.timeout(600)
@pytest.mark.asyncio(loop_scope="session")
async def test_a_plate_is_few_enough_robot_commands_to_analyse_quickly(vendor: VendorClient, maker: Any) -> None:
    _, _, catalogue, _ = maker.shipped()
    worklist = maker.cytotoxicity_assay()
    assert len(worklist.steps) <= 100
    protocol = PROTOCOLS / "cytotoxicity_assay.py"
    analysis = await vendor.analyse(protocol, csv=to_csv(worklist), labware=catalogue.own_definitions)
    assert analysis.errors == ()
    # about 1 ms of analysis per command
    assert len(analysis.commands) < 850
