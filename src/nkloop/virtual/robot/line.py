"""The line between robot and network: connections that break, a server that is off, a gate that asks who you are."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nkloop.virtual.robot.compliance import USER_NOTES, Denied
from nkloop.virtual.robot.robot import VirtualRobot


class ConnectionDropped(Exception):
    """The server closes the connection of the request it has just answered; nothing else is wrong."""


class Line:
    """Passes requests to the robot as long as there is one, and breaks connections as its faults say."""

    def __init__(self, app: ASGIApp, robot: VirtualRobot) -> None:
        self._app = app
        self._robot = robot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or break the connection."""
        if scope["type"] != "http" or scope["path"].startswith("/virtual"):
            await self._app(scope, receive, send)
            return
        if not self._robot.is_on:
            await _break(send)
            return
        denied = self._denied(scope)
        if denied is not None:
            await _refuse(denied)(scope, receive, send)
        elif self._robot.faults.drops(scope["method"], scope["path"]):
            await self._app(scope, receive, _swallow)
            await _break(send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._app(scope, receive, watched)
        if status == 500:
            # The real server closes the connection after any 500 although its answer does not say so.
            raise ConnectionDropped

    def _denied(self, scope: Scope) -> Denied | None:
        gate = self._robot.compliance
        if gate is None:
            return None
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        authorization, notes = headers.get("authorization", ""), headers.get(USER_NOTES.lower(), "")
        return gate.denied(scope["method"], scope["path"], authorization, notes)


def _refuse(denied: Denied) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if denied.status in {401, 403} else None
    return JSONResponse(denied.body, status_code=denied.status, headers=headers)


async def _swallow(message: Any) -> None:
    del message


async def _break(send: Send) -> None:
    """Begin an answer and never end it: the server closes the connection, and no client takes it for an answer."""
    await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"1")]})
