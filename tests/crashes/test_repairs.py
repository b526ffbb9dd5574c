"""A run that was stopped within a step is repaired, and every target holds however that step went."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import CrashLab

pytestmark = [pytest.mark.slow, pytest.mark.vendor, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def reports(crash_lab: CrashLab) -> list[dict[str, Any]]:
    return crash_lab("repairs", "--procedure", "cytokine_dosing on an OT-2")


@pytest.mark.parametrize("number", range(3), ids=["nothing_drawn", "drawn_and_lost", "given"])
def test_a_step_of_which_nobody_says_anything_is_made_good(reports: list[dict[str, Any]], number: int) -> None:
    report = reports[number]
    assert report["problems"] == [], report
    assert report["struck"]
    assert report["refused"] == []
    assert report["decisions"] == ["repair"]
    assert report["states"] == ["interrupted", "succeeded"]
    assert (report["followed"], report["events"]["unknown"]) == (1, 1)
