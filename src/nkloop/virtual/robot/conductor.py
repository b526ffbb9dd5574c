"""Executes a run: replays the commands of its analysis on the physical world, at the robot's speed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Protocol
from uuid import uuid4

from nkloop.virtual.robot.durations import duration
from nkloop.virtual.robot.faults import FAILURES, Faults
from nkloop.virtual.robot.hardware import Hardware
from nkloop.virtual.robot.interfaces import Analysis, Command, Execution, PhysicalWorld
from nkloop.virtual.robot.occurrences import as_occurrence, command_failed, exception_in_protocol, occurrence
from nkloop.virtual.robot.recovery import note, reaction
from nkloop.virtual.robot.run import Halted, Run

COMMANDS_PER_BREATH = 10
"""At full speed, commands executed before the server answers requests that came meanwhile."""
SHORTEST_NAP = 0.005
"""Seconds of wall time below which waiting is put off, because a timer is no finer."""
PAUSES = frozenset({"waitForResume", "pause"})
MOVED_BY_HAND = "manualMoveWithPause"
"""How a labware is moved that a person moves; the run waits meanwhile."""


class Surroundings(Protocol):
    """What happens to a robot from outside while it works."""

    @property
    def may_recover(self) -> bool:
        """Whether a run waits for a person after a recoverable error."""

    def strike(self, fault: str) -> None:
        """Let a fault of the whole robot happen: power, server, door."""

    def output(self, run: Run, command: Command) -> dict[str, Any] | None:
        """Store what a plate reader measured; return the data of its result, None when the command measured nothing."""


class CommandFailed(Exception):
    """A command could not be executed; `error` is its own error, `run_error` ends the run."""

    def __init__(self, error: dict[str, Any], run_error: dict[str, Any]) -> None:
        super().__init__(run_error["detail"])
        self.error = error
        self.run_error = run_error


class Conductor:
    """Executes one run after the other."""

    def __init__(
        self,
        world: PhysicalWorld,
        hardware: Hardware,
        speed: float,
        now: Callable[[], str],
        *,
        faults: Faults,
        surroundings: Surroundings,
    ) -> None:
        """`speed` is bench seconds per wall second; 0 and infinity mean as fast as possible."""
        self._world = world
        self._hardware = hardware
        self._speed = math.inf if speed == 0 else speed
        self._now = now
        self._faults = faults
        self._surroundings = surroundings
        self._owed = 0.0
        self._n_executed = 0

    async def conduct(self, run: Run) -> None:
        """Execute the run to its end, which the run shows; raises nothing but cancellation."""
        try:
            analysis = await self._analysis(run)
            execution = self._world.begin_run(analysis)
            for command in analysis.commands:
                await run.go_ahead()
                await self._execute(run, execution, command)
            if analysis.errors:
                raise self._ends_with(as_occurrence(analysis.errors[0], self._now()))
            run.finishing()
            run.finish("succeeded")
        except Halted:
            run.finish("stopped")
        except CommandFailed as failure:
            run.finish("failed", failure.run_error)
        except Exception as error:  # noqa: BLE001 - a robot tells a fault in its answers, it does not vanish
            fault = occurrence(type(error).__name__, str(error), self._now())
            run.finish("failed", exception_in_protocol(fault))

    async def _analysis(self, run: Run) -> Analysis:
        await run.go_ahead()
        if run.analysis is None:
            raise self._ends_with(occurrence("ProtocolNotFound", "The run has no protocol.", self._now()))
        if run.analysis.errors and not run.analysis.commands:
            raise self._ends_with(as_occurrence(run.analysis.errors[0], self._now()))
        return run.analysis

    @staticmethod
    def _ends_with(error: dict[str, Any]) -> CommandFailed:
        return CommandFailed(error, error)

    async def _execute(self, run: Run, execution: Execution, planned: Command) -> None:
        record = self._begun(planned)
        run.add(record)
        try:
            if planned["commandType"] in PAUSES or planned.get("params", {}).get("strategy") == MOVED_BY_HAND:
                run.hold()
                await run.go_ahead()
            await self._take(run, duration(planned))
            struck = self._faults.strikes(run.analysis.commands if run.analysis else (), planned)
            self._check(planned, struck)
            self._act(run, execution, planned)
            measured = self._output(run, planned)
            if struck is not None:
                await self._strike(run, struck)
        except Halted:
            stopped = occurrence("RunStoppedError", "Run was cancelled", self._now())
            record.update(status="failed", error=stopped, completedAt=self._now(), notes=[])
            raise
        except CommandFailed as failure:
            await self._failed(run, record, failure)
            return
        record.update(status="succeeded", completedAt=self._now(), notes=planned.get("notes") or [])
        if "result" in planned:
            record["result"] = planned["result"]
        if measured is not None:
            record["result"] = measured

    async def _failed(self, run: Run, record: Command, failure: CommandFailed) -> None:
        """Note the failure and do what the recovery policy of the run says.

        Raises:
            CommandFailed: the run is over.
            Halted: somebody stopped it while it waited for a person.
        """
        may_recover = self._surroundings.may_recover
        chosen = reaction(run.recovery_rules, record, failure.error, may_recover=may_recover)
        record.update(status="failed", error=failure.error, completedAt=self._now(), notes=[note(chosen)])
        if chosen == "failRun":
            raise failure
        if chosen == "waitForRecovery":
            await run.recover(record)

    def _begun(self, planned: Command) -> Command:
        now = self._now()
        return {
            "id": str(uuid4()),
            "createdAt": now,
            "commandType": planned["commandType"],
            "key": planned.get("key") or planned["id"],
            "status": "running",
            "params": planned.get("params", {}),
            "startedAt": now,
        }

    def _check(self, planned: Command, struck: str | None) -> None:
        """Fail as the analysis foresaw, or because the hardware is not what the protocol needs."""
        if struck in FAILURES:
            raise self._failure(as_occurrence(FAILURES[struck], self._now()))
        if planned.get("status") == "failed":
            raise self._failure(as_occurrence(planned.get("error") or {}, self._now()))
        fault = self._hardware.fault(planned)
        if fault is not None:
            kind, detail, code = fault
            raise self._failure(occurrence(kind, detail, self._now(), code=code))

    def _act(self, run: Run, execution: Execution, planned: Command) -> None:
        try:
            execution.apply(planned)
        except Exception as error:  # whatever a world does with a command, on a robot it is a failed command
            raise self._failure(occurrence(type(error).__name__, str(error), self._now())) from error
        self._note_modules(run, planned)

    def _output(self, run: Run, planned: Command) -> dict[str, Any] | None:
        try:
            return self._surroundings.output(run, planned)
        except Exception as error:  # as above
            raise self._failure(occurrence(type(error).__name__, str(error), self._now())) from error

    async def _strike(self, run: Run, fault: str) -> None:
        """Let a fault happen after the command has acted."""
        if fault == "never_finishes":
            await run.spend(math.inf)
        self._surroundings.strike(fault)
        # Whatever happened to the robot as a whole takes this task with it.
        await asyncio.sleep(0)

    def _note_modules(self, run: Run, planned: Command) -> None:
        if planned["commandType"] == "loadModule" and (module := self._hardware.module_for(planned)):
            run.serials[planned["result"]["moduleId"]] = module.serial
        serial = run.serials.get(planned.get("params", {}).get("moduleId", ""))
        for module in self._hardware.modules:
            if module.serial == serial:
                module.apply(planned)

    @staticmethod
    def _failure(error: dict[str, Any]) -> CommandFailed:
        return CommandFailed(error, command_failed(error))

    async def _take(self, run: Run, seconds: float) -> None:
        """Let `seconds` of bench time pass, in wall time as the speed says."""
        self._n_executed += 1
        self._owed += seconds / self._speed
        if self._owed > SHORTEST_NAP:
            owed, self._owed = self._owed, 0.0
            await run.spend(owed)
        elif self._n_executed % COMMANDS_PER_BREATH == 0:
            await asyncio.sleep(0)
            await run.go_ahead()
        if seconds:
            self._world.clock.advance(seconds)
