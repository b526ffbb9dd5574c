"""A robot far beyond its planned time is told once per stretch."""

from __future__ import annotations

from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.runs.overdue import PATIENT_SECONDS, Stretch
from nkloop.worklists.duration import start_seconds, step_durations
from nkloop.worklists.models import PLATE_READING, Worklist


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


@pytest.fixture
def stretch(worklist: Worklist, bench: Bench, clock: list[float]) -> Stretch:
    return Stretch(worklist, bench.file.deck, lambda: clock[0])


def planned(worklist: Worklist, bench: Bench, numbers: set[int]) -> float:
    return sum(one.robot_s for one in step_durations(worklist, bench.file.deck) if one.number in numbers)


def test_it_is_told_once_when_twice_the_plan_and_the_patience_are_over(
    stretch: Stretch, worklist: Worklist, bench: Bench, clock: list[float]
) -> None:
    stretch.begin(0)
    bound = 2 * (planned(worklist, bench, {1}) + start_seconds(worklist, bench.file.deck)) + PATIENT_SECONDS
    clock[0] += bound - 1
    stretch.begin(1)
    assert stretch.overdue() == ""
    clock[0] += 2
    assert stretch.overdue().startswith(f"works since {round((bound + 1) / 60)} min on what was planned for ")
    assert stretch.overdue() == ""


def test_a_pause_of_people_does_not_count_and_the_next_stretch_is_told_anew(
    stretch: Stretch, worklist: Worklist, bench: Bench, clock: list[float]
) -> None:
    stretch.begin(0)
    clock[0] += 100_000
    assert stretch.overdue()
    stretch.end()
    clock[0] += 100_000
    assert stretch.overdue() == ""
    stretch.begin(2)
    assert stretch.overdue() == ""
    clock[0] += 2 * planned(worklist, bench, {2, 3}) + PATIENT_SECONDS + 1
    assert stretch.overdue()


def test_a_reading_has_no_plan(worklist: Any, bench: Bench, clock: list[float]) -> None:
    reading = Stretch(worklist.model_copy(update={"procedure": PLATE_READING}), bench.file.deck, lambda: clock[0])
    reading.begin(0)
    clock[0] += 1e6
    assert reading.overdue() == ""
