"""A worklist on a bench: intent before, outcome after, nothing twice, nothing lost without a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import Finding
from nkloop.errors import (
    BenchError,
    DeviceError,
    DeviceUnreachableError,
    OperatorRefusedError,
    RecordError,
    RunForgottenError,
    VerificationError,
)
from nkloop.records import Records
from nkloop.records.models import Context, RunDecision
from nkloop.runs.execution import RunProgress, execute, finish_run, play_run, prepare_run
from nkloop.runs.holding import device_held
from nkloop.runs.reconcile import reconcile_bench
from nkloop.worklists.models import CheckResult, Verdict, Worklist

from .conftest import AT, Journalled
from .killed import events


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("it never came to this")


async def test_a_run_is_done_step_by_step_and_told(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any
) -> None:
    told: list[RunProgress] = []
    run = await execute(worklist, verdict, bench, records, context=Context(batch="B-1"), on_progress=told.append)
    assert run.state == "succeeded"
    assert [step.event for step in run.steps] == ["done", "done", "done"]
    assert (run.n_transfers, run.unknown_steps, run.device_run_id) == (2, (), "device-run")
    assert handler.plays == 2
    assert handler.calls.count("commands") == 1
    assert [request.task.kind for request in operator.asked] == ["confirm", "incubate"]
    assert operator.asked[0].worklist == worklist
    assert [request.barcodes for request in operator.asked] == [{"plate": "P-1"}] * 2
    assert run.operator_actions[1].endswith("UTC: assay, step 2: 4 h at 37 °C")
    assert [progress.current for progress in told if progress.phrase.startswith("step 2")] == [2]
    assert (told[-1].current, told[-1].total, told[-1].phrase) == (3, 3, "succeeded")
    assert records.audit.verify_chain() == ()


async def test_intent_is_durable_before_the_device_prepares_and_sent_before_it_plays(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, dict[int, str]] = {}
    prepare, play = handler.prepare, handler.play

    async def prepares(asked: Worklist) -> str:
        seen.setdefault("prepare", events(records, "run-0001"))
        return str(await prepare(asked))

    async def plays(run_id: str) -> None:
        seen.setdefault("play", events(records, "run-0001"))
        await play(run_id)

    monkeypatch.setattr(handler, "prepare", prepares)
    monkeypatch.setattr(handler, "play", plays)
    await execute(worklist, verdict, bench, records)
    assert seen["prepare"] == dict.fromkeys((1, 2, 3), "intended")
    assert seen["play"] == dict.fromkeys((1, 2, 3), "sent")


@pytest.mark.parametrize("spoil", ["failed", "other", "empty"])
async def test_without_a_passed_verdict_of_its_own_nothing_is_touched(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, spoil: str
) -> None:
    failed = CheckResult(check="ledger", passed=False, seconds=0, problems=({"message": "A1 overfilled", "where": "s",
                         "remedy": "r"},))  # fmt: skip
    changed: dict[str, dict[str, Any]] = {
        "failed": {"checks": (failed,)},
        "other": {"worklist_hash": "0" * 64},
        "empty": {"checks": ()},
    }
    with pytest.raises(VerificationError, match=r"overfilled|another content|no check"):
        await execute(worklist, verdict.model_copy(update=changed[spoil]), bench, records)
    assert handler.calls == []
    assert records.journal.runs() == ()


async def test_a_well_that_was_discarded_is_used_by_no_later_run(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, operator: Any, journalled: Journalled
) -> None:
    before = journalled(worklist.model_copy(update={"name": "before"}), "interrupted", "unknown")
    thrown = RunDecision(run_id=before, decision="discard", by="Ada", reason="spilt", at=AT, wells=(("plate", "B1"),))
    records.decisions.add(thrown)
    with pytest.raises(RecordError, match=f"P-1 B1: was discarded after {before} by Ada.*spilt"):
        await execute(worklist, verdict, bench, records)
    assert operator.asked == []
    assert [run.id for run in records.journal.runs()] == [before]


async def test_a_protocol_that_changed_after_the_verdict_is_not_run(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    with_file = {"protocol": "cytotoxicity_assay.py", "protocol_sha256": handler.protocol}
    same = verdict.model_copy(update=with_file)
    handler.protocol = "b" * 64
    with pytest.raises(VerificationError, match=r"cytotoxicity_assay\.py has changed since the verdict: it was aaaaaa"):
        await execute(worklist, same, bench, records)
    assert (handler.calls, records.journal.runs()) == ([], ())
    handler.protocol = "a" * 64
    assert (await execute(worklist, same, bench, records)).state == "succeeded"


async def test_a_protocol_that_changes_while_the_deck_is_loaded_is_not_run(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    perform = operator.perform

    async def edits_meanwhile(request: Any) -> Any:
        handler.protocol = "b" * 64
        return await perform(request)

    monkeypatch.setattr(operator, "perform", edits_meanwhile)
    same = verdict.model_copy(update={"protocol": "cytotoxicity_assay.py", "protocol_sha256": handler.protocol})
    with pytest.raises(VerificationError, match="has changed since the verdict"):
        await execute(worklist, same, bench, records)
    assert handler.calls == ["preflight"]
    assert [run.state for run in records.journal.runs()] == ["failed"]


async def test_a_bench_that_is_not_ready_is_told_whole(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    handler.findings = (
        Finding(subject="door", found="open", ok=False, remedy="close it"),
        Finding(subject="robot", found="Flex", ok=True),
        Finding(subject="left pipette", found="nothing", ok=False, remedy="attach it"),
    )
    with pytest.raises(BenchError, match=r"door: open. Remedy: close it\n.*left pipette: nothing"):
        await execute(worklist, verdict, bench, records)
    assert handler.calls == ["preflight"]
    assert records.journal.runs() == ()


async def test_a_failed_step_is_told_and_later_steps_never_began(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    handler.fails_at = 1
    run = await execute(worklist, verdict, bench, records)
    assert (run.state, run.error) == ("failed", "aspirate: overpressure")
    assert [step.event for step in run.steps] == ["unknown", "failed", "failed"], "a failed aspirate may have drawn"
    assert "overpressure: clot" in run.steps[0].detail
    assert "not started" in run.steps[2].detail


async def test_a_deck_that_is_not_loaded_ends_the_run_before_anything_is_intended(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any
) -> None:
    operator.declines = "Load the deck"
    with pytest.raises(OperatorRefusedError, match="Ada declined"):
        await execute(worklist, verdict, bench, records)
    run = records.journal.run("run-0001")
    assert (run.state, run.steps, handler.calls) == ("failed", (), ["preflight"])


async def test_declining_a_pause_stops_the_robot_and_what_was_done_stays_done(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any
) -> None:
    operator.declines = "step 2"
    with pytest.raises(OperatorRefusedError, match="Ada declined"):
        await execute(worklist, verdict, bench, records)
    run = records.journal.run("run-0001")
    assert handler.status == "stopped"
    assert run.state == "interrupted"
    assert events(records, run.id) == {1: "done", 2: "failed", 3: "failed"}
    assert "no liquid was moved" in run.steps[1].detail


async def test_a_declined_step_is_no_unknown_one_and_the_remedy_is_one_that_works(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, operator: Any
) -> None:
    operator.declines, operator.because = "step 2", ": the bag leaks"
    with pytest.raises(OperatorRefusedError, match=r"Remedy: settle it, then `nkloop reconcile run-0001`"):
        await execute(worklist, verdict, bench, records)
    run = records.journal.run("run-0001")
    assert (run.steps[1].event, run.steps[1].detail) == ("failed", "declined by Ada: the bag leaks")
    assert run.unknown_steps == ()


async def test_declining_before_anything_moved_leaves_nothing_to_reconcile(
    worklist: Worklist, bench: Bench, records: Records, operator: Any
) -> None:
    worklist = worklist.model_copy(update={"steps": worklist.steps[1:]})
    ledger = CheckResult(check="ledger", passed=True, seconds=0)
    passed = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(ledger,))
    operator.declines, operator.because = "step 2", ": the bag leaks"
    with pytest.raises(OperatorRefusedError, match=r"Remedy: settle it, then start the same again$"):
        await execute(worklist, passed, bench, records)


async def test_progress_moves_with_what_a_running_device_tells(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = handler.state

    async def told_of_a_step(run_id: str) -> Any:
        state = await asked(run_id)
        return state.model_copy(update={"step": 1}) if state.status == "running" else state

    monkeypatch.setattr(handler, "state", told_of_a_step)
    told: list[RunProgress] = []
    await execute(worklist, verdict, bench, records, on_progress=told.append)
    assert 1 in [progress.current for progress in told if progress.phrase == "running"]


async def test_a_step_that_somebody_confirmed_is_done_whatever_becomes_of_the_robot(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgot(device_run_id: str) -> Any:
        raise RunForgottenError("flex lost power and no longer knows the run")

    monkeypatch.setattr(handler, "commands", forgot)
    run = await execute(worklist, verdict, bench, records)
    assert events(records, run.id) == {1: "unknown", 2: "done", 3: "unknown"}
    assert run.steps[1].detail == "confirmed by Ada"


async def test_cancelling_stops_the_robot_and_the_step_under_way_is_unknown(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    task = asyncio.create_task(execute(worklist, verdict, bench, records))
    await until(lambda: bool(handler.done))
    handler.never_finishes = True
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    run = records.journal.run("run-0001")
    assert handler.status == "stopped"
    assert (run.state, run.unknown_steps) == ("interrupted", (1,))
    assert "interrupted by a person" in run.error


async def test_cancelling_while_a_person_is_asked_leaves_a_readable_record(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any
) -> None:
    operator.waits_at = "step 2"
    task = asyncio.create_task(execute(worklist, verdict, bench, records))
    await until(lambda: len(operator.asked) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events(records, "run-0001") == {1: "done", 2: "failed", 3: "failed"}


async def test_cancelling_while_an_ended_run_is_being_closed_loses_nothing(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    handler.commands_wait = True
    task = asyncio.create_task(execute(worklist, verdict, bench, records))
    await until(lambda: "commands" in handler.calls)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (records.journal.run("run-0001").state, handler.status) == ("succeeded", "succeeded")
    assert set(events(records, "run-0001").values()) == {"done"}


async def test_cancelling_while_the_deck_is_loaded_is_recorded(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, operator: Any
) -> None:
    operator.waits_at = "Load the deck"
    task = asyncio.create_task(execute(worklist, verdict, bench, records))
    await until(lambda: bool(operator.asked))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert records.journal.run("run-0001").state == "interrupted"


async def test_a_robot_that_cannot_be_stopped_leaves_its_steps_unknown(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any
) -> None:
    operator.declines, handler.stop_fails = "step 2", True
    with pytest.raises(OperatorRefusedError):
        await execute(worklist, verdict, bench, records)
    run = records.journal.run("run-0001")
    assert run.unknown_steps == (1, 2, 3)
    assert "may still be running" in run.error


async def test_a_short_loss_of_connection_is_waited_for(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    run_id = await prepare_run(worklist, verdict, bench, records)
    handler.unreachable_looks = 4
    await play_run(run_id, bench, records)
    assert (await finish_run(run_id, bench, records)).state == "succeeded"


async def test_a_long_loss_of_connection_leaves_the_run_open_until_its_device_answers(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await prepare_run(worklist, verdict, bench, records)
    play = handler.play

    async def plays_and_vanishes(device_run_id: str) -> None:
        await play(device_run_id)
        handler.unreachable_looks, handler.stop_fails = 99, True

    monkeypatch.setattr(handler, "play", plays_and_vanishes)
    with pytest.raises(DeviceUnreachableError, match="no answer"):
        await play_run(run_id, bench, records)
    run = records.journal.run(run_id)
    assert (run.is_over, run.unknown_steps) == (False, (1, 2, 3))
    # the device has gone on meanwhile and knows everything, so closing the run here would have lost it
    handler.unreachable_looks, handler.stop_fails = 0, False
    monkeypatch.setattr(handler, "play", play)
    [found] = await reconcile_bench(bench, records)
    assert (found.run.state, found.run.unknown_steps) == ("succeeded", ())


async def test_a_play_that_was_lost_is_sent_again_only_after_asking(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    run_id = await prepare_run(worklist, verdict, bench, records)
    handler.play_is_lost = "before"
    await play_run(run_id, bench, records)
    assert handler.plays == 2
    sent = [event for event in records.journal.events(run_id) if event.event == "sent"]
    assert len(sent) == 3


async def test_a_crashed_process_follows_the_run_and_starts_nothing_again(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any
) -> None:
    run_id = await prepare_run(worklist, verdict, bench, records)
    async with device_held(bench, records, "crashing") as hold:
        at = await bench.clock.now()
        records.journal.append_event(run_id, [1, 2, 3], "sent", at=at, device="flex", claim=hold.claim)
        await handler.play("device-run")  # the process died here
    assert records.journal.run(run_id).unknown_steps == (1, 2, 3)
    await play_run(run_id, bench, records)
    run = await finish_run(run_id, bench, records)
    assert run.state == "succeeded"
    assert handler.plays == 2
    assert len([event for event in records.journal.events(run_id) if event.event == "sent"]) == 3


async def test_a_pause_that_was_confirmed_before_a_crash_is_not_asked_again(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run_id = await prepare_run(worklist, verdict, bench, records)
    play, answers = handler.play, iter([None, DeviceError("crash")])

    async def crashes_once(device_run_id: str) -> None:
        error = next(answers, None)
        if error is not None:
            raise error
        await play(device_run_id)

    async def nothing(self: object, why: str) -> None: ...

    monkeypatch.setattr("nkloop.runs.following.Watch.make_safe", nothing)
    monkeypatch.setattr(handler, "play", crashes_once)
    with pytest.raises(DeviceError, match="crash"):
        await play_run(run_id, bench, records)
    await play_run(run_id, bench, records)
    assert [request.task.kind for request in operator.asked].count("incubate") == 1
    assert (await finish_run(run_id, bench, records)).state == "succeeded"


async def test_an_open_door_is_closed_by_a_person_and_asked_once(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any
) -> None:
    handler.door_opens = True
    run = await execute(worklist, verdict, bench, records)
    assert run.state == "succeeded"
    assert [r.title for r in operator.asked if "door" in r.title] == ["assay: the robot is blocked-by-open-door"]
    assert len(operator.asked) == 3


async def test_recovery_is_a_persons_decision(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any
) -> None:
    handler.recovers = True
    run = await execute(worklist, verdict, bench, records)
    assert run.state == "succeeded"
    assert "overpressure" in operator.asked[1].task.instruction


async def test_playing_and_finishing_again_does_nothing(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    run = await execute(worklist, verdict, bench, records)
    before = len(records.audit.entries())
    await play_run(run.id, bench, records)
    assert await finish_run(run.id, bench, records) == run
    assert (handler.plays, len(records.audit.entries())) == (2, before)


async def test_a_run_under_way_cannot_be_finished(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records
) -> None:
    run_id = await prepare_run(worklist, verdict, bench, records)
    with pytest.raises(RecordError, match="run-0001 is idle on flex"):
        await finish_run(run_id, bench, records)


@pytest.mark.parametrize("do", [play_run, finish_run])
async def test_a_run_that_was_never_prepared_is_refused(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, do: Any
) -> None:
    at = await bench.clock.now()
    run_id = records.journal.create_run(worklist, verdict, bench="fake", device="flex", at=at, context=Context())
    with pytest.raises(RecordError, match="was never prepared"):
        await do(run_id, bench, records)
