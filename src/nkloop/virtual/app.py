"""The virtual bench as one web application: the robot at the root, the world below `/virtual`."""

from __future__ import annotations

from fastapi import FastAPI

from nkloop.virtual.book import WorldBook
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.service import Close, robot_app
from nkloop.virtual.routes import world_router
from nkloop.virtual.world import World


def create_app(world: World | WorldBook, robot: VirtualRobot, *, also_close: Close | None = None) -> FastAPI:
    """Put robot and world, with its book where it has one, behind one port.

    `also_close` is awaited at the end, after the robot is switched off.
    """
    book = world if isinstance(world, WorldBook) else WorldBook(world)
    app = robot_app(robot, also_close=also_close)
    app.router.routes.extend(world_router(book).routes)
    return app
