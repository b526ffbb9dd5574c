"""The judge of the crash lab finds what is wrong: otherwise no crash would prove anything."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nkloop.records.models import RunRecord, StepRecord

AT = datetime(2026, 1, 5, tzinfo=UTC)
PLANNED = Counter({"draw": 1, "give": 1})


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("crash_lab.judge")


def run(number: int = 1, device_run: str = "r1", **step: Any) -> RunRecord:
    return RunRecord(
        id=f"run-000{number}", name="w", procedure="medium_preparation", bench="b", device="flex",
        device_run_id=device_run, worklist_hash="h", recipe_revision=None, state="interrupted", started_at=AT,
        ended_at=AT, n_transfers=1, steps=(StepRecord(number=1, at=AT, **step),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "detail", "did", "is_right"),
    [
        pytest.param("done", "", {"draw": 1, "give": 1}, True, id="done_and_done"),
        pytest.param("done", "", {"draw": 1}, False, id="done_but_half"),
        pytest.param("done", "", {}, False, id="done_but_nothing"),
        pytest.param("done", "", {"draw": 2, "give": 2}, False, id="done_twice"),
        pytest.param("failed", "not started: the robot knows no such run", {}, True, id="not_started"),
        pytest.param("failed", "not started: the robot knows no such run", {"draw": 1}, False, id="started_after_all"),
        pytest.param("failed", "overpressure", {"draw": 1}, True, id="failed_half_way"),
        pytest.param("intended", "", {"draw": 1}, False, id="never_sent_but_done"),
        pytest.param("unknown", "", {"draw": 1}, True, id="unknown_half"),
        pytest.param("unknown", "", {"draw": 2, "give": 1}, False, id="unknown_but_twice"),
    ],
)
def test_a_step_is_held_against_what_took_effect(
    judge: Any, event: str, detail: str, did: dict[str, int], is_right: bool
) -> None:
    record = run(event=event, detail=detail)
    problems = list(judge.step_problems(record, record.steps[0], Counter(did), PLANNED))
    assert bool(problems) != is_right


def test_a_step_in_two_runs_and_a_run_nobody_knows_are_found(judge: Any, tmp_path: Path) -> None:
    places = importlib.import_module("crash_lab.places").Places(tmp_path)
    lines: list[dict[str, Any]] = [{"begin": "r1"}, {"begin": "r2"}, {"begin": "r3"}]
    lines += [{"run": name, "planned": "draw", "kind": "aspirate", "step": 1} for name in ("r1", "r2", "r3")]
    places.physical.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    physical = judge.read_physical(places)
    known = (run(1, "r1", event="unknown"), run(2, "r2", event="unknown"))
    assert list(judge.twice(known, physical)) == ["steps [1] were executed in two runs"]
    assert list(judge.twice(known[:1], physical)) == []
    assert list(judge.strangers(known, physical)) == ["the robot executed run r3, of which the journal knows nothing"]
