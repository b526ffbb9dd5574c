"""The virtual robot: everything the routes ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from nkloop.virtual.robot.analyses import Analyser
from nkloop.virtual.robot.answers import stamp
from nkloop.virtual.robot.conductor import Conductor
from nkloop.virtual.robot.data_files import DataFiles
from nkloop.virtual.robot.hardware import Hardware
from nkloop.virtual.robot.interfaces import Analyse, PhysicalWorld
from nkloop.virtual.robot.parameters import ParameterError
from nkloop.virtual.robot.protocols import Protocols
from nkloop.virtual.robot.refusals import (
    run_already_active,
    run_not_current,
    run_not_found,
    run_not_idle,
    unexpected,
)
from nkloop.virtual.robot.run import ActionType, Run
from nkloop.worklists.bench_deck import BenchDeck

MAX_RUNS = 20
ACTIVE_DETAIL = (
    "Run is currently active. Allow the run to finish or stop it with a `stop` action before attempting to modify it."
)
BUSY_DETAIL = "Current run is not idle or stopped."


class VirtualRobot:
    """An Opentrons Flex without the metal. Everything it holds is lost when it is switched off."""

    def __init__(
        self,
        world: PhysicalWorld,
        deck: BenchDeck,
        analyse: Analyse,
        *,
        folder: Path,
        speed: float = 0.0,
        name: str = "virtual-flex",
    ) -> None:
        """`folder` takes the uploaded protocols; `speed` is bench seconds per wall second, 0 as fast as possible."""
        self.name = name
        self.hardware = Hardware(deck)
        self._world = world
        self.files = DataFiles(self.now, self._files_in_use)
        self._analyser = Analyser(analyse, self.files, folder, self.now)
        self.protocols = Protocols(self._analyser, self.files, self.now, self._protocols_in_use)
        self._conductor = Conductor(world, self.hardware, speed, self.now)
        self._runs: dict[str, Run] = {}
        self._phantom: str | None = None
        self.is_error_recovery_enabled = True
        self.client_data: dict[str, dict[str, Any]] = {}

    def now(self) -> str:
        """Bench time as the robot writes it."""
        return stamp(self._world.clock.now())

    @property
    def runs(self) -> list[Run]:
        """Every run kept, oldest first."""
        return list(self._runs.values())

    @property
    def current_run_id(self) -> str | None:
        """Id of the run that controls the robot; after a failed creation that of a run that does not exist."""
        if self._phantom is not None:
            return self._phantom
        return next((run.id for run in self._runs.values() if run.is_current), None)

    def run(self, run_id: str) -> Run:
        """Look a run up.

        Raises:
            Refusal: there is none.
        """
        if run_id not in self._runs:
            raise run_not_found(run_id)
        return self._runs[run_id]

    def create_run(
        self,
        protocol_id: str | None,
        values: Mapping[str, Any],
        files: Mapping[str, str],
        offsets: list[dict[str, Any]],
    ) -> Run:
        """Make a run the current one; an idle or ended run in its place is dismissed.

        As on the real robot, wrong parameters give a 500 and leave a phantom current run, and the next creation
        gives a 500 as well and clears it.

        Raises:
            Refusal: unknown protocol or data file, another run under way, wrong parameters.
        """
        protocol = self.protocols.get(protocol_id) if protocol_id is not None else None
        self.protocols.named_files(files)
        if self._phantom is not None:
            missing, self._phantom = self._phantom, None
            raise unexpected("RunNotFoundError", f"Run {missing} was not found.")
        current = self._current()
        if current is not None and current.is_under_way:
            raise run_already_active()
        if current is not None:
            self._dismiss(current)
        try:
            parameters = self.protocols.parameters(protocol, values, files) if protocol else []
        except ParameterError as error:
            self._phantom = str(uuid4())
            raise unexpected(error.kind, f"opentrons.protocols.parameters.exceptions.{error.kind}: {error}") from error
        self._make_room()
        run = Run(protocol, parameters, [self._offset(one) for one in offsets], self.now)
        run.door_changed(self.hardware.is_door_open)
        self._runs[run.id] = run
        return run

    def act(self, run_id: str, action: ActionType) -> dict[str, str]:
        """Play, pause or stop the current run.

        Raises:
            Refusal: unknown run, not the current one, or an action its status does not allow.
        """
        run = self.run(run_id)
        if not run.is_current:
            raise run_not_current(f"Run {run_id} is not the current run")
        told = run.act(action)
        if action == "play" and run.task is None:
            run.task = asyncio.create_task(self._conduct(run))
        return told

    def dismiss_run(self, run_id: str) -> Run:
        """Let the run no longer be the current one.

        Raises:
            Refusal: unknown run, not the current one, or under way.
        """
        run = self.run(run_id)
        if not run.is_current:
            raise run_not_current(f"Cannot update {run_id} because it is not the current run.")
        if run.is_under_way:
            raise run_not_idle(BUSY_DETAIL)
        self._dismiss(run)
        return run

    def delete_run(self, run_id: str) -> None:
        """Forget a run.

        Raises:
            Refusal: unknown run, or under way.
        """
        if self.run(run_id).is_under_way:
            raise run_not_idle(ACTIVE_DETAIL)
        del self._runs[run_id]

    def set_door(self, is_open: bool) -> None:
        """Open or close the front door."""
        self.hardware.is_door_open = is_open
        current = self._current()
        if current is not None:
            current.door_changed(is_open)

    def set_estop(self, is_engaged: bool) -> None:
        """Press or release the emergency stop; pressing it stops the run that is under way."""
        self.hardware.is_estop_engaged = is_engaged
        current = self._current()
        if is_engaged and current is not None and current.is_under_way:
            current.halt()

    async def close(self) -> None:
        """Switch the robot off."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._analyser.close()

    async def _conduct(self, run: Run) -> None:
        if run.protocol is not None:
            run.analysis = await self.protocols.analysis_for(run.protocol, run.parameters).completed()
        await self._conductor.conduct(run)

    def _current(self) -> Run | None:
        return next((run for run in self._runs.values() if run.is_current), None)

    def _dismiss(self, run: Run) -> None:
        if not run.has_ended:
            run.halt()
        run.is_current = False

    def _make_room(self) -> None:
        for run_id in list(self._runs)[: max(len(self._runs) + 1 - MAX_RUNS, 0)]:
            del self._runs[run_id]

    def _offset(self, offset: dict[str, Any]) -> dict[str, Any]:
        return {"id": str(uuid4()), "createdAt": self.now(), **offset}

    def _protocols_in_use(self) -> set[str]:
        return {run.protocol.id for run in self._runs.values() if run.protocol is not None}

    def _files_in_use(self) -> set[str]:
        analyses = [record.parameters for one in self.protocols.all() for record in one.analyses]
        runs = [run.parameters for run in self._runs.values()]
        return {one["file"]["id"] for parameters in (*analyses, *runs) for one in parameters if "file" in one}
