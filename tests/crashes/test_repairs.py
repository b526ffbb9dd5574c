"""A run that was stopped within a step is repaired or continued, and every target holds."""

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


@pytest.mark.parametrize(
    ("number", "word"), [(3, "gave its liquid and was not mixed"), (4, "gave its liquid and was cut in its mix")]
)
def test_a_transfer_cut_in_the_mix_after_it_is_given_once_and_mixed(
    reports: list[dict[str, Any]], number: int, word: str
) -> None:
    report = reports[number]
    assert report["problems"] == [], report
    assert report["struck"]
    assert report["refused"] == []
    assert report["decisions"] == ["continue"]
    assert report["states"] == ["interrupted", "succeeded"]
    assert report["said"] == [word]
