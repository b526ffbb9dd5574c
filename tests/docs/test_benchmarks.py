"""Every benchmark says what it measures, can be imported without running, and is in the page that shows figures."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

NAMES = (
    "check_vs_cold",
    "coverage",
    "crash_storm",
    "curve_fits",
    "demo_time",
    "dosing_economy",
    "feeding_by_columns",
    "help_time",
    "journal_cost",
    "ledger_speed",
    "network_faults",
    "planning_speed",
    "plate_to_report",
    "reading_speed",
    "stock_use",
    "robot_time",
)


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_has_a_main_and_says_what_it_is(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(root / "benchmarks")
    spec = importlib.util.spec_from_file_location(name, root / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.__doc__
    assert callable(module.main)


def test_the_page_shows_every_benchmark(root: Path) -> None:
    text = (root / "benchmarks" / "README.md").read_text(encoding="utf-8")
    scripts = {path.stem for path in root.glob("benchmarks/*.py")} - {"stopwatch"}
    assert scripts == set(NAMES)
    assert all(f"`{name}.py`" in text for name in scripts)
