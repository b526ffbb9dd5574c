"""What a labware holds is told from the worklists that were run on it, never guessed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from nkloop.errors import RecordError, StepUnknownError
from nkloop.records import Records
from nkloop.records.models import Context
from nkloop.runs.contents import known_contents
from nkloop.runs.session import Session
from nkloop.worklists.models import DeckItem, Verdict, Worklist

from .conftest import AT

Journalled = Callable[..., str]


@pytest.fixture
def worklist(worklist: Worklist) -> Worklist:
    """The same with a tip to do it with, which the ledger insists on."""
    rack = DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul")
    first, *rest = worklist.steps
    steps = (first.model_copy(update={"tip": "tips:A1"}), *rest)
    steps = (*steps[:-1], steps[-1].model_copy(update={"tip": "tips:B1"}))
    return worklist.model_copy(update={"deck": (*worklist.deck, rack), "steps": steps})


def later(worklist: Worklist, name: str, a1: float = 200.0) -> Worklist:
    """The same once more, in wells of which it knows that something is in them."""
    (filling,) = worklist.fillings
    wells = {"A1": a1, "B1": 50.0, "C1": 50.0}
    held = tuple(filling.model_copy(update={"well": well, "volume_ul": volume}) for well, volume in wells.items())
    return worklist.model_copy(update={"name": name, "fillings": held})


def known(session: Session, barcode: str) -> dict[str, float]:
    found = known_contents(session.records, session.catalogue, session.bench_file.deck, barcode)
    return {name: round(well.volume_ul, 6) for name, well in found.wells.items() if well.volume_ul}


def test_contents_after_a_run_are_those_its_steps_give(
    session: Session, worklist: Worklist, journalled: Journalled
) -> None:
    journalled(worklist)
    assert known(session, "P-1") == {"A1": 100, "B1": 50, "C1": 50}
    found = known_contents(session.records, session.catalogue, session.bench_file.deck, "P-1")
    assert found.load_name == "corning_96_wellplate_360ul_flat"
    assert found.wells["B1"].per_ul == pytest.approx({"base": 1.0})


def test_the_last_run_counts(session: Session, worklist: Worklist, journalled: Journalled) -> None:
    journalled(worklist)
    journalled(later(worklist, "again", 300.0))
    assert known(session, "P-1") == {"A1": 200, "B1": 100, "C1": 100}


def test_runs_without_the_labware_and_runs_only_planned_are_passed_over(
    session: Session, worklist: Worklist, journalled: Journalled
) -> None:
    journalled(worklist)
    deck = (worklist.deck[0].model_copy(update={"barcode": "P-2"}), worklist.deck[1])
    journalled(worklist.model_copy(update={"name": "other plate", "deck": deck}), "interrupted", "unknown")
    journalled(later(worklist, "never begun"), "planned")
    assert known(session, "P-1") == {"A1": 100, "B1": 50, "C1": 50}


def test_a_run_that_somebody_started_at_the_screen_before_it_was_begun_is_not_passed_over(
    session: Session, records: Records, worklist: Worklist, journalled: Journalled
) -> None:
    journalled(worklist)
    run_id = journalled(later(worklist, "started at the screen"), "planned")
    records.journal.append_event(run_id, [1, 2, 3], "intended", at=AT, device="flex")
    assert known(session, "P-1") == {"A1": 100, "B1": 50, "C1": 50}
    records.journal.append_event(run_id, [1, 2, 3], "sent", at=AT, device="flex")
    with pytest.raises(StepUnknownError, match=rf"run {run_id} is planned with 3 steps of unknown outcome"):
        known(session, "P-1")


@pytest.mark.parametrize(
    ("state", "event", "told"),
    [
        pytest.param("interrupted", "unknown", "ended as interrupted with 3 steps of unknown", id="unknown"),
        pytest.param("running", "sent", "is running with 3 steps", id="sent and never seen again"),
        pytest.param("succeeded", "unknown", "ended as succeeded with 3 steps", id="succeeded, steps unseen"),
    ],
)
def test_nobody_knows_what_an_unclear_run_left(
    session: Session, worklist: Worklist, journalled: Journalled, state: Any, event: Any, told: str
) -> None:
    journalled(worklist)
    run_id = journalled(later(worklist, "later"), state, event)
    with pytest.raises(StepUnknownError, match=rf"{run_id}.*{told}.*nobody knows what P-1 holds.*Remedy: look at"):
        known(session, "P-1")


def test_a_run_that_failed_counts_with_what_it_did(
    session: Session, worklist: Worklist, journalled: Journalled
) -> None:
    journalled(worklist)
    run_id = journalled(later(worklist, "half"), "planned")
    journal = session.records.journal
    journal.append_event(run_id, [1, 2], "done", at=AT, device="flex")
    journal.append_event(run_id, [3], "failed", at=AT, device="flex")
    journal.set_run_state(run_id, "failed", ended_at=AT)
    assert known(session, "P-1") == {"A1": 150, "B1": 100, "C1": 50}
    journalled(later(worklist, "nothing moved"), "failed", "failed")
    assert known(session, "P-1") == {"A1": 150, "B1": 100, "C1": 50}


def test_a_labware_never_seen_is_refused(session: Session) -> None:
    with pytest.raises(RecordError, match=r"no run had a labware 'P-9'.*check the barcode"):
        known(session, "P-9")


def test_the_last_run_counts_although_the_clock_was_set_back_before_it(
    session: Session, worklist: Worklist, verdict: Verdict
) -> None:
    """The clock was ahead while the first run was opened."""
    journal = session.records.journal
    second = later(worklist, "second feed", 100.0)
    for made, at in ((worklist, AT + timedelta(days=1)), (second, AT)):
        allowed = verdict.model_copy(update={"worklist": made.name, "worklist_hash": made.content_hash})
        run_id = journal.create_run(made, allowed, bench="virtual", device="flex", at=at, context=Context())
        journal.append_event(run_id, [s.number for s in made.steps], "done", at=at, device="flex")
        journal.set_run_state(run_id, "succeeded", ended_at=at)
    assert [run.name for run in journal.runs()] == [worklist.name, "second feed"]
    assert [run.name for run in journal.latest("virtual", 2)] == ["second feed", worklist.name]
    found = known_contents(session.records, session.catalogue, session.bench_file.deck, "P-1")
    assert found.wells["A1"].volume_ul == 0, "the second took 100 of the 100 that the first left"
