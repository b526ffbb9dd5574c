"""A pause in which a person moves liquid, cut on the virtual robot: nobody is asked to pour a second time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nkloop.runs.execution import execute
from nkloop.worklists.models import Vessel, VesselMove, Worklist

BAG = Vessel(name="bag-1", title="bag", lowest_ul=1, capacity_ul=90_000, volume_ul=10_000, end_ul=30_000)


def filling(worklist: Worklist) -> Worklist:
    """The lab's worklist, with base medium run into a bag in its pause."""
    before, pause, after = worklist.steps
    assert pause.operator is not None
    task = pause.operator.model_copy(update={"moves": (VesselMove(to_vessel="bag-1", volume_ul=20_000),)})
    steps = (before, pause.model_copy(update={"operator": task}), after)
    return worklist.model_copy(update={"steps": steps, "vessels": (BAG,)})


async def cut_while_somebody_pours(lab: Any, *, is_killed: bool) -> None:
    """Cancel the run while its pause waits; a program that is killed has no time left to stop its robot."""
    made = filling(lab.worklist)
    verdict = lab.verdict.model_copy(update={"worklist_hash": made.content_hash})
    lab.operator.leaves = "step 2"
    playing = asyncio.create_task(execute(made, verdict, lab.bench, lab.records))
    await lab.until(lambda: any("step 2" in title for title in lab.operator.asked))
    lab.wire.is_cut = is_killed
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    lab.operator.leaves = ""


async def test_a_run_that_is_stopped_meanwhile_leaves_the_pause_unknown(open_lab: Any) -> None:
    async with open_lab("lab") as lab:
        await cut_while_somebody_pours(lab, is_killed=False)
        (run,) = lab.runs()
        assert [step.event for step in run.steps] == ["done", "unknown", "failed"]
        assert "nobody has said how much of it they did" in run.steps[1].detail
        assert run.needs_decision
        assert lab.contradictions() == []


@pytest.mark.parametrize("begun", ["done", "nothing"])
async def test_a_robot_that_waits_on_is_followed_after_somebody_has_said_whether_it_was_done(
    open_lab: Any, begun: str
) -> None:
    async with open_lab("lab") as lab:
        await cut_while_somebody_pours(lab, is_killed=True)
        assert not lab.runs()[0].is_over
        lab.operator.asked.clear()
        lab.operator.chooses = {"was it done?": (begun, "by the scale")}
        await lab.reconcile()
        assert lab.runs()[0].state == "succeeded"
        assert [title.endswith("was it done?") for title in lab.operator.asked] == [True, False][
            : 1 + (begun != "done")
        ]
        assert lab.contradictions() == []
