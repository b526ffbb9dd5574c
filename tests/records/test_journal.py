"""The journal: batches are durable and cheap, nothing is overwritten, a crash leaves steps unknown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.records.models import IN_ORDER, Context, JournalEvent, OperatorAction, StepEvent, StepRecord, n_done
from nkloop.worklists.models import Verdict, Worklist


def open_run(records: Records, worklist: Worklist, verdict: Verdict, at: datetime) -> str:
    return records.journal.create_run(worklist, verdict, bench="virtual", device="flex", at=at, context=Context())


def test_a_run_comes_back_as_it_was_written(
    records: Records, worklist: Worklist, verdict: Verdict, at: datetime
) -> None:
    run_id = open_run(records, worklist, verdict, at)
    records.journal.append_event(run_id, [1, 2, 3], "intended", at=at, device="flex")
    records.journal.append_event(run_id, [1, 2, 3], "sent", at=at, device="flex")
    records.journal.append_events(
        run_id,
        [
            JournalEvent(number=1, event="done", at=at),
            JournalEvent(number=2, event="failed", at=at, detail="tip lost"),
        ],
    )
    records.journal.set_run_state(run_id, "failed", device_run_id="abc", started_at=at, ended_at=at, error="tip lost")
    run = records.journal.run(run_id)
    assert run_id == "run-0001"
    assert [(step.number, step.event) for step in run.steps] == [(1, "done"), (2, "failed"), (3, "sent")]
    assert run.unknown_steps == (3,)
    assert (run.state, run.device_run_id, run.started_at, run.error) == ("failed", "abc", at, "tip lost")
    assert [event.event for event in records.journal.events(run_id)][:3] == ["intended"] * 3
    assert records.journal.worklist(run.worklist_hash) == worklist
    assert records.journal.verdict(run_id) == verdict


def test_a_crash_between_intent_and_outcome_leaves_sent_steps_unknown(
    url: str, worklist: Worklist, verdict: Verdict, at: datetime
) -> None:
    before = Records(url)
    before.migrate()
    run_id = open_run(before, worklist, verdict, at)
    before.journal.append_event(run_id, [1, 2, 3], "intended", at=at, device="flex")
    before.journal.append_event(run_id, [1, 2, 3], "sent", at=at, device="flex")
    after = Records(url)  # the first process never closed its connection
    assert after.journal.run(run_id).unknown_steps == (1, 2, 3)
    before.close()
    after.close()


def test_intended_steps_that_were_never_sent_are_not_unknown(
    records: Records, worklist: Worklist, verdict: Verdict, at: datetime
) -> None:
    run_id = open_run(records, worklist, verdict, at)
    records.journal.append_event(run_id, [1, 2, 3], "intended", at=at, device="flex")
    assert records.journal.run(run_id).unknown_steps == ()


def test_every_event_of_300_steps_is_kept(
    records: Records,
    make_worklist: Callable[[int], Worklist],
    make_verdict: Callable[[Worklist], Verdict],
    at: datetime,
) -> None:
    worklist = make_worklist(300)
    run_id = open_run(records, worklist, make_verdict(worklist), at)
    numbers = [step.number for step in worklist.steps]
    for event in ("intended", "sent", "done"):
        records.journal.append_event(run_id, numbers, event, at=at, device="flex")
    assert len(records.journal.events(run_id)) == 900


def test_a_run_that_is_over_takes_no_event_of_its_device(
    records: Records, worklist: Worklist, verdict: Verdict, at: datetime
) -> None:
    """A command that ends after its run was closed as unknown changes nothing under whoever decides about it."""
    run_id = open_run(records, worklist, verdict, at)
    records.journal.append_event(run_id, [1], "sent", at=at, device="flex")
    unclear = JournalEvent(number=1, event="unknown", at=at, device="flex")
    records.journal.close_run(run_id, [unclear], "interrupted", ended_at=at)
    with pytest.raises(
        RecordError, match=f"step 1 cannot be noted as done: the run is interrupted.*reconcile {run_id}"
    ):
        records.journal.append_event(run_id, [1], "done", at=at, device="flex")
    assert records.journal.run(run_id).unknown_steps == (1,)


def test_a_durable_step_asks_once_and_writes_twice(
    records: Records, worklist: Worklist, verdict: Verdict, at: datetime
) -> None:
    journal, claim = records.journal, records.claims.claim(("flex",), "prepare medium")
    run_id = journal.create_run(worklist, verdict, bench="b", device="flex", at=at, context=Context(), claim=claim)
    told: list[str] = []
    engine = journal._database.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *given: told.append(given[2].split()[0]))
    journal.append_event(run_id, [1], "sent", at=at, device="flex", claim=claim)
    journal.append_event(run_id, [1], "done", at=at, device="flex", claim=claim)
    assert told == ["SELECT", "INSERT", "INSERT"] * 2
    assert records.audit.verify_chain() == ()


@pytest.mark.parametrize("change", ["UPDATE step_events SET event = 'done'", "DELETE FROM step_events"])
def test_journal_rows_cannot_be_changed(
    records: Records, worklist: Worklist, verdict: Verdict, at: datetime, change: str
) -> None:
    run_id = open_run(records, worklist, verdict, at)
    records.journal.append_event(run_id, [1], "intended", at=at, device="flex")
    with (
        pytest.raises(RecordError, match="step_events is append-only"),
        records.journal._database.writing() as connection,
    ):
        connection.execute(sa.text(change))


def test_confirmations_are_sentences(records: Records, worklist: Worklist, verdict: Verdict, at: datetime) -> None:
    run_id = open_run(records, worklist, verdict, at)
    action = OperatorAction(
        run_id=run_id, step=2, at=at, confirmed_by="Ada", title="Incubate", instruction="4 h at 37 °C", note="4 h 02"
    )
    records.journal.add_action(action)
    assert records.journal.actions(run_id) == (action,)
    assert records.journal.run(run_id).operator_actions == ("Ada, 2026-11-23 08:00 UTC: Incubate; note: 4 h 02",)


def test_a_run_of_an_unknown_campaign_is_refused(
    records: Records, worklist: Worklist, verdict: Verdict, at: datetime
) -> None:
    with pytest.raises(RecordError, match="FOREIGN KEY"):
        records.journal.create_run(
            worklist, verdict, bench="b", device="d", at=at, context=Context(campaign="nobody", round=1)
        )
    assert records.journal.runs() == ()


def test_an_unknown_run_is_refused(records: Records) -> None:
    with pytest.raises(RecordError, match="run run-0042 is not recorded"):
        records.journal.run("run-0042")


def test_a_time_without_zone_is_refused(records: Records, worklist: Worklist, verdict: Verdict, at: datetime) -> None:
    with pytest.raises(RecordError, match="has no zone"):
        open_run(records, worklist, verdict, at.replace(tzinfo=None))


@pytest.mark.usefixtures("vessels_of_old")
@given(
    events=st.lists(
        st.tuples(
            st.integers(min_value=1, max_value=9),
            st.sampled_from(["intended", "sent", "done", "failed", "unknown"]),
            st.text(max_size=20).filter(lambda text: "\x00" not in text),
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_events_round_trip_and_the_last_one_counts(
    records: Records, worklist: Worklist, verdict: Verdict, at: datetime, events: list[tuple[int, str, str]]
) -> None:
    run_id = open_run(records, worklist, verdict, at)
    written = tuple(JournalEvent.model_validate({"number": n, "event": e, "at": at, "detail": d}) for n, e, d in events)
    records.journal.append_events(run_id, written)
    assert records.journal.events(run_id) == written
    last = {event.number: event.event for event in written}
    assert {step.number: step.event for step in records.journal.run(run_id).steps} == last


def test_steps_before_the_one_a_device_was_seen_at_count_as_done(at: datetime) -> None:
    events: list[tuple[StepEvent, str]] = [("sent", ""), ("sent", ""), ("seen", IN_ORDER), ("sent", "")]
    steps = [StepRecord(number=n, event=e, at=at, detail=d) for n, (e, d) in enumerate(events, start=1)]
    assert n_done(steps) == 2
    passed_over = [step.model_copy(update={"detail": ""}) for step in steps]
    assert n_done(passed_over) == 0, "a device that went on behind an error tells nothing of the steps before"
    assert n_done([*steps[:3], StepRecord(number=4, event="done", at=at)]) == 3


def test_runs_are_found_by_what_stands_on_their_deck_and_told_without_their_steps(
    records: Records, worklist: Worklist, make_verdict: Callable[[Worklist], Verdict], at: datetime
) -> None:
    plates = [worklist.deck[0].model_copy(update={"barcode": barcode}) for barcode in ("P_1", "PX1", "P_1")]
    for number, plate in enumerate(plates):
        made = worklist.model_copy(update={"name": f"feeding {number}", "deck": (plate, *worklist.deck[1:])})
        open_run(records, made, make_verdict(made), at)
    journal = records.journal
    journal.set_run_state("run-0003", "failed", ended_at=at)
    assert [run.id for run in journal.with_labware(("P_1",))] == ["run-0001", "run-0003"]
    assert [run.id for run in journal.with_labware(("PX1", "none"))] == ["run-0002"]
    assert journal.with_labware(()) == ()
    assert journal.run_ids() == ("run-0001", "run-0002", "run-0003")
    assert journal.run_ids(is_over=True) == ("run-0003",)
