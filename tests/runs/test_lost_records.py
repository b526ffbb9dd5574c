"""What a device has done that the records do not know: they are of a backup, or somebody stood at its screen."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import FoundRun
from nkloop.errors import (
    DeviceUnreachableError,
    RecordError,
)
from nkloop.records import Records
from nkloop.records.models import Context, RunDecision
from nkloop.runs.execution import execute, prepare_run
from nkloop.runs.reconcile import reconcile_run
from nkloop.worklists.models import Verdict, Worklist

from .conftest import AT
from .killed import events


@pytest.mark.parametrize("is_drawn", [False, True], ids=["as_decided", "with_less_in_its_source"])
async def test_a_rest_that_a_newer_state_of_the_records_has_done_is_not_done_again(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any, tmp_path: Path,
    is_drawn: bool,
) -> None:  # fmt: skip
    """The records are restored from a backup that was made between the decision and the run that followed."""
    run_id = records.journal.create_run(worklist, verdict, bench="fake", device="flex", at=AT, context=Context())
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    rest = worklist.model_copy(update={"name": f"rest of {run_id}"})
    decided = RunDecision(run_id=run_id, decision="continue", by="Ada", reason="the levels were read", at=AT)
    records.decisions.add(decided, follow_up=rest)
    allowed = verdict.model_copy(update={"worklist": rest.name, "worklist_hash": rest.content_hash})
    with (
        closing(sqlite3.connect(tmp_path / "records.db")) as now,
        closing(sqlite3.connect(tmp_path / "backup.db")) as then,
    ):
        now.backup(then)
    restored = Records(f"sqlite:///{tmp_path / 'backup.db'}")
    assert (await execute(rest, allowed, bench, records)).state == "succeeded"
    operator.asked.clear()
    if is_drawn:
        draw = worklist.steps[0].model_copy(update={"to_well": "H12"})
        other = worklist.model_copy(update={"name": "other", "steps": (draw,)})
        passed = verdict.model_copy(update={"worklist_hash": other.content_hash})
        drew = restored.journal.create_run(other, passed, bench="other", device="flex", at=AT, context=Context())
        restored.journal.append_event(drew, [1], "done", at=AT, device="flex")
        restored.journal.set_run_state(drew, "succeeded", ended_at=AT)
        rest = restored.decisions.left_of(run_id)
        allowed = allowed.model_copy(update={"worklist_hash": rest.content_hash})
    with pytest.raises(RecordError, match=r"told to do 'rest of run-0001' already, as its run device-run"):
        await execute(rest, allowed, bench, restored, context=Context(parent=run_id))
    assert (handler.calls.count("prepare"), operator.asked) == (1, [])
    assert restored.journal.runs()[-1].state == "failed"
    restored.close()


async def test_a_worklist_that_records_which_are_lost_have_run_is_run_again_only_when_a_person_says_so(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any, migrated: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    """A backup from before the run is restored, or the workspace is copied."""
    assert (await execute(worklist, verdict, bench, records)).state == "succeeded"
    shutil.copy(migrated, tmp_path / "restored.db")
    handler.status = "idle"
    operator.asked.clear()
    with closing(Records(f"sqlite:///{tmp_path / 'restored.db'}")) as restored:
        with pytest.raises(
            RecordError,
            match=rf"'assay' already, as its run device-run.*nkloop run {worklist.content_hash[:12]}.*--again",
        ):
            await execute(worklist, verdict, bench, restored)
        assert (handler.calls.count("prepare"), operator.asked) == (1, []), "nobody has loaded the deck in vain"
        assert restored.journal.runs()[-1].state == "failed"
        run_id = await prepare_run(worklist, verdict, bench, restored, is_again=True)
        assert restored.journal.run(run_id).found_before == ("device-run",)
        assert restored.journal.device_runs() == {"device-run"}, "what somebody has said of it holds"


async def test_a_run_of_others_that_was_cancelled_before_its_first_step_stands_in_nobodys_way(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(asked: Worklist) -> tuple[FoundRun, ...]:
        return (FoundRun(id="cancelled", is_played=True),)

    monkeypatch.setattr(handler, "find_runs", found)
    assert (await execute(worklist, verdict, bench, records)).state == "succeeded"


async def test_a_rest_that_was_taken_off_the_device_before_it_began_is_due_still(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    """A robot tells of a run that was stopped in the same way as of one that was played."""
    run_id = records.journal.create_run(worklist, verdict, bench="fake", device="flex", at=AT, context=Context())
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    rest = worklist.model_copy(update={"name": f"rest of {run_id}"})
    decided = RunDecision(run_id=run_id, decision="continue", by="Ada", reason="the levels were read", at=AT)
    records.decisions.add(decided, follow_up=rest)
    allowed = verdict.model_copy(update={"worklist": rest.name, "worklist_hash": rest.content_hash})
    made = handler.prepare

    async def door_opens(asked: Worklist) -> str:
        await made(asked)
        raise DeviceUnreachableError("the door was opened meanwhile")

    async def touched(asked: Worklist) -> tuple[FoundRun, ...]:
        return (FoundRun(id="device-run", is_played=True),)

    async def again(asked: Worklist) -> str:
        await made(asked)
        return "device-run-2"

    handler.prepare = door_opens
    with pytest.raises(DeviceUnreachableError, match="door was opened"):
        await prepare_run(rest, allowed, bench, records)
    assert (handler.calls[-2:], records.journal.run("run-0002").state) == (["stop", "commands"], "failed")
    handler.status, handler.prepare, handler.find_runs = "idle", again, touched
    assert records.journal.run(await prepare_run(rest, allowed, bench, records)).device_run_id == "device-run-2"


async def test_a_run_that_was_started_before_the_one_that_is_withdrawn_is_not_overlooked(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours was played at the screen while the making of it failed here; "run again" lies there, not started."""
    made = handler.prepare

    async def prepare(asked: Worklist) -> str:
        await made(asked)
        monkeypatch.setattr(handler, "find_runs", found)
        raise DeviceUnreachableError("nobody answered")

    async def found(asked: Worklist) -> tuple[FoundRun, ...]:
        return (FoundRun(id="ours", is_played=True), FoundRun(id="again", is_played=False))

    monkeypatch.setattr(handler, "prepare", prepare)
    with pytest.raises(DeviceUnreachableError, match=r"somebody started a run.*\(ours\).*nkloop reconcile run-0001"):
        await prepare_run(worklist, verdict, bench, records)
    run = records.journal.run("run-0001")
    assert (run.is_over, {step.event for step in run.steps}, handler.status) == (False, {"sent"}, "stopped")


