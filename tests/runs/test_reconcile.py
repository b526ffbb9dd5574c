"""After a crash at any place: the device is asked, what can be known is closed, the rest is named and waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import DeviceFile, DeviceState, OperatorAnswer, OperatorRequest
from nkloop.drivers.terminal_operator import TerminalOperator
from nkloop.errors import (
    BenchError,
    DeviceError,
    DeviceHeldError,
    DeviceUnreachableError,
    NobodyToAskError,
    OperatorRefusedError,
    RecordError,
    RunForgottenError,
    StepUnknownError,
)
from nkloop.records import Records
from nkloop.records.models import OperatorAction, RunDecision
from nkloop.runs.closing import FORGOTTEN, close_unseen
from nkloop.runs.execution import execute, finish_run, play_run, prepare_run
from nkloop.runs.holding import device_held, devices_of
from nkloop.runs.reconcile import reconcile_bench, reconcile_run
from nkloop.runs.same_device import replacement_of
from nkloop.worklists.models import Verdict, Worklist

from .killed import Killed, events, killed_at


@pytest.mark.parametrize("place", ["planned", "intended", "created", "prepared", "sent"])
async def test_what_was_never_played_is_closed_as_not_moved(
    place: str, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    await killed_at(place, worklist, verdict, bench, records)
    (found,) = await reconcile_bench(bench, records)
    assert "nothing was moved" in found.told
    assert (found.run.state, found.run.unknown_steps, handler.plays) == ("interrupted", (), 0)
    assert set(events(records).values()) == {"failed"}
    handler.status = "idle"  # a new run may be made on it
    assert (await execute(worklist, verdict, bench, records)).state == "succeeded"
    assert records.audit.verify_chain() == ()


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_start_that_arrives_late_is_not_closed_as_not_moved(
    forgets: bool, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await killed_at("sent", worklist, verdict, bench, records)
    stop = handler.stop

    async def late(run_id: str) -> None:
        """The start of the killed process arrives between the look and the stop."""
        await handler.play(run_id)
        await handler.state(run_id)
        await stop(run_id)

    async def forgot(run_id: str) -> Any:
        raise RunForgottenError("flex lost power and no longer knows the run")

    monkeypatch.setattr(handler, "stop", late)
    if forgets:
        monkeypatch.setattr(handler, "commands", forgot)
    (found,) = await reconcile_bench(bench, records)
    assert "started before it could be stopped" in found.told
    assert handler.done, "the robot moved"
    if forgets:
        assert found.run.unknown_steps == (1, 2, 3)
    else:
        assert events(records)[1] in {"done", "unknown"}
        assert events(records)[3] == "failed"


@pytest.mark.parametrize("place", ["played", "paused", "ended"])
async def test_a_run_that_went_on_without_us_is_followed_to_its_end(
    place: str, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    await killed_at(place, worklist, verdict, bench, records)
    (found,) = await reconcile_bench(bench, records)
    assert found.run.state == "succeeded"
    assert events(records) == {1: "done", 2: "done", 3: "done"}
    assert handler.plays == 2, "once at the start and once after the pause, whoever asked for it"
    assert await reconcile_bench(bench, records) == ()


async def test_a_person_may_stop_what_is_under_way(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    await killed_at("paused", worklist, verdict, bench, records)
    found = await reconcile_run("run-0001", bench, records, stop=True)
    assert (found.run.state, handler.status) == ("interrupted", "stopped")
    assert events(records) == {1: "done", 2: "failed", 3: "failed"}
    assert found.run.unknown_steps == ()


@pytest.mark.parametrize(
    ("place", "remedy"), [("prepared", "--yes` takes it off"), ("paused", "--yes` follows it to its end, `--stop")]
)
async def test_a_real_device_is_told_nothing_that_nobody_allowed(
    place: str, remedy: str, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    await killed_at(place, worklist, verdict, bench, records)
    before = handler.status
    with pytest.raises(DeviceError, match=f"nothing was sent to it.*{remedy}"):
        await reconcile_run("run-0001", bench, records, is_allowed=False)
    assert handler.status == before
    assert not records.journal.run("run-0001").is_over


async def test_who_only_watches_leaves_the_run_alone_when_interrupted(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    await killed_at("played", worklist, verdict, bench, records)
    shown = asyncio.Event()
    watching = asyncio.create_task(
        reconcile_run("run-0001", bench, records, only_watches=True, on_progress=lambda progress: shown.set())
    )
    await shown.wait()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert handler.status not in {"stop-requested", "stopped"}
    assert not records.journal.run("run-0001").is_over


@pytest.mark.parametrize("place", ["played", "paused", "idle"])
async def test_a_run_found_under_way_is_left_alone_where_nobody_can_be_asked(
    place: str, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any
) -> None:
    async def nobody(request: OperatorRequest) -> OperatorAnswer:
        if place == "idle" and "Load the deck" in request.title:
            return OperatorAnswer(confirmed_by="Ada", at=await bench.clock.now())
        return await TerminalOperator("technician", say=lambda line: None, listen=no_line).perform(request)

    async def no_line(prompt: str) -> None:
        return None

    operator.perform = nobody
    if place == "idle":  # begun here: nothing of it goes on alone
        with pytest.raises(NobodyToAskError, match="nobody is at the terminal"):
            await execute(worklist, verdict, bench, records)
        assert handler.status == "stopped"
        return
    await killed_at(place, worklist, verdict, bench, records)
    with pytest.raises(
        NobodyToAskError, match=r"nobody is at the terminal.*in a terminal, with `nkloop reconcile run-0001"
    ):
        await reconcile_bench(bench, records)
    assert handler.status == "paused"
    assert not records.journal.run("run-0001").is_over


@pytest.mark.parametrize("forgets", ["state", "commands"])
async def test_what_the_device_forgot_is_unknown_and_nothing_follows_before_a_decision(
    forgets: str, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await killed_at("ended", worklist, verdict, bench, records)
    asked = {"run_id": "run-0001", "step": 2, "at": await bench.clock.now()}
    records.journal.add_action(OperatorAction(**asked, confirmed_by="Ada", title="assay", instruction="4 h at 37 °C"))

    async def forgot(run_id: str) -> Any:
        raise RunForgottenError("flex lost power and no longer knows the run")

    monkeypatch.setattr(handler, forgets, forgot)
    (found,) = await reconcile_bench(bench, records)
    assert found.run.unknown_steps == (1, 3)
    monkeypatch.undo()
    with pytest.raises(StepUnknownError) as refused:
        await execute(worklist, verdict, bench, records)
    told = str(refused.value)
    assert "run run-0001 (assay) left 2 steps of unknown outcome" in told
    assert "plate A1, plate B1, plate C1" in told
    assert "`nkloop reconcile run-0001`" in told
    assert handler.calls.count("prepare") == 1

    at = await bench.clock.now()
    records.decisions.add(
        RunDecision(run_id="run-0001", decision="discard", by="Ada", reason="lost", at=at, wells=(("plate", "B1"),))
    )
    handler.status, handler.done = "idle", []
    with pytest.raises(RecordError, match="P-1 B1: was discarded after run-0001 by Ada"):
        await execute(worklist, verdict, bench, records)
    fresh = worklist.model_copy(update={"deck": (worklist.deck[0].model_copy(update={"barcode": "P-2"}),)})
    passed = verdict.model_copy(update={"worklist_hash": fresh.content_hash})
    assert (await execute(fresh, passed, bench, records)).state == "succeeded"
    assert [well.well for well in records.decisions.discarded("P-1")] == ["B1"]
    assert records.audit.verify_chain() == ()


@pytest.mark.parametrize("is_over", [False, True])
async def test_another_device_than_the_run_was_begun_on_is_refused_before_anything_is_concluded(
    is_over: bool, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run_id = await prepare_run(worklist, verdict, bench, records)
    assert records.journal.run(run_id).device_serial == "FLX-1"
    at = await bench.clock.now()
    async with device_held(bench, records, "killed") as hold:
        records.journal.append_event(run_id, [1, 2, 3], "sent", at=at, device="flex", claim=hold.claim)
        if is_over:
            close_unseen(run_id, f"flex {FORGOTTEN} the run", records, hold, at=at)
    before = records.journal.events(run_id)

    async def never_heard_of(device_run_id: str) -> Any:
        raise RunForgottenError("there is no such run")

    monkeypatch.setattr(handler, "state", never_heard_of)
    handler.serial = "FLX-2"
    with pytest.raises(BenchError, match=r"begun on flex with serial number FLX-1, but FLX-2 answers on bench fake"):
        await reconcile_run(run_id, bench, records)
    for go_on in (play_run, finish_run):
        if not is_over:
            with pytest.raises(BenchError, match="FLX-2 answers"):
                await go_on(run_id, bench, records)
    assert records.journal.events(run_id) == before
    assert handler.plays == 0
    assert (await reconcile_run(run_id, bench, records, is_lost=True)).run.unknown_steps == (1, 2, 3)


async def test_a_replacement_is_another_device_than_the_one_the_run_was_begun_on(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    run = records.journal.run(await prepare_run(worklist, verdict, bench, records))
    with pytest.raises(BenchError, match=r"has serial number FLX-1 and run .* was begun on FLX-1.*leave --robot-rep"):
        await replacement_of(run, bench)
    handler.serial = ""
    with pytest.raises(BenchError, match="tells no serial number"):
        await replacement_of(run, bench)
    handler.serial = "FLX-2"
    assert await replacement_of(run, bench) == "FLX-2"
    with pytest.raises(BenchError, match="has noted no serial number"):
        await replacement_of(run.model_copy(update={"device_serial": None}), bench)


async def test_a_robot_that_was_replaced_after_it_was_given_up_stands_in_nobodys_way(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    """What to do with the wells is decided without saying once more that the first one is lost."""
    await prepare_run(worklist, verdict, bench, records)
    await reconcile_run("run-0001", bench, records, is_lost=True)
    handler.serial = "FLX-2"
    found = await reconcile_run("run-0001", bench, records)
    assert found.run.unknown_steps == (1, 2, 3)
    assert "its device was given up as lost, and run run-0001 was begun on flex with serial number FLX-1" in found.told


@pytest.mark.parametrize("why", ["forgotten", "lost"])
async def test_a_device_that_knows_the_run_after_all_settles_it_until_somebody_has_decided(
    why: str, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await killed_at("ended", worklist, verdict, bench, records)

    async def forgot(run_id: str) -> Any:
        raise RunForgottenError("there is no such run")

    with monkeypatch.context() as away:
        away.setattr(handler, "state", forgot)
        found = await reconcile_run("run-0001", bench, records, is_lost=why == "lost")
        assert found.run.unknown_steps == (1, 2, 3)
        assert (await reconcile_run("run-0001", bench, records)).run.unknown_steps == (1, 2, 3)
    found = await reconcile_run("run-0001", bench, records)
    assert found.told.startswith("what flex tells of the run after all counts; ")
    assert (found.run.state, found.run.unknown_steps, found.run.error) == ("succeeded", (), "")
    assert events(records) == {1: "done", 2: "done", 3: "done"}
    assert "run is over" in (await reconcile_run("run-0001", bench, records)).told
    assert records.audit.verify_chain() == ()


async def test_what_somebody_has_decided_is_not_judged_anew(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records
) -> None:
    await killed_at("ended", worklist, verdict, bench, records)
    await reconcile_run("run-0001", bench, records, is_lost=True)
    at = await bench.clock.now()
    records.decisions.add(RunDecision(run_id="run-0001", decision="discard", by="Ada", reason="lost", at=at))
    async with device_held(bench, records, "late") as hold:
        records.journal.judge_anew("run-0001", [], "succeeded", error="", claim=hold.claim)
    assert records.journal.run("run-0001").state == "interrupted"
    assert set(events(records).values()) == {"unknown"}


async def test_labware_with_unknown_wells_is_refused_on_another_bench_too(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    await killed_at("sent", worklist, verdict, bench, records)
    await reconcile_run("run-0001", bench, records, is_lost=True)
    elsewhere = bench.file.model_copy(update={"name": "other", "locks": ("other-flex",)})
    other = Bench(elsewhere, handler, bench.plate_reader, bench.cell_counter, bench.operator, bench.clock)
    with pytest.raises(StepUnknownError, match="run-0001"):
        await prepare_run(worklist, verdict, other, records)
    deck = (worklist.deck[0].model_copy(update={"barcode": "P-2"}),)
    fresh = worklist.model_copy(update={"deck": deck})
    passed = verdict.model_copy(update={"worklist_hash": fresh.content_hash})
    assert await prepare_run(fresh, passed, other, records) == "run-0002"


async def test_a_device_that_does_not_answer_leaves_the_run_open(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    await killed_at("paused", worklist, verdict, bench, records)
    handler.unreachable_looks = 100
    with pytest.raises(DeviceUnreachableError):
        await execute(worklist, verdict, bench, records)
    assert records.journal.run("run-0001").state == "running"
    assert len(records.journal.runs()) == 1


async def test_a_live_run_of_somebody_else_is_left_to_him(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    await killed_at("paused", worklist, verdict, bench, records)
    records.claims.claim(devices_of(bench), "feed culture-1")
    with pytest.raises(DeviceHeldError, match="feed culture-1"):
        await reconcile_run("run-0001", bench, records)
    assert handler.status == "paused"


@pytest.mark.parametrize(
    ("told", "state", "wanted"),
    [
        pytest.param(["sent"], "interrupted", {1: "unknown", 2: "failed", 3: "failed"}, id="in_a_step"),
        pytest.param(["sent", "done"], "interrupted", {1: "done", 2: "failed", 3: "failed"}, id="between_steps"),
        pytest.param([], "interrupted", {1: "failed", 2: "failed", 3: "failed"}, id="before_the_first"),
    ],
)
async def test_a_device_without_memory_is_judged_by_the_journal(
    told: list[Any], state: str, wanted: dict[int, str],
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any,
) -> None:  # fmt: skip
    handler.stepwise = True
    await killed_at("prepared", worklist, verdict, bench, records)
    async with device_held(bench, records, "killed") as hold:
        for event in told:
            records.journal.append_event(
                "run-0001", [1], event, at=await bench.clock.now(), device="star", claim=hold.claim
            )
    (found,) = await reconcile_bench(bench, records)
    assert (found.run.state, events(records)) == (state, wanted)
    assert found.run.needs_decision == ("unknown" in wanted.values())


async def test_each_step_of_a_stepwise_device_is_durable_before_it_is_sent(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler.stepwise = True
    run_id = await prepare_run(worklist, verdict, bench, records)

    async def plays(device_run: str) -> None:
        for step in worklist.steps:
            handler.on_step(step.number, "sent")
            assert events(records)[step.number] == "sent"
            handler.on_step(step.number, "done", moved_ul=(50.0,))
        handler.status = "succeeded"

    monkeypatch.setattr(handler, "play", plays)
    await play_run(run_id, bench, records)
    run = records.journal.run(run_id)
    assert (run.state, set(events(records).values())) == ("succeeded", {"done"})
    assert [event.moved_ul for event in records.journal.events(run_id) if event.event == "done"] == [(50.0,)] * 3


async def test_files_are_copied_out_with_their_hash_and_only_once(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = DeviceFile(name="../plate reading.csv", media_type="text/csv", content=b"A1,0.5\n")

    async def files(run_id: str) -> tuple[DeviceFile, ...]:
        return (file,)

    monkeypatch.setattr(handler, "files", files)
    run = await execute(worklist, verdict, bench, records)
    (saved,) = run.files
    assert records.files.content(saved) == file.content
    assert saved.path.startswith("device-files/run-0001/")
    assert records.files.save(run.id, [(file.name, file.media_type, file.content)]) == run.files
    assert records.audit.verify_chain() == ()


async def test_files_that_cannot_be_copied_lose_no_outcome(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(run_id: str) -> tuple[DeviceFile, ...]:
        raise DeviceUnreachableError("no answer")

    monkeypatch.setattr(handler, "files", fails)
    run = await execute(worklist, verdict, bench, records)
    assert (run.state, run.unknown_steps) == ("succeeded", ())
    assert "not copied out of the device: no answer" in run.error


@pytest.mark.parametrize("call", range(1, 11))
async def test_reconciling_may_be_killed_anywhere_and_done_again(
    call: int, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await killed_at("paused", worklist, verdict, bench, records)
    counted = 0

    def dies(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            nonlocal counted
            counted += 1
            if counted >= call:
                raise Killed
            return real(*args, **kwargs)

        return called

    for name in ("state", "play", "commands", "files"):
        monkeypatch.setattr(handler, name, dies(getattr(handler, name)))
    for name in ("append_events", "close_run", "set_run_state", "add_action"):
        monkeypatch.setattr(records.journal, name, dies(getattr(records.journal, name)))
    # a killed process makes nothing safe
    monkeypatch.setattr("nkloop.runs.following.Watch.make_safe", _nothing)
    with pytest.raises(Killed):
        await reconcile_bench(bench, records)
    monkeypatch.undo()
    await reconcile_bench(bench, records)
    assert events(records) == {1: "done", 2: "done", 3: "done"}
    assert handler.plays == 2
    assert [str(command.params.get("message")) for command in handler.done].count("step 3: transfer") == 1


async def _nothing(self: Any, why: str) -> None:
    await asyncio.sleep(0)


async def test_a_run_open_on_another_device_is_not_touched(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    elsewhere = bench.file.model_copy(update={"name": "other", "locks": ("other-flex",)})
    other = Bench(elsewhere, handler, bench.plate_reader, bench.cell_counter, bench.operator, bench.clock)
    await killed_at("intended", worklist, verdict, other, records)
    assert await reconcile_bench(bench, records) == ()
    assert records.journal.run("run-0001").state == "planned"
    assert isinstance(await handler.state("x"), DeviceState)


async def test_a_device_that_files_a_run_away_slowly_is_not_waited_for_where_it_was_made_safe(
    worklist: Worklist,
    verdict: Verdict,
    bench: Bench,
    records: Records,
    handler: Any,
    operator: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def release(run_id: str) -> None:
        await asyncio.sleep(30)

    handler.release = release
    monkeypatch.setattr("nkloop.runs.closing.FILING_SECONDS", 0.05)
    monkeypatch.setattr("nkloop.runs.following.SAFE_SECONDS", 5)
    operator.declines = "step 2"
    with pytest.raises(OperatorRefusedError):
        await execute(worklist, verdict, bench, records)
    (run,) = records.journal.runs()
    assert run.is_over
