"""A run that is stopped: its command ends, its tips are dropped, and what it did is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace as Kit
from typing import Any

import pytest

from nkloop.drivers.pylabrobot import stations
from nkloop.drivers.pylabrobot.handler import PyLabRobotHandler
from nkloop.worklists.models import Step, Worklist

Make = Callable[..., PyLabRobotHandler]


async def test_stop_lets_the_command_end_and_drops_the_tips(make: Make, worklist: Worklist, kit: Kit) -> None:
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    begun, go_on = asyncio.Event(), asyncio.Event()
    loop, aspirate = asyncio.get_running_loop(), handler.backend.aspirate

    async def slow(*args: Any, **kwargs: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go_on.wait(), loop))
        await aspirate(*args, **kwargs)

    handler.backend.aspirate = slow
    await handler.play(run_id)
    await begun.wait()
    stopping = asyncio.create_task(handler.stop(run_id))
    await asyncio.sleep(0.01)
    assert (await handler.state(run_id)).status == "stop-requested"
    go_on.set()
    await stopping
    assert (await handler.state(run_id)).status == "stopped"
    assert [sent[:4] for sent in handler.backend.sent] == ["C0TT", "C0TP", "C0AS", "C0TR"]
    told = handler.on_step
    assert told.events == [(1, "sent"), (1, "failed")]
    assert told.moved[1] == (0.0,) * 8, "drawn, and thrown away with the tips: every well is known"
    assert "400 µL drawn from trough A1 are lost" in told.details[1]
    await handler.stop(run_id)


async def test_a_run_stopped_before_it_began_sends_nothing(make: Make, worklist: Worklist) -> None:
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    await handler.stop(run_id)
    assert (await handler.state(run_id)).status == "stopped"
    assert handler.backend.sent == []


async def test_a_stop_during_a_pause_leaves_the_step_certainly_undone(make: Make, worklist: Worklist, kit: Kit) -> None:
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    await handler.play(run_id)
    await kit.until(handler, run_id, "paused")
    await handler.stop(run_id)
    assert handler.on_step.events[-1] == (3, "failed")
    assert (await handler.state(run_id)).status == "stopped"


async def require_heard(handler: PyLabRobotHandler, run_id: str, begun: asyncio.Event, go_on: asyncio.Event) -> None:
    """Ask for a stop as soon as something has begun; let that end then."""
    await asyncio.wait_for(begun.wait(), 10)
    stopping = asyncio.create_task(handler.stop(run_id))
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.wait_for(stopping, 5)
    assert (await handler.state(run_id)).status == "stopped"


async def test_a_stop_while_tips_are_dropped_before_a_pause_is_heard(make: Make, worklist: Worklist, kit: Kit) -> None:
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    drop, count = handler.backend.drop_tips, 0

    async def slow(*args: Any, **kwargs: Any) -> None:
        nonlocal count
        count += 1
        if count == 2:  # the tip of step 2, dropped before the pause
            loop.call_soon_threadsafe(begun.set)
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go_on.wait(), loop))
        await drop(*args, **kwargs)

    handler.backend.drop_tips = slow
    await handler.play(run_id)
    await require_heard(handler, run_id, begun, go_on)
    assert handler.on_step.events[-1] == (3, "failed"), "nobody was asked to do it"


async def test_a_stop_while_a_shaker_starts_is_heard(make: Make, kit: Kit) -> None:
    worklist = kit.a_worklist(Step(number=1, action="shake", labware="plate", rpm=300, seconds=600))
    handler = make(worklist, stations=({"slot": "B1", "kind": "shaker", "model": "simulated"},))
    run_id = await handler.prepare(worklist)
    handler.run(run_id)._wait = asyncio.sleep  # a real shaker takes its time
    begun, go_on, shake = asyncio.Event(), asyncio.Event(), handler._stations.shake

    async def slow(slot: str, rpm: int) -> None:
        begun.set()
        await go_on.wait()
        await shake(slot, rpm)

    handler._stations.shake = slow  # type: ignore[method-assign]
    await handler.play(run_id)
    await require_heard(handler, run_id, begun, go_on)
    assert handler._stations.open["B1"].asked[-2:] == [("stop", 0.0), ("unlock", 0.0)]


async def test_a_stop_while_a_module_is_brought_to_its_temperature_is_heard(
    make: Make, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    worklist = kit.a_worklist(kit.transfer(1, "trough:A1", "plate:A1", 30, "tips_50:A1"))
    cold = worklist.deck[0].model_copy(update={"temperature_c": 4.0, "module": "temperatureModuleV2"})
    worklist = worklist.model_copy(update={"deck": (cold, *worklist.deck[1:])})
    handler = make(worklist, stations=({"slot": "A1", "kind": "temperature", "model": "simulated"},))
    run_id = await handler.prepare(worklist)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def still_warm(device: Any) -> float:
        begun.set()
        return 22.0

    monkeypatch.setattr(stations, "_temperature", still_warm)
    monkeypatch.setattr(stations, "_LOOK_S", 0.02)
    await handler.play(run_id)
    await require_heard(handler, run_id, begun, go_on)
    assert handler.on_step.events == []
