"""An action whose answer is lost, or that arrives late: no pause is ever passed without its task being done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from nkloop.drivers.interfaces import OperatorAnswer

TITLES = ["Load the deck: small dose", "small dose, step 2: Look at the plate"]


def is_action(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.endswith("/actions")


def on_action(lab: Any, number: int, handle: Callable[[httpx.Request, Any], Any]) -> dict[str, int]:
    """Have another handle carry one of the actions sent to the robot; the count of actions and of calls to lose."""
    deliver, count = lab.wire.handle_async_request, {"actions": 0, "lost": 0}

    async def carry(request: httpx.Request) -> httpx.Response:
        if count["lost"]:
            count["lost"] -= 1
            raise httpx.ConnectError("cable", request=request)
        count["actions"] += is_action(request)
        if is_action(request) and count["actions"] == number:
            return await handle(request, deliver)
        return await deliver(request)

    lab.wire.handle_async_request = carry
    return count


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("looks", [3, 9])
async def test_a_play_that_arrived_is_not_sent_to_the_next_pause(open_lab: Any, number: int, looks: int) -> None:
    """The answer is lost, and so are the looks after it."""
    async with open_lab("lab") as lab:

        async def arrives(request: httpx.Request, deliver: Any) -> httpx.Response:
            await deliver(request)
            count["lost"] = looks
            raise httpx.ReadError("cable", request=request)

        count = on_action(lab, number, arrives)
        run = await lab.dose()
        assert run.state == "succeeded"
        assert lab.operator.asked == TITLES
        assert count["actions"] == 2
        assert lab.contradictions() == []


@pytest.mark.parametrize("number", [1, 2])
async def test_a_play_that_arrives_after_it_was_given_up_is_waited_for(open_lab: Any, number: int) -> None:
    async with open_lab("lab") as lab:
        late: list[asyncio.Task[Any]] = []

        async def arrives_late(request: httpx.Request, deliver: Any) -> httpx.Response:
            async def later() -> None:
                await asyncio.sleep(0.03)
                await deliver(request)

            late.append(asyncio.create_task(later()))
            raise httpx.ReadTimeout("slow", request=request)

        count = on_action(lab, number, arrives_late)
        run = await lab.dose()
        assert run.state == "succeeded"
        assert lab.operator.asked == TITLES
        assert count["actions"] == 2
        assert lab.contradictions() == []
        await asyncio.gather(*late)


async def test_a_play_that_never_arrives_is_sent_again(open_lab: Any) -> None:
    async with open_lab("lab") as lab:

        async def vanishes(request: httpx.Request, deliver: Any) -> httpx.Response:
            del deliver
            raise httpx.ReadTimeout("gone", request=request)

        count = on_action(lab, 2, vanishes)
        assert (await lab.dose()).state == "succeeded"
        assert lab.operator.asked == TITLES
        assert count["actions"] == 3


async def test_a_pause_ended_at_the_robot_while_somebody_was_asked_does_not_end_the_next_one(open_lab: Any) -> None:
    """A person plays and pauses on the screen while nkloop waits for an answer about the pause before."""
    async with open_lab("lab", faults=["never_finishes"]) as lab:
        perform = lab.operator.perform

        async def on_the_screen(request: Any) -> OperatorAnswer:
            if "step 2" in request.title:
                lab.robot.act(lab.robot.runs.current().id, "play")
                await lab.until(lambda: len(lab.wells.acts) == 5)
                lab.robot.act(lab.robot.runs.current().id, "pause")
            return await perform(request)

        lab.operator.perform = on_the_screen
        task = asyncio.create_task(lab.dose())
        await lab.until(lambda: len(lab.operator.asked) == 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert lab.operator.asked == [*TITLES, "small dose: the robot is paused"]


async def test_an_obstacle_confirmed_but_not_cleared_is_asked_about_rarely(
    open_lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nkloop.runs.following.ASK_AGAIN_SECONDS", 0.5)
    async with open_lab("lab", faults=["opens_door"]) as lab:
        task = asyncio.create_task(lab.dose())
        asked = "small dose: the robot is blocked-by-open-door"
        await lab.until(lambda: asked in lab.operator.asked)
        await asyncio.sleep(0.3)
        assert lab.operator.asked.count(asked) == 1
        await lab.until(lambda: lab.operator.asked.count(asked) == 2)
        lab.robot.set_door(False)
        assert (await task).state == "succeeded"
        assert lab.operator.asked.count(asked) == 2
        assert lab.contradictions() == []


async def test_a_robot_paused_by_hand_twice_is_asked_about_twice(open_lab: Any) -> None:
    async with open_lab("lab", faults=["never_finishes"]) as lab:
        occurrences: list[int] = []
        perform = lab.operator.perform

        async def heard(request: Any) -> OperatorAnswer:
            if "the robot is paused" in request.title:
                occurrences.append(request.occurrence)
            return await perform(request)

        lab.operator.perform = heard
        task = asyncio.create_task(lab.dose())
        await lab.until(lambda: len(lab.wells.acts) == 5)
        for number in (1, 2):
            lab.robot.act(lab.robot.runs.current().id, "pause")
            await lab.until(lambda number=number: len(occurrences) == number)
            await lab.until(lambda: lab.robot.runs.current().status == "running")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert occurrences == [0, 1]
