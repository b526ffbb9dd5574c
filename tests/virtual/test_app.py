"""A bench that follows the time of people moves on between runs, never during one."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from nkloop.virtual import app as app_module
from nkloop.virtual.clock_world import START
from nkloop.virtual.world import World


class People:
    """What time it is for people, and which run has the robot."""

    def __init__(self) -> None:
        self.now = START + timedelta(days=3)
        self.run: SimpleNamespace | None = None
        self.runs = SimpleNamespace(current=lambda: self.run)


@pytest.fixture
def people() -> People:
    return People()


@pytest.fixture
async def told(world: World, people: People, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Asks the bench for its time; with `follows` it is one that follows that of people."""
    monkeypatch.setattr(app_module, "robot_app", lambda robot, also_close: FastAPI())

    async def ask(*, follows: bool) -> datetime:
        made = app_module.create_app(world, cast(Any, people), wall=(lambda: people.now) if follows else None)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://bench") as client:
            return datetime.fromisoformat((await client.get("/virtual/clock")).json()["now"])

    return ask


async def test_the_clock_keeps_up_while_nothing_runs(told: Any, people: People) -> None:
    assert await told(follows=True) == START + timedelta(days=3)
    people.now += timedelta(days=2)
    assert await told(follows=True) == START + timedelta(days=5)
    # ahead of people, as after a simulated culture: it stays there
    people.now -= timedelta(days=4)
    assert await told(follows=True) == START + timedelta(days=5)


async def test_a_run_that_has_the_robot_is_not_moved(told: Any, people: People) -> None:
    people.run = SimpleNamespace(has_ended=False)
    assert await told(follows=True) == START
    people.run.has_ended = True
    assert await told(follows=True) == people.now


async def test_a_bench_of_its_own_time_stays_where_it_is(told: Any) -> None:
    assert await told(follows=False) == START
