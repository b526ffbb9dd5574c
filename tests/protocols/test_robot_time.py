"""Robot time as it is estimated for a plan, against the robot's own analysis and against the virtual robot."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.bench import load_bench_file
from nkloop.labware import Catalogue
from nkloop.runs.verification import Verifier
from nkloop.vendor.client import VendorClient
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.duration import estimate_minutes
from nkloop.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.vendor
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(("folder", "bench"), [("", "virtual"), ("ot2", "ot2_spectramax")], ids=["flex", "ot2"])
@pytest.mark.parametrize("procedure", ["medium_preparation", "cytokine_dosing", "cytotoxicity_assay"])
async def test_the_estimate_agrees_with_what_the_commands_take(
    vendor: VendorClient, monkeypatch: pytest.MonkeyPatch, procedure: Any, folder: str, bench: str
) -> None:
    """Measured: 0.99 to 1.02 of the commands, 0.64 to 0.94 of the virtual robot, which moves to every well anew."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    robot_time = importlib.import_module("robot_time")
    workspace = Workspace.find(ROOT)
    deck = load_bench_file(workspace.devices / f"{bench}.yaml").deck
    path = workspace.protocols / folder / f"{procedure}.example.csv"
    worklist = from_csv(path.read_text(encoding="utf-8"), name=procedure, procedure=procedure)
    verifier = Verifier(workspace, Catalogue.load(workspace.labware), deck, vendor)
    commands = (await verifier.analyse(worklist)).commands
    estimate = estimate_minutes(worklist, deck)
    assert estimate == pytest.approx(robot_time.counted_minutes(commands, deck), rel=0.05)
    assert 0.55 < estimate / robot_time.virtual_minutes(commands) < 1.1
