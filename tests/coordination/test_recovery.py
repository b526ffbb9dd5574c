"""What a person answers in the browser reaches the decision as it does from the command line."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nkloop.coordination import recovery
from nkloop.coordination.recovery import Answer, question_markdown, settled
from nkloop.records.models import RunRecord, StepRecord
from nkloop.runs.deciding import OpenStep, Question
from nkloop.runs.session import Session
from nkloop.runs.vessels import HeldVessel, PossibleVolume

AT = datetime(2026, 11, 23, tzinfo=UTC)
FLOW = Path(__file__).resolve().parents[2] / "flows" / "reconcile_run.py"
SAID = {
    "happened": "1",
    "not_happened": "3-4",
    "drawn": "2",
    "given": "5",
    "cut_in_mix": "6",
    "moved": "7=10 mL",
    "wells": "plate:B3",
}


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was decided, instead of deciding it."""
    made: list[dict[str, Any]] = []

    async def decide(run_id: str, kind: str, **told: Any) -> Any:
        made.append({"run_id": run_id, "kind": kind, **told})
        return SimpleNamespace(unfinished=(), vessels=(), by_hand=())

    async def show(*_: Any) -> None:
        pass

    monkeypatch.setattr(recovery, "decide", decide)
    monkeypatch.setattr(recovery, "show_markdown", show)
    return made


def session() -> Session:
    async def now() -> datetime:
        return AT

    bench = SimpleNamespace(clock=SimpleNamespace(now=now))
    file, verifier = SimpleNamespace(deck=None), SimpleNamespace(verify=None)
    told = SimpleNamespace(bench=bench, records=None, catalogue=None, bench_file=file, verifier=verifier)
    return cast(Session, told)


async def test_every_word_about_a_step_reaches_the_decision(decisions: list[dict[str, Any]]) -> None:
    answer = Answer(decision="continue", decided_by="Ada", reason="a full tip in the trash", **cast(Any, SAID))
    await settled(session(), "run-0007", answer)
    (made,) = decisions
    assert (made["run_id"], made["kind"], made["by"]) == ("run-0007", "continue", "Ada")
    assert (made["happened"], made["not_happened"], made["drawn"]) == ((1,), (3, 4), (2,))
    assert (made["given"], made["cut_in_mix"]) == ((5,), (6,))
    assert made["moved"] == {7: 10_000}
    assert made["wells"] == (("plate", "B3"),)


async def test_the_form_of_the_deployment_asks_for_the_same_words() -> None:
    spec = importlib.util.spec_from_file_location("reconcile_run", FLOW)
    assert spec is not None
    assert spec.loader is not None
    flow = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(flow)
    request = flow.ReconcileRun(decision="continue", decided_by="Ada", reason="looked at it", **SAID)
    answer = await flow._answer(None, "run-0007", request)
    assert {name: getattr(answer, name) for name in SAID} == SAID
    assert set(Answer.model_fields) - {"decision"} <= set(flow.ReconcileRun.model_fields)


def test_vessels_that_people_fill_are_told_with_both_volumes() -> None:
    run = RunRecord(
        id="run-0007", name="bags", procedure="cytokine_dosing", bench="flex", device="flex", device_run_id="d",
        worklist_hash="a" * 64, recipe_revision=None, state="interrupted", started_at=AT, ended_at=AT, n_transfers=0,
        steps=(StepRecord(number=5, event="unknown", at=AT),),
    )  # fmt: skip
    ways = (PossibleVolume(when="step 5 did not happen", volume_ul=1e4), PossibleVolume(when="it did", volume_ul=3e4))
    bag = HeldVessel(name="bag-1", title="culture bag", volumes=ways)
    text = question_markdown(Question(run=run, steps=(), wells=(), left=(), vessels=(bag,)))
    assert "- bag-1 (culture bag): 10 mL if step 5 did not happen; or 30 mL if it did; or anything between" in text
    assert "Weigh these vessels" in text


def test_of_a_reading_nobody_is_asked_about_wells() -> None:
    run = RunRecord(
        id="run-0007", name="Read plate P-1 at 450 nm", procedure="plate_reading", bench="flex", device="reader",
        device_run_id="d", worklist_hash="a" * 64, recipe_revision=None, state="interrupted", started_at=AT,
        ended_at=AT, n_transfers=0, steps=(StepRecord(number=5, event="unknown", at=AT),),
    )  # fmt: skip
    lid = OpenStep(
        number=5, sentence="close the lid over the plate", alike="", target="", why="nobody saw the lid", tip="",
        is_drawn=False,
    )  # fmt: skip
    text = question_markdown(Question(run=run, steps=(lid,), wells=(), left=()))
    assert "step 5: close the lid over the plate (nobody saw the lid)" in text
    assert "Look at the reader, its lid and its plate" in text
    assert "wells" not in text
