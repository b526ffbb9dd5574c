"""A connection lost for longer than anybody waits: the robot goes on, and is asked when it can be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nkloop.errors import DeviceError, DeviceUnreachableError, RecordError
from nkloop.records.models import RunDecision
from nkloop.runs.execution import play_run, prepare_run
from nkloop.runs.reconcile import reconcile_run


def events(run: Any) -> dict[int, str]:
    return {step.number: step.event for step in run.steps}


async def test_a_run_whose_robot_went_on_alone_stays_open_and_is_settled_later(open_lab: Any) -> None:
    async with open_lab("lab") as lab:
        lab.cut_after("POST", "/runs/{id}/actions", 2)  # the robot has gone on after the pause of step 2
        assert isinstance(await lab.dose(), DeviceUnreachableError)
        await lab.until(lambda: lab.robot.runs.all()[0].status == "succeeded")
        [run] = lab.runs()
        assert not run.is_over
        assert "could not be asked and may still be running" in run.error
        decision = RunDecision(run_id=run.id, decision="continue", by="Ada", reason="the cable was out", at=lab.now())
        with pytest.raises(RecordError, match="still running"):
            lab.records.decisions.add(decision)
        assert isinstance(await lab.dose(), DeviceUnreachableError), "nothing starts while an open run cannot be asked"
        await lab.reconcile()
        [run] = lab.runs()
        assert (run.state, set(events(run).values())) == ("succeeded", {"done"})
        assert lab.contradictions() == []


async def test_a_run_lost_before_it_was_played_is_taken_off_the_robot(open_lab: Any) -> None:
    async with open_lab("lab") as lab:
        run_id = await prepare_run(lab.worklist, lab.verdict, lab.bench, lab.records)
        lab.wire.is_cut = True
        with pytest.raises(DeviceUnreachableError):
            await play_run(run_id, lab.bench, lab.records)
        assert not lab.records.journal.run(run_id).is_over
        await lab.reconcile()
        assert lab.records.journal.run(run_id).state == "interrupted"
        assert lab.left_ready() == []
        assert (lab.contradictions(), lab.wells.acts) == ([], [])


async def test_a_run_lost_before_it_was_played_and_played_by_hand_is_followed(open_lab: Any) -> None:
    async with open_lab("lab") as lab:
        run_id = await prepare_run(lab.worklist, lab.verdict, lab.bench, lab.records)
        lab.wire.is_cut = True
        with pytest.raises(DeviceUnreachableError):
            await play_run(run_id, lab.bench, lab.records)
        lab.robot.act(lab.robot.runs.current().id, "play")
        await lab.until(lambda: lab.robot.runs.all()[0].status == "paused")
        await lab.reconcile()
        run = lab.records.journal.run(run_id)
        assert (run.state, set(events(run).values())) == ("succeeded", {"done"})
        assert lab.contradictions() == []


async def test_a_robot_given_up_as_lost_that_still_moves_is_told_and_stopped(open_lab: Any) -> None:
    async with open_lab("lab", faults=["never_finishes"]) as lab:
        task = asyncio.create_task(lab.dose())
        await lab.until(lambda: len(lab.wells.acts) == 5)
        lab.wire.is_cut = True
        assert isinstance(await task, DeviceUnreachableError)
        lost = await reconcile_run("run-0001", lab.bench, lab.records, is_lost=True)
        assert lost.run.needs_decision
        unanswered = await reconcile_run("run-0001", lab.bench, lab.records)
        assert "does not answer now" in unanswered.told
        lab.wire.is_cut = False
        with pytest.raises(DeviceError, match="still has it as running"):
            await reconcile_run("run-0001", lab.bench, lab.records)
        told = (await reconcile_run("run-0001", lab.bench, lab.records, stop=True)).told
        assert "was still running on flex and was stopped" in told
        assert lab.under_way() == []
        assert lab.contradictions() == []