@pytest.mark.parametrize("moment", ["before_it_is_looked_for", "while_it_is_taken_off"])
async def test_a_run_that_somebody_starts_while_ours_is_withdrawn_is_not_taken_for_ours(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, moment: str
) -> None:
    """The connection is lost, and somebody presses play on the robot: on ours, or once more on an old run."""
    made, stop = handler.prepare, handler.stop

    async def started() -> None:
        await handler.play("device-run")
        while handler.status != "paused":
            await handler.state("device-run")

    async def prepare(asked: Worklist) -> str:
        await made(asked)
        if moment == "before_it_is_looked_for":
            await started()
        raise DeviceUnreachableError("nothing was uploaded: nobody answered")

    async def stops(run_id: str) -> None:
        await started()
        await stop(run_id)

    handler.prepare = prepare
    if moment == "while_it_is_taken_off":
        handler.stop = stops
    with pytest.raises(DeviceUnreachableError, match=r"nobody answered.*nkloop reconcile run-0001"):
        await prepare_run(worklist, verdict, bench, records)
    run = records.journal.run("run-0001")
    assert (run.state, run.device_run_id, run.is_over) == ("planned", None, False)
    assert set(events(records, "run-0001").values()) == {"sent"}, "the robot may forget its run before it is asked"
    handler.stop = stop
    found = await reconcile_run("run-0001", bench, records, stop=True)
    assert (found.run.state, found.run.needs_decision) == ("interrupted", True)
    assert events(records, "run-0001") == {1: "unknown", 2: "unknown", 3: "failed"}
