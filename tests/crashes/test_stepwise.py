"""`kill -9` of a flow that drives a STAR step by step: at most one step is unknown, and the work is carried on."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import CrashLab

pytestmark = [pytest.mark.slow, pytest.mark.vendor, pytest.mark.timeout(600)]
CRASHES = 4
MEDIUM = "medium_preparation on a STAR"


@pytest.fixture(scope="module")
def reports(crash_lab: CrashLab) -> list[dict[str, Any]]:
    return crash_lab("stepwise", "--crashes", str(CRASHES), "--seed", "1", "--first-steps", "8", "--procedure", MEDIUM)


@pytest.mark.parametrize("number", range(CRASHES))
def test_nothing_is_lost_or_done_twice(reports: list[dict[str, Any]], number: int) -> None:
    report = reports[number]
    assert report["problems"] == [], report
    assert report["events"].get("unknown", 0) <= 1


def test_runs_of_a_device_without_memory_are_continued_and_repaired(reports: list[dict[str, Any]]) -> None:
    assert sum(report["struck"] for report in reports) >= CRASHES - 1
    assert {"continue", "repair"} <= {kind for report in reports for kind in report["decisions"]}
    assert sum(report["followed"] for report in reports) >= 2
