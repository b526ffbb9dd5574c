"""What a run is made with besides its worklist is told before the deck is loaded and stands in its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import Finding
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.reports import run_html
from nkloop.runs.execution import prepare_run
from nkloop.runs.run_facts import run_facts
from nkloop.runs.story import run_story
from nkloop.worklists.models import Verdict, Worklist

BEFORE = Finding(subject="labware offsets", found="none for tips, plate", ok=True, is_kept=True)
SINCE = BEFORE.model_copy(update={"found": "plate +0.1 +0.0 +0.5 mm (run of 2026-11-20); none for tips"})


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(Path(__file__).resolve().parents[2] / "labware")


async def test_absent_offsets_are_told_before_loading_and_kept_with_the_run(
    worklist: Worklist,
    verdict: Verdict,
    bench: Bench,
    records: Records,
    handler: Any,
    operator: Any,
    catalogue: Catalogue,
) -> None:
    handler.findings, handler.given = (*handler.findings, BEFORE), (BEFORE,)
    asked_before: list[int] = []
    run_id = await prepare_run(
        worklist, verdict, bench, records, on_found=lambda one: asked_before.append(len(operator.asked))
    )
    assert asked_before == [0], "once, and before anybody loads the deck"
    facts = run_facts(run_id, records, catalogue)
    assert "found: labware offsets: none for tips, plate" in [moment.what for moment in facts.timeline]
    assert not [told for told in facts.deviations if "offsets" in told]
    story = run_story(records, run_id)
    assert [one.sentence for one in story.found] == ["labware offsets: none for tips, plate"]
    assert story.remarks == ()
    assert "Labware offsets" in run_html(story)


async def test_offsets_measured_while_the_deck_was_loaded_are_the_ones_of_the_record(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    handler.findings, handler.given = (BEFORE,), (SINCE,)
    told: list[str] = []
    run_id = await prepare_run(worklist, verdict, bench, records, on_found=lambda one: told.append(one.found))
    assert told == [BEFORE.found, SINCE.found]
    assert [one.told for one in run_story(records, run_id).found] == [SINCE.found]
