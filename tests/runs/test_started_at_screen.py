"""Runs that somebody may have started at the device's screen: never taken for ours, never for not moved."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import DeviceCommand, DeviceState, FoundRun
from nkloop.errors import (
    DeviceError,
    RunForgottenError,
    StaleHolderError,
)
from nkloop.records import Records
from nkloop.runs.closing import FORGOTTEN
from nkloop.runs.execution import execute, prepare_run
from nkloop.runs.reconcile import reconcile_bench, reconcile_run
from nkloop.worklists.models import Verdict, Worklist

from .killed import events, killed_at


@pytest.mark.parametrize(("stepwise", "event"), [(False, "unknown"), (True, "failed")])
async def test_a_run_that_lay_ready_on_a_device_that_is_lost_may_have_been_started_at_its_screen(
    stepwise: bool, event: str, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    """A device that is driven from here step by step holds no run that anybody could start."""
    handler.stepwise = stepwise
    await prepare_run(worklist, verdict, bench, records)
    assert set(events(records).values()) == {"intended"}
    found = await reconcile_run("run-0001", bench, records, is_lost=True)
    assert set(events(records).values()) == {event}
    assert found.run.needs_decision != stepwise
    assert ("whether somebody has started the run at its screen" in found.told) != stepwise


async def test_an_earlier_run_of_the_same_worklist_is_not_taken_for_the_lost_one(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    """A new plate each time, whose barcode is nowhere."""
    (plate,) = worklist.deck
    worklist = worklist.model_copy(update={"deck": (plate.model_copy(update={"barcode": None}),)})
    verdict = verdict.model_copy(update={"worklist_hash": worklist.content_hash})
    await execute(worklist, verdict, bench, records)
    await killed_at("intended", worklist, verdict, bench, records)
    (found,) = await reconcile_bench(bench, records)
    assert "never started" in found.told
    assert set(events(records, "run-0002").values()) == {"failed"}


async def killed_when_made(
    make: Callable[[], Awaitable[None]], worklist: Worklist, verdict: Verdict, bench: Bench, records: Records,
    *, is_again: bool = False,
) -> None:  # fmt: skip
    """The program ends at once when its device has been asked to make the run, which `make` does or does not."""
    handler: Any = bench.liquid_handler

    async def prepare(asked: Worklist) -> str:
        await make()
        raise StaleHolderError("the process ends here")  # the one end after which nothing is cleared up

    handler.prepare = prepare
    with pytest.raises(StaleHolderError):
        await prepare_run(worklist, verdict, bench, records, is_again=is_again)
    del handler.prepare


async def test_a_run_of_a_lost_database_is_not_taken_for_one_that_was_never_made(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, migrated: Path, tmp_path: Path
) -> None:
    assert (await execute(worklist, verdict, bench, records)).state == "succeeded"
    shutil.copy(migrated, tmp_path / "restored.db")
    restored = Records(f"sqlite:///{tmp_path / 'restored.db'}")

    async def nothing() -> None: ...

    await killed_when_made(nothing, worklist, verdict, bench, restored, is_again=True)
    (found,) = await reconcile_bench(bench, restored)
    assert "nothing was moved" in found.told
    assert (found.run.state, set(events(restored).values())) == ("interrupted", {"failed"})
    restored.close()


async def test_a_run_that_was_started_elsewhere_is_never_adopted_and_a_person_says_what_happened(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    async def made_and_started_at_the_screen() -> None:
        await type(handler).prepare(handler, worklist)
        await handler.play("device-run")
        while handler.status != "paused":
            await handler.state("device-run")

    await killed_when_made(made_and_started_at_the_screen, worklist, verdict, bench, records)
    with pytest.raises(DeviceError, match=r"run of the same worklist as paused, which was not started.*--stop"):
        await reconcile_bench(bench, records)
    assert not records.journal.run("run-0001").is_over
    found = await reconcile_run("run-0001", bench, records, stop=True)
    assert (handler.status, found.run.device_run_id) == ("stopped", "device-run")
    assert events(records) == {1: "unknown", 2: "unknown", 3: "failed"}
    assert found.run.needs_decision
    assert "was not started from here" in found.told


@pytest.mark.parametrize("last", ["cancelled", "lies ready"])
async def test_every_run_that_somebody_started_counts_not_only_the_newest(
    last: str, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """At the screen ours was played to its end, then "run again", which was cancelled in step 1, or not started."""
    await killed_at("created", worklist, verdict, bench, records)
    await handler.play("device-run")
    while handler.status != "succeeded":
        await handler.play("device-run")
        await handler.state("device-run")
    of_run = {"device-run": list(handler.done), "again": handler.done[:3] if last == "cancelled" else []}
    status: dict[str, Any] = {"device-run": "succeeded", "again": "stopped" if last == "cancelled" else "idle"}

    async def found(_: Worklist) -> tuple[FoundRun, ...]:
        return (FoundRun(id="device-run", is_played=True), FoundRun(id="again", is_played=last == "cancelled"))

    async def commands(run_id: str) -> tuple[DeviceCommand, ...]:
        return tuple(of_run[run_id])

    async def state(run_id: str) -> DeviceState:
        return DeviceState(status=status[run_id])

    async def stop(run_id: str) -> None:
        status[run_id] = "stopped"

    for name, does in {"find_runs": found, "commands": commands, "state": state, "stop": stop}.items():
        monkeypatch.setattr(handler, name, does)
    if last == "lies ready":
        with pytest.raises(DeviceError, match=r"is a real device and has run run-0001 as idle.*--yes"):
            await reconcile_run("run-0001", bench, records, is_allowed=False)
    (closed,) = await reconcile_bench(bench, records)
    assert closed.run.unknown_steps == (1, 2, 3)
    assert set(status.values()) == {"succeeded", "stopped"}, "nothing lies there that anybody could start"
    assert records.journal.device_runs() == {"device-run", "again"}


async def test_what_others_run_is_no_doubt_of_a_run_that_ended_before_the_device_was_asked(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    """Killed while its deck was loaded; another database has run the same worklist."""
    await killed_at("planned", worklist, verdict, bench, records)
    await handler.prepare(worklist)
    await handler.play("device-run")
    (found,) = await reconcile_bench(bench, records)
    assert "nothing was moved" in found.told
    assert (set(events(records).values()), handler.status) == ({"failed"}, "running")


async def test_what_was_started_at_the_screen_counts_as_sent_before_it_is_followed(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    await killed_at("prepared", worklist, verdict, bench, records)
    await handler.play("device-run")
    looks = iter(range(2))

    async def state(run_id: str) -> DeviceState:
        if next(looks, None) is None:
            raise RunForgottenError("the robot lost its memory")
        return DeviceState(status="running")

    handler.state = state
    with pytest.raises(RunForgottenError):
        await reconcile_run("run-0001", bench, records)
    assert set(events(records).values()) == {"unknown"}


@pytest.mark.parametrize("does_list_it", [True, False])
async def test_a_run_that_lay_ready_and_was_forgotten_may_have_been_started_at_the_screen(
    worklist: Worklist,
    verdict: Verdict,
    bench: Bench,
    records: Records,
    handler: Any,
    monkeypatch: pytest.MonkeyPatch,
    does_list_it: bool,
) -> None:
    """It is deleted from the robot's list, or stands there without what it did."""
    await killed_at("prepared", worklist, verdict, bench, records)

    async def forgot(run_id: str) -> Any:
        raise RunForgottenError("flex no longer knows the run")

    async def lost(run_id: str) -> DeviceState:
        return DeviceState(status="stopped")

    monkeypatch.setattr(handler, "state", lost if does_list_it else forgot)
    monkeypatch.setattr(handler, "commands", forgot)
    (found,) = await reconcile_bench(bench, records)
    assert FORGOTTEN in found.run.error
    assert found.run.unknown_steps == (1, 2, 3)
