"""Over a real socket: a server that fails and then drops the connection with the next request in it, as robots do."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from nkloop.drivers.opentrons.client import RobotClient, ServerFailedError

FAILS = "/fails"


class Dropping(H11Protocol):
    """A connection that is dead after an answer of 500, which its client learns only from the next request."""

    is_dead = False

    def data_received(self, data: bytes) -> None:
        if self.is_dead:
            self.transport.abort()
            return
        self.is_dead = FAILS.encode() in data
        super().data_received(data)


@asynccontextmanager
async def server() -> AsyncIterator[tuple[str, list[str]]]:
    """Address of a server and the requests that reached it."""
    reached: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        while message.get("more_body"):
            message = await receive()
        reached.append(f"{scope['method']} {scope['path']}")
        status = 500 if scope["path"] == FAILS else 200
        content = json.dumps({"errors": [{"title": "database is locked"}]} if status == 500 else {"data": {}}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http=Dropping, ws="none", lifespan="off", log_config=None)
        serving = uvicorn.Server(config)
        task = asyncio.create_task(serving.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", reached
        finally:
            serving.should_exit = True
            await task


async def test_after_a_server_fault_nothing_is_sent_into_the_dead_connection() -> None:
    async with server() as (url, reached):
        client = RobotClient("flex", url)
        try:
            with pytest.raises(ServerFailedError, match="database is locked"):
                await client.post(FAILS, {})
            await client.post("/runs", {})
            assert (await client.get("/runs")) == {"data": {}}
            with pytest.raises(ServerFailedError):
                await client.put(FAILS, {})
            await client.patch("/runs/1", {})
        finally:
            await client.close()
        assert reached == [f"POST {FAILS}", "POST /runs", "GET /runs", f"PUT {FAILS}", "PATCH /runs/1"]


async def test_a_read_gets_past_a_dead_connection_by_itself() -> None:
    async with server() as (url, reached):
        client = RobotClient("flex", url)
        try:
            with pytest.raises(ServerFailedError):
                await client.get(FAILS)
            assert (await client.get("/runs")) == {"data": {}}
        finally:
            await client.close()
        assert reached.count("GET /runs") == 1
