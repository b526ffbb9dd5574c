"""The virtual robot: everything the routes ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nkloop.virtual.robot.analyses import Analyser, EmptyAnalysis
from nkloop.virtual.robot.answers import stamp
from nkloop.virtual.robot.compliance import Compliance
from nkloop.virtual.robot.conductor import Conductor
from nkloop.virtual.robot.data_files import DataFiles
from nkloop.virtual.robot.faults import CLOCK_ERROR, Faults
from nkloop.virtual.robot.hardware import Hardware
from nkloop.virtual.robot.interfaces import Analyse, Command, Execution, MeasuresPlates, PhysicalWorld
from nkloop.virtual.robot.maintenance import MaintenanceRun
from nkloop.virtual.robot.memory import Memory
from nkloop.virtual.robot.parameters import ParameterError
from nkloop.virtual.robot.protocols import Protocols
from nkloop.virtual.robot.reader_files import reader_csv
from nkloop.virtual.robot.refusals import commands_not_allowed, not_on_ot2, unexpected
from nkloop.virtual.robot.run import ActionType, Run
from nkloop.virtual.robot.runs import Runs
from nkloop.virtual.robot.sent_commands import Intent, execute, loaded_by
from nkloop.worklists.bench_deck import BenchDeck

NO_COMMANDS = EmptyAnalysis("ok", ())
RESTART_SECONDS = 0.3
"""How long the server is away when it restarts, in wall time; a real one takes about a minute."""


class VirtualRobot:
    """An Opentrons Flex or OT-2 without the metal. What it is to know after a loss of power is in `memory`."""

    def __init__(
        self,
        world: PhysicalWorld,
        deck: BenchDeck,
        analyse: Analyse,
        *,
        folder: Path,
        speed: float = 0.0,
        name: str = "virtual-flex",
        memory: Path | None = None,
        faults: Iterable[str] = (),
        compliance: Compliance | None = None,
        serial: str = "virtual",
    ) -> None:
        """Switch it on.

        Args:
            world: where liquids really are.
            deck: pipettes, modules and trash of the bench file; its model decides which robot this is.
            analyse: analyses protocols.
            folder: takes the uploaded protocols.
            speed: bench seconds per wall second, 0 as fast as possible.
            name: what the robot calls itself.
            memory: database file; another robot built on it later knows what a real one would after a loss of power.
            faults: names of faults that shall happen.
            compliance: accounts, when the robot asks for them.
            serial: its serial number.

        Raises:
            BenchError: a name is no fault.
        """
        self.name = name
        self.serial = serial
        self.faults = Faults(faults)
        self.hardware = Hardware(deck)
        self.model = self.hardware.model
        self.compliance = compliance
        self.is_on = True
        self.on_power_loss: Callable[[], None] | None = None
        """What a loss of power does to the process; without it the robot only stops answering."""
        self._world = world
        self._analyse = analyse
        self._folder = folder
        self._speed = speed
        self._memory = Memory(memory if memory is not None or "restarts" not in self.faults else Path(":memory:"))
        self._clock_error = CLOCK_ERROR if "clock_wrong" in self.faults else timedelta(0)
        self._later: set[asyncio.Task[None]] = set()
        self._boot()
        if "wrong_pipette" in self.faults:
            self.hardware.swap_a_pipette()
        if "runs_another_persons_protocol" in self.faults:
            self.runs.add(None, [], []).act("play")

    def _boot(self) -> None:
        """Start the server: what it held in memory is gone, its database tells the rest."""
        self.files = DataFiles(self.now, self._files_in_use, self._memory)
        self._analyser = Analyser(self._analyse, self.files, self._folder, self.now, self.model.robot_type)
        self.protocols = Protocols(
            self._analyser, self.files, self.now, self._protocols_in_use, self._memory, self.model
        )
        self.runs = Runs(self._memory, lambda: self.files, self.now)
        self.runs.must_be_signed = self.compliance is not None
        self._conductor = Conductor(
            self._world, self.hardware, self._speed, self.now, faults=self.faults, surroundings=self
        )
        settings = self._memory.recall("setting")
        self.is_error_recovery_enabled = bool(settings[-1]["enabled"]) if settings else True
        self.client_data: dict[str, dict[str, Any]] = {}
        self.maintenance: MaintenanceRun | None = None
        self._hands: dict[str, Execution] = {}

    def now(self) -> str:
        """Bench time as the robot writes it."""
        return stamp(self._world.clock.now() + self._clock_error)

    def system_time(self) -> str:
        """The clock of the robot's computer: that of this computer, wrong where it is to be wrong."""
        return stamp(datetime.now(UTC) + self._clock_error)

    # runs

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
        self.runs.make_way()
        try:
            parameters = self.protocols.parameters(protocol, values, files) if protocol else []
        except ParameterError as error:
            self.runs.leave_phantom()
            raise unexpected(error.kind, f"opentrons.protocols.parameters.exceptions.{error.kind}: {error}") from error
        if self.faults.take("answers_500"):
            self.runs.leave_phantom()
            raise unexpected("OperationalError", "database is locked")
        run = self.runs.add(protocol, parameters, offsets)
        run.door_changed(self.hardware.is_door_open)
        return run

    def act(self, run_id: str, action: ActionType) -> dict[str, str]:
        """Play, pause, stop or resume the current run.

        Raises:
            Refusal: unknown run, not the current one, or an action its status does not allow.
        """
        run = self.runs.under_control(run_id)
        told = run.act(action)
        self.runs.keep(run)
        if action == "play" and run.task is None:
            run.task = asyncio.create_task(self._conduct(run))
        return told

    async def _conduct(self, run: Run) -> None:
        if run.protocol is not None:
            run.analysis = await self.protocols.analysis_for(run.protocol, run.parameters).completed()
        await self._conductor.conduct(run)

    # single commands

    def send_to_run(
        self,
        run_id: str,
        command_type: str,
        params: dict[str, Any],
        intent: Intent,
        failed_command_id: str | None = None,
    ) -> Command:
        """Do one command in the current run: to set it up before it starts, or to mend a failed one in recovery.

        Raises:
            Refusal: unknown run, not the current one, or a fixit command outside of recovery.
        """
        run = self.runs.under_control(run_id)
        if intent == "fixit":
            run.require_recovery()
        elif run.is_under_way or run.has_ended:
            raise commands_not_allowed("Setup commands are not allowed after the run has started.")
        command = self._do(run_id, command_type, params, intent)
        if failed_command_id is not None:
            command["failedCommandId"] = failed_command_id
        run.add(command)
        entry = loaded_by(command)
        if entry is not None:
            run.set_up[entry[0]].append(entry[1])
        return command

    def send(self, owner: str, command_type: str, params: dict[str, Any]) -> Command:
        """Do one command outside of runs: stateless, or in the maintenance run with the id `owner`."""
        return self._do(owner, command_type, params, "setup")

    def _do(self, owner: str, command_type: str, params: dict[str, Any], intent: Intent) -> Command:
        if owner not in self._hands:
            run = self.runs.current()
            self._hands[owner] = self._world.begin_run(
                run.analysis if run is not None and run.id == owner and run.analysis else NO_COMMANDS
            )
        return execute(
            command_type,
            params,
            intent,
            self._hands[owner],
            now=self.now,
            let_pass=self._world.clock.advance,
        )

    # what happens to the robot from outside

    @property
    def may_recover(self) -> bool:
        """Whether a run waits for a person after a recoverable error; an OT-2 never does."""
        return self.is_error_recovery_enabled and self.model.is_flex

    def enable_error_recovery(self, enabled: bool) -> None:
        """Switch error recovery for the runs to come."""
        self.is_error_recovery_enabled = enabled
        self._memory.keep("setting", "errorRecovery", {"enabled": enabled})

    def set_door(self, is_open: bool) -> None:
        """Open or close the front door; on an OT-2 it holds nothing."""
        self.hardware.is_door_open = is_open
        current = self.runs.current()
        if current is not None and self.model.is_flex:
            current.door_changed(is_open)

    def set_estop(self, is_engaged: bool) -> None:
        """Press or release the emergency stop; pressing it stops the run that is under way.

        Raises:
            Refusal: an OT-2 has none.
        """
        if not self.model.is_flex:
            raise not_on_ot2()
        self.hardware.is_estop_engaged = is_engaged
        current = self.runs.current()
        if is_engaged and current is not None and current.is_under_way:
            current.halt()

    def strike(self, fault: str) -> None:
        """Let a fault of the whole robot happen."""
        if fault == "opens_door":
            self.set_door(True)
        elif fault == "restarts":
            self.cut_power()
            task = asyncio.get_running_loop().create_task(self._come_back())
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        elif fault == "loses_power_mid_step":
            self.cut_power()
            if self.on_power_loss is not None:
                self.on_power_loss()

    def cut_power(self) -> None:
        """Everything stops where it is, tips stay on and full; nothing answers any more."""
        self.is_on = False
        for run in self.runs.all():
            if isinstance(run, Run) and run.task is not None:
                run.task.cancel()

    def switch_on(self) -> None:
        """Start the server again with what its database tells."""
        self._boot()
        self.is_on = True

    async def _come_back(self) -> None:
        await asyncio.sleep(RESTART_SECONDS)
        self.switch_on()

    def output(self, run: Run, command: Command) -> dict[str, Any] | None:
        """Store what a plate reader measured as one CSV file per wavelength, and tell their ids in the result."""
        params, result = command.get("params", {}), command.get("result") or {}
        if command["commandType"] != "absorbanceReader/read" or not params.get("fileName"):
            return None
        if isinstance(self._world, MeasuresPlates):  # an analysis knows no plate and gives zeros
            result = {**result, "data": self._world.measure(_wavelengths(run))}
        serial, at = run.serials.get(params["moduleId"], ""), self._world.clock.now() + self._clock_error
        made = []
        for wavelength, values in (result.get("data") or {}).items():
            content = reader_csv(values, int(wavelength), serial, at).encode()
            made.append(self.files.generate(f"{params['fileName']}{wavelength}nm.csv", content).id)
        run.output_file_ids.extend(made)
        return {**result, "fileIds": made}

    async def close(self) -> None:
        """Switch the robot off."""
        tasks = [run.task for run in self.runs.all() if isinstance(run, Run) and run.task is not None]
        tasks += list(self._later)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._analyser.close()
        self._memory.close()

    def _protocols_in_use(self) -> set[str]:
        return {run.protocol_id for run in self.runs.all() if run.protocol_id is not None}

    def _files_in_use(self) -> set[str]:
        analyses = [record.parameters for one in self.protocols.all() for record in one.analyses]
        runs = [run.parameters for run in self.runs.all()]
        made = {file_id for run in self.runs.all() for file_id in run.output_file_ids}
        return made | {one["file"]["id"] for parameters in (*analyses, *runs) for one in parameters if "file" in one}


def _wavelengths(run: Run) -> list[int]:
    """What the reader was last initialised for."""
    asked = [one["params"] for one in run.commands if one["commandType"] == "absorbanceReader/initialize"]
    return [int(one) for one in asked[-1]["sampleWavelengths"]] if asked else []
