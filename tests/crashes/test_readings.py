"""`kill -9` of a flow that reads a plate on the deck of a Flex, and of the robot: the plate is read, and once."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nkloop.records.models import StepRecord
from nkloop.runs.late_files import SETTLED

from .conftest import CrashLab

AT = datetime(2026, 1, 5, tzinfo=UTC)
SEEN = {"450": {"A1": 0.5, "B1": 0.7}, "650": {"A1": 0.1, "B1": 0.1}}


@pytest.mark.slow
@pytest.mark.vendor
@pytest.mark.timeout(600)
def test_a_plate_is_read_once_whoever_is_killed(crash_lab: CrashLab) -> None:
    """A flow while the plate is measured, which is fetched later; a robot that forgets what it has just measured; a
    robot whose files are being copied out, the rest of which is fetched when it is on again."""
    crashes = crash_lab("readings", "--crashes", "3")
    assert [(crash["problems"], crash["struck"]) for crash in crashes] == 3 * [([], True)]
    flow, robot, copying = crashes
    assert (copying["states"], copying["events"]) == (["succeeded"], {"done": 7}), "it is read once"
    assert (flow["states"], flow["decisions"]) == (["succeeded"], [])
    assert (robot["states"], robot["decisions"]) == (["interrupted", "succeeded"], ["continue"])


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("crash_lab.judge_readings")


@pytest.mark.parametrize(
    ("event", "detail", "n_acts", "told"),
    [
        ("done", "device time 1", 1, None),
        ("done", "device time 1", 0, "nothing took effect"),
        ("done", "confirmed by Ada", 0, None),
        ("failed", "not started", 0, None),
        ("failed", "not started", 1, "1 commands took effect"),
        ("unknown", "the robot forgot", 1, None),
        ("unknown", "the robot forgot", 0, None),
        ("sent", "", 1, "nobody has said"),
    ],
)
def test_the_judge_holds_steps_against_what_lid_and_reader_did(
    judge: Any, event: Any, detail: str, n_acts: int, told: str | None
) -> None:
    step = StepRecord(number=1, event=event, at=AT, detail=detail)
    found = list(judge.step_problems("run-1", step, n_acts))
    assert (len(found) == 1 and told in found[0]) if told else found == []


def run_of(name: str, event: Any = "done", lost: Collection[str] = ()) -> SimpleNamespace:
    step = StepRecord(number=6, event=event, at=AT, detail="told")
    files = (SimpleNamespace(name=SETTLED),) if name in lost else ()
    return SimpleNamespace(id=name, state="succeeded", device_run_id=name, steps=(step,), files=files)


def reading_of(**values: float) -> SimpleNamespace:
    return SimpleNamespace(barcode="P-1", wavelength_nm=450, reference_wavelength_nm=650, values=values)


@pytest.mark.parametrize(
    ("runs", "readings", "told"),
    [
        pytest.param(["a"], [reading_of(A1=0.4, B1=0.6)], "", id="right"),
        pytest.param(["a"], [], "instead of one of P-1", id="lost"),
        pytest.param(["a"], 2 * [reading_of(A1=0.4, B1=0.6)], "instead of one of P-1", id="kept_twice"),
        pytest.param(["a"], [reading_of(A1=0.4, B1=0.7)], "none of the 1 that the reader made", id="other_values"),
        pytest.param(["a", "b"], [reading_of(A1=0.4, B1=0.6)], "measured again .*: a, b", id="measured_again"),
    ],
)
def test_the_judge_wants_one_reading_as_the_reader_saw_it(
    judge: Any, runs: list[str], readings: list[Any], told: str
) -> None:
    physical = SimpleNamespace(measured=[SEEN])
    found = list(judge.reading_problems([run_of(one) for one in runs], readings, physical, "P-1"))
    if not told:
        assert found == []
        return
    (problem,) = found
    assert re.search(told, problem)


def test_the_judge_lets_a_plate_be_measured_again_when_the_robot_said_that_it_lost_its_values(judge: Any) -> None:
    runs = [run_of(name, lost={"a"}) for name in ("a", "b")]
    physical = SimpleNamespace(measured=[SEEN, SEEN])
    assert list(judge.reading_problems(runs, [reading_of(A1=0.4, B1=0.6)], physical, "P-1")) == []


def test_the_judge_sees_what_was_done_twice(judge: Any) -> None:
    physical = judge.Physical(begun=Counter({"a": 2}), done={"a": {6: Counter({"read": 2})}})
    found = list(judge.run_problems(run_of("a", "unknown"), physical))
    assert found == ["a was begun 2 times", "a step 6: a command of it was executed more than once"]
