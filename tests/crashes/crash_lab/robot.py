"""The virtual robot as a process of its own in front of a world that lives elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI

from crash_lab.places import Places
from crash_lab.reality import RemoteHands
from nkloop.vendor import VendorClient
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.service import robot_app
from nkloop.virtual.server import serve
from nkloop.worklists.bench_deck import BenchDeck


class RemoteExecution:
    """One run, physically elsewhere."""

    def __init__(self, hands: RemoteHands, run: str) -> None:
        self._hands = hands
        self._run = run

    def apply(self, command: dict[str, Any]) -> None:
        """Move."""
        self._hands.ask("apply", run=self._run, command=command)


class RemoteWorld:
    """What the virtual robot takes for the physical world; its clock is at the same end."""

    def __init__(self, hands: RemoteHands) -> None:
        self._hands = hands
        self.clock = hands
        self.robot: VirtualRobot | None = None

    def begin_run(self, analysis: Any) -> RemoteExecution:
        """Begin the run that is the robot's current one."""
        assert self.robot is not None
        run = self.robot.runs.current().id
        self._hands.ask("begin", run=run, commands=list(analysis.commands))
        return RemoteExecution(self._hands, run)

    def measure(self, wavelengths_nm: Sequence[int]) -> dict[str, dict[str, float]]:
        """What the reader sees of the plate in it."""
        values: dict[str, dict[str, float]] = self._hands.ask("measure", wavelengths=list(wavelengths_nm))["values"]
        return values


class KnownAnalyses:
    """Analyses made beforehand, by the text of the worklist; any other is asked for."""

    def __init__(self, known: Mapping[str, Any], vendor: VendorClient) -> None:
        self._known = known
        self._vendor = vendor

    async def __call__(
        self, protocol: Path, *, csv: str, labware: Sequence[dict[str, Any]], values: dict[str, Any]
    ) -> Any:
        """The analysis of a protocol with its worklist."""
        if csv in self._known:
            return self._known[csv]
        return await self._vendor.analyse(protocol, csv=csv, labware=labware, values=values)


_BUILT: list[tuple[VirtualRobot, FastAPI]] = []


def build_robot(deck: BenchDeck, analyse: KnownAnalyses, folder: Path) -> None:
    """Build a robot and its routes, which take longer than a short run; every process forked later has them."""
    robot = VirtualRobot(RemoteWorld(cast(RemoteHands, None)), deck, analyse, folder=folder)
    _BUILT.append((robot, robot_app(robot)))


def run_robot(deck: BenchDeck, analyse: KnownAnalyses, places: Places, port: int, speed: float) -> None:
    """Serve the robot until terminated or killed."""
    hands = RemoteHands(places.hands)
    world = RemoteWorld(hands)
    folder = places.folder / "robot"
    robot, app = _BUILT[0]
    robot.__init__(  # type: ignore[misc]  # as it comes from the factory
        world, deck, analyse, folder=folder, memory=folder / "robot.sqlite", speed=speed
    )
    world.robot = robot
    hands.on_hold = lambda: setattr(robot._conductor, "_owed", math.inf)  # as long a nap as only a stop ends
    serve(lambda: app, port)
