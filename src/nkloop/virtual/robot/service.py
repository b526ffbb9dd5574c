"""The robot as a web application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel

from nkloop.virtual.robot.answers import add_error_answers
from nkloop.virtual.robot.line import Line
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.routes_commands import command_router
from nkloop.virtual.robot.routes_compliance import compliance_router
from nkloop.virtual.robot.routes_protocols import file_router, protocol_router
from nkloop.virtual.robot.routes_runs import run_router
from nkloop.virtual.robot.routes_system import system_router

Close = Callable[[], Awaitable[None]]


class Switch(BaseModel):
    """A door or an emergency stop button."""

    on: bool


def robot_app(robot: VirtualRobot, *, also_close: Close | None = None) -> FastAPI:
    """The robot's routes, plus `PUT /virtual/door` and `PUT /virtual/estop`, which stand for a person's hand.

    `also_close` is awaited at the end, after the robot is switched off.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await robot.close()
        if also_close is not None:
            await also_close()

    app = FastAPI(title="Virtual bench", lifespan=lifespan, openapi_url=None)
    add_error_answers(app)
    app.add_middleware(Line, robot=robot)
    for router in (system_router, file_router, protocol_router, run_router, command_router, compliance_router):
        # `include_router` builds every route a second time, half of what a robot's start takes.
        app.router.routes.extend(router(robot).routes)

    @app.put("/virtual/door")
    async def door(switch: Switch) -> Switch:
        robot.set_door(switch.on)
        return switch

    @app.put("/virtual/estop")
    async def emergency_stop(switch: Switch) -> Switch:
        robot.set_estop(switch.on)
        return switch

    return app
