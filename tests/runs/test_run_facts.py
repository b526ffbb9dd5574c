"""One run as a person wants it told: who declined what, why it ended, decisions with ranges of steps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.runs.conftest import AT, Journalled

from nkloop.cli.run.show import _print as show_facts
from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import OperatorRequest
from nkloop.errors import OperatorRefusedError, RecordError
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.records.models import JournalEvent, RunDecision, StepRuling
from nkloop.runs.execution import execute
from nkloop.runs.requests import RequestDesk, confirm, decline
from nkloop.runs.run_facts import decision_sentence, run_facts
from nkloop.runs.story import run_story
from nkloop.worklists.models import OperatorTask, Verdict, Worklist


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.load(Path(__file__).resolve().parents[2] / "labware")


def moments(run_id: str, records: Records, catalogue: Catalogue) -> list[str]:
    return [moment.what for moment in run_facts(run_id, records, catalogue).timeline]


async def test_a_deck_nobody_loaded_is_told_with_who_and_why(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, operator: Any, catalogue: Catalogue
) -> None:
    operator.declines, operator.because = "Load the deck", ": the rack is cracked"
    with pytest.raises(OperatorRefusedError):
        await execute(worklist, verdict, bench, records)
    assert moments("run-0001", records, catalogue)[-1] == "run failed: Ada declined: the rack is cracked"


def test_a_request_declined_at_the_desk_is_in_the_timeline(
    worklist: Worklist, records: Records, journalled: Journalled, catalogue: Catalogue
) -> None:
    run_id = journalled(worklist, "running")
    task = OperatorTask(kind="confirm", instruction="Load the deck")
    number = RequestDesk(records, "lab").ask(OperatorRequest(title="Load the deck", task=task, run_id=run_id), "key")
    decline(records, number, by="Ada", reason="the rack is cracked")
    assert "declined by Ada: Load the deck: the rack is cracked" in moments(run_id, records, catalogue)


def test_a_wrong_scan_is_in_the_timeline_and_a_deviation(
    worklist: Worklist, records: Records, journalled: Journalled, catalogue: Catalogue
) -> None:
    run_id = journalled(worklist, "running")
    task = OperatorTask(kind="confirm", instruction="Load the deck")
    request = OperatorRequest(title="Load the deck", task=task, run_id=run_id, barcodes={"plate": "P-1"})
    number = RequestDesk(records, "lab").ask(request, "key")
    with pytest.raises(RecordError):
        confirm(records, number, by="Ada", codes=["P-9", "P-1"])
    told = "P-9 is not expected here; everything asked for has been scanned"
    assert f"refused scan of Ada: Load the deck: {told}" in moments(run_id, records, catalogue)
    assert run_facts(run_id, records, catalogue).deviations[-1].endswith(f" UTC: {told} (Load the deck)")
    (remark,) = run_story(records, run_id).remarks
    assert remark.startswith("refused scan of Ada, 20")
    assert records.audit.verify_chain() == ()


def test_steps_with_the_same_unknown_end_are_told_in_one_sentence(
    records: Records, journalled: Journalled, catalogue: Catalogue, worklist: Worklist
) -> None:
    moves = [step for step in worklist.steps if step.action == "transfer"]
    steps = tuple(moves[0].model_copy(update={"number": n, "volume_ul": 10.0 + n}) for n in range(1, 8))
    made = worklist.model_copy(update={"steps": steps, "targets": (), "ends": ()})
    run_id = journalled(made, "interrupted", event="unknown")
    last = JournalEvent(number=7, event="failed", at=AT, detail="the tip was lost")
    records.journal.judge_anew(run_id, [last], "interrupted", error="")
    told = run_facts(run_id, records, catalogue).deviations
    moved = "{:g} µL from {} {} to {} {}"
    first, sixth = (
        moved.format(10.0 + n, moves[0].labware, moves[0].well, moves[0].to_labware, moves[0].to_well) for n in (1, 6)
    )
    assert told[0] == f"steps 1-6 unknown: nobody saw their end (step 1: {first}; …; step 6: {sixth})"
    assert told[1].startswith("step 7 failed: ")
    assert len(told) == 2


def test_a_decision_about_many_steps_names_ranges() -> None:
    rulings = [StepRuling(number=n, happened=True) for n in range(12, 49)]
    rulings += [StepRuling(number=n, happened=None) for n in (50, 51, 53)]
    made = RunDecision(run_id="run-0001", decision="continue", by="Ada", reason="seen", at=AT, rulings=tuple(rulings))
    assert "step 12-48 happened; step 50-51,53 left open" in decision_sentence(made)


def test_why_wells_are_not_known_is_said_once_over_them_while_a_run_is_open(
    worklist: Worklist,
    records: Records,
    journalled: Journalled,
    catalogue: Catalogue,
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts = run_facts(journalled(worklist, "running", event="unknown"), records, catalogue)
    assert all(re.fullmatch(r"[\d.]+ .L( to [\d.]+ .L)?", well.sentence) for well in facts.wells), facts.wells
    show_facts(facts)
    assert " ".join(capsys.readouterr().out.split()).count("its device was not asked yet") == 1
