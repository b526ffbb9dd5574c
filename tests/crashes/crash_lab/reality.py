"""The physical world as a process nobody kills: people reach it over HTTP, the robot over a socket of its own."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI

from crash_lab.places import Places
from nkloop.errors import NkloopError
from nkloop.virtual.book import WorldBook
from nkloop.virtual.clock_world import START
from nkloop.virtual.execution import Execution
from nkloop.virtual.routes import world_router
from nkloop.virtual.server import serve
from nkloop.virtual.world import World

LONGEST_LINE = 64 * 1024 * 1024
TRUSTED_S = 0.02


@dataclass(frozen=True)
class PhysicalTrigger:
    """Kill `victim` right before or after the robot's n-th command takes physical effect."""

    victim: str
    nth: int
    phase: str
    is_stopped: bool = False
    """The robot stands still before its next command, until a person stops its run."""


class Hands:
    """What a robot's motors do to the world. Every command that took effect is written down before it is answered."""

    def __init__(self, world: World, places: Places, trigger: PhysicalTrigger | None) -> None:
        self._world = world
        self._places = places
        self._trigger = trigger
        self._seen = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one robot until it hangs up, which it also does when it is killed."""
        runs: dict[str, Execution] = {}
        try:
            while line := await reader.readline():
                answer = self._answer(json.loads(line), runs)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _answer(self, asked: dict[str, Any], runs: dict[str, Execution]) -> dict[str, Any]:
        self._world.clock.advance(asked["seconds"])
        answer: dict[str, Any] = {}
        if asked["do"] == "begin":
            runs[asked["run"]] = self._world.begin_run(_Commands(asked["commands"]))
            self._write({"begin": asked["run"], "steps": _by_step(asked["commands"])})
        elif asked["do"] == "apply":
            answer = self._apply(asked["run"], asked["command"], runs[asked["run"]])
        elif asked["do"] == "measure":
            answer = self._measure(asked["wavelengths"])
        return {**answer, "now": self._world.clock.seconds}

    def _apply(self, run: str, command: dict[str, Any], execution: Execution) -> dict[str, Any]:
        self._seen += 1
        is_held = self._maybe_kill("before")
        try:
            execution.apply(command)
        except Exception as error:  # noqa: BLE001 - the robot tells it
            return {"error": str(error)}
        told = {"run": run, "planned": command["id"], "kind": command["commandType"], "step": execution.step}
        self._write({**told, **self._moved(command, execution)})
        is_held |= self._maybe_kill("after")
        return {"hold": True} if is_held else {}

    def _measure(self, wavelengths: list[int]) -> dict[str, Any]:
        try:
            values = WorldBook(self._world).measure(wavelengths)
        except NkloopError as error:
            return {"error": str(error)}
        self._write({"measured": self._world.in_reader, "values": values})
        return {"values": values}

    def _moved(self, command: dict[str, Any], execution: Execution) -> dict[str, Any]:
        """Volume and wells of a command that moved liquid."""
        params = command.get("params") or {}
        told = {"pipette": params["pipetteId"]} if "pipetteId" in params else {}
        if command["commandType"].removesuffix("InPlace") not in {"aspirate", "dispense"}:
            return told
        slots = {id(container): slot for slot, container in self._world.deck.items()}
        spots = [
            (container.barcode or f"slot {slots.get(id(container), 'unknown')}", well)
            for container, well in execution.touched(params)
        ]
        return {**told, "volume": params["volume"], "spots": spots}

    def _maybe_kill(self, phase: str) -> bool:
        """Kill when this is the instant; True when the robot shall stand still then."""
        trigger = self._trigger
        if trigger is None or (self._seen, phase) != (trigger.nth, trigger.phase):
            return False
        self._trigger = None
        self._places.kill(trigger.victim, f"{phase} physical command {trigger.nth}")
        return trigger.is_stopped

    def _write(self, line: dict[str, Any]) -> None:
        with self._places.physical.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _by_step(commands: list[dict[str, Any]]) -> dict[int, list[str]]:
    """Ids of the commands of every step."""
    found: dict[int, list[str]] = {}
    step = 0
    for command in commands:
        message = str((command.get("params") or {}).get("message") or "")
        if message.startswith("step "):
            step = int(message[5 : message.index(":")])
        found.setdefault(step, []).append(command["id"])
    return found


@dataclass(frozen=True)
class _Commands:
    commands: list[dict[str, Any]]


_BUILT: list[tuple[WorldBook, FastAPI]] = []


def build_reality(world: World) -> None:
    """Build the routes of a world once; every process forked later has them."""
    book = WorldBook(world)
    app = FastAPI(openapi_url=None)
    app.router.routes.extend(world_router(book).routes)
    _BUILT.append((book, app))


def run_reality(world: World, places: Places, port: int, trigger: PhysicalTrigger | None) -> None:
    """Serve the world until terminated."""
    hands = Hands(world, places, trigger)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(hands.serve, places.hands, limit=LONGEST_LINE)
        yield
        server.close()

    book, app = _BUILT[0]
    book.world = world
    app.router.lifespan_context = lifespan
    serve(lambda: app, port)


class RemoteHands:
    """The robot's end: one request, one answer, in order."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._stream = self._socket.makefile("rwb")
        self._known, self._asked, self._owed = 0.0, -math.inf, 0.0
        self.on_hold: Callable[[], None] = lambda: None

    def ask(self, do: str, **asked: Any) -> dict[str, Any]:
        """Do something to the world; what it answers.

        Raises:
            RuntimeError: the world refused.
        """
        self._stream.write(json.dumps({"do": do, "seconds": self._owed, **asked}).encode() + b"\n")
        self._stream.flush()
        self._owed = 0.0
        answer: dict[str, Any] = json.loads(self._stream.readline())
        self._known, self._asked = answer["now"], time.monotonic()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        if answer.get("hold"):
            self.on_hold()
        return answer

    def now(self) -> datetime:
        """Time of the world; a robot looks at its clock several times per command and trusts it for a moment."""
        if time.monotonic() - self._asked > TRUSTED_S:
            self.ask("look")
        return START + timedelta(seconds=self._known + self._owed)

    def advance(self, seconds: float) -> None:
        """Let time pass; the world is told with the next request."""
        self._owed += seconds
