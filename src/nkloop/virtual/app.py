"""The virtual bench as one web application: the robot at the root, the world below `/virtual`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from fastapi import FastAPI

from nkloop.virtual.book import WorldBook
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.service import Close, robot_app
from nkloop.virtual.routes import Home, world_router
from nkloop.virtual.world import World

BEHIND = timedelta(minutes=1)
"""How far the clock may be behind that of people before it is moved on."""


def create_app(
    world: World | WorldBook,
    robot: VirtualRobot,
    *,
    also_close: Close | None = None,
    wall: Callable[[], datetime] | None = None,
    home: Home | None = None,
) -> FastAPI:
    """Put robot and world, with its book where it has one, behind one port.

    Args:
        world: what stands on the bench.
        robot: that acts on it.
        also_close: awaited at the end, after the robot is switched off.
        wall: time of people, with zone. With it the clock never stays behind them: while no run has the robot, it is
            moved on whenever somebody asks for the time or loads the deck, however long the bench has been there.
        home: where it belongs; runs of other workspaces are refused then.
    """
    book = world if isinstance(world, WorldBook) else WorldBook(world)
    app = robot_app(robot, also_close=also_close)

    def keep_up() -> None:
        current = robot.runs.current()
        if wall is None or (current is not None and not current.has_ended):
            return
        if wall() - book.clock.now() > BEHIND:
            book.wait_until(wall())

    app.router.routes.extend(world_router(book, keep_up, home).routes)
    return app
