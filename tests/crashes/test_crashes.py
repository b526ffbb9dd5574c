"""`kill -9` of flow and robot at journal transitions and at random: the wells are what the journal says."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from .conftest import CrashLab

pytestmark = [pytest.mark.slow, pytest.mark.vendor, pytest.mark.timeout(600)]
CRASHES = 40
SEED = "20"
STEPS = "12"
"""As many unknown steps as are repaired together; whole procedures are for the benchmark."""


@pytest.fixture(scope="module")
def reports(crash_lab: CrashLab) -> list[dict[str, Any]]:
    return crash_lab("director", "--crashes", str(CRASHES), "--seed", SEED, "--first-steps", STEPS)


@pytest.mark.parametrize("number", range(CRASHES))
def test_nothing_is_lost_or_done_twice(reports: list[dict[str, Any]], number: int) -> None:
    report = reports[number]
    assert report["problems"] == [], report


def test_the_sample_hits_what_it_is_meant_to_hit(reports: list[dict[str, Any]]) -> None:
    struck = [report for report in reports if report["struck"]]
    assert len(struck) >= 0.9 * CRASHES
    kinds = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")
    assert {report["procedure"] for report in struck} == {*kinds, *(f"{kind} on an OT-2" for kind in kinds)}
    assert min(Counter(report["victim"] for report in struck).values()) >= CRASHES // 4
    states = {state for report in struck for state in report["states"]}
    assert {"succeeded", "interrupted"} <= states
    events = Counter[str]()
    for report in struck:
        events.update(report["events"])
    assert min(events[event] for event in ("done", "failed", "unknown")) > 0
    assert {"continue", "discard"} <= {kind for report in reports for kind in report["decisions"]}
    assert sum(report["followed"] for report in reports) > 0
