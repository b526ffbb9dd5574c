"""One run: its status, its commands so far, what it has loaded, and what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal
from uuid import uuid4

from nkloop.virtual.robot.interfaces import Analysis, Command
from nkloop.virtual.robot.parameters import Parameter
from nkloop.virtual.robot.protocols import ProtocolRecord
from nkloop.virtual.robot.refusals import action_not_allowed, command_not_found, fixit_not_allowed

ActionType = Literal["play", "pause", "stop", "resume-from-recovery", "resume-from-recovery-assuming-false-positive"]
EndStatus = Literal["stopped", "failed", "succeeded"]
MULTI_NOZZLES = [f"{row}1" for row in "ABCDEFGH"]


class Halted(Exception):
    """The run was asked to stop."""


class Run:
    """A run. It waits (`queue` setup), works (running) or is held (paused) until it has an `end`."""

    def __init__(
        self,
        protocol: ProtocolRecord | None,
        parameters: list[Parameter],
        offsets: list[dict[str, Any]],
        now: Callable[[], str],
    ) -> None:
        self.id = str(uuid4())
        self.protocol = protocol
        self.parameters = parameters
        self.offsets = offsets
        self.created_at = now()
        self.is_current = True
        self.started_at: str | None = None
        self.completed_at: str | None = None
        self.actions: list[dict[str, str]] = []
        self.commands: list[Command] = []
        self.errors: list[dict[str, Any]] = []
        self.analysis: Analysis | None = None
        self.task: asyncio.Task[None] | None = None
        self.serials: dict[str, str] = {}
        """Module id to serial number of the module it got."""
        self.recovery_rules: list[dict[str, Any]] = []
        self.recovers_from: Command | None = None
        """The failed command a person is to recover from."""
        self.has_recovered = False
        self.output_file_ids: list[str] = []
        self.signed_by: str | None = None
        self.set_up: dict[str, list[dict[str, Any]]] = {"labware": [], "pipettes": [], "modules": [], "liquids": []}
        """What commands sent over HTTP have loaded."""
        self._now = now
        self._queue: Literal["setup", "running", "paused"] = "setup"
        self._end: EndStatus | None = None
        self._is_door_blocking = False
        self._is_finishing = False
        self._may_go = asyncio.Event()
        self._halt = asyncio.Event()
        self._places: dict[str, int] = {}

    @property
    def status(self) -> str:
        """The status word of the robot server."""
        if self._end is not None:
            return self._end
        if self._halt.is_set():
            return "stop-requested"
        if self._is_finishing:
            return "finishing"
        if self.recovers_from is not None:
            held = {"paused": "-blocked-by-open-door" if self._is_door_blocking else "-paused"}
            return f"awaiting-recovery{held.get(self._queue, '')}"
        if self._queue == "paused":
            return "blocked-by-open-door" if self._is_door_blocking else "paused"
        return {"setup": "idle", "running": "running"}[self._queue]

    @property
    def protocol_id(self) -> str | None:
        """Id of its protocol, or None for a run that only takes commands over HTTP."""
        return self.protocol.id if self.protocol else None

    @property
    def has_ended(self) -> bool:
        """True once nothing more can happen."""
        return self._end is not None

    @property
    def is_under_way(self) -> bool:
        """True between the first play and the end."""
        return self._end is None and self._queue != "setup"

    def act(self, action: ActionType) -> dict[str, str]:
        """Accept an action and follow it.

        Raises:
            Refusal: the status does not allow it.
        """
        self._check(action)
        told = {"id": str(uuid4()), "createdAt": self._now(), "actionType": action}
        self.actions.append(told)
        if action == "play":
            self._play()
        elif action == "pause":
            self.hold()
        elif action == "stop":
            self.halt()
        elif action.startswith("resume-from-recovery"):
            self._recovered()
        return told

    def hold(self) -> None:
        """Pause after the command that is being executed."""
        if self._halt.is_set():
            return
        self._queue = "paused"
        self._may_go.clear()

    def halt(self) -> None:
        """Ask the run to stop; one that never started has stopped with this."""
        self._halt.set()
        self._may_go.set()
        if self.task is None:
            self.finish("stopped")

    async def recover(self, command: Command) -> None:
        """Return when a person has recovered from the failure of a command.

        Raises:
            Halted: the run was asked to stop.
        """
        self.recovers_from, self.has_recovered = command, True
        self._may_go.clear()
        await self.go_ahead()

    def require_recovery(self) -> None:
        """Refuse a fixit command outside of error recovery.

        Raises:
            Refusal: the run does not wait for a person to recover from an error.
        """
        if self.recovers_from is None or self._halt.is_set() or self.has_ended:
            raise fixit_not_allowed()

    def door_changed(self, is_open: bool) -> None:
        """An open door holds a run that is under way; closing it leaves the run paused."""
        self._is_door_blocking = is_open
        if is_open and self.is_under_way:
            self.hold()

    def finishing(self) -> None:
        """The last command is done."""
        self._is_finishing = True

    def finish(self, end: EndStatus, error: dict[str, Any] | None = None) -> None:
        """End the run."""
        self.errors = [error] if error else self.errors
        self.completed_at = self._now()
        self._end = end

    async def go_ahead(self) -> None:
        """Return when the next command may be executed.

        Raises:
            Halted: the run was asked to stop.
        """
        await self._may_go.wait()
        if self._halt.is_set():
            raise Halted

    async def spend(self, seconds: float) -> None:
        """Let wall time pass.

        Raises:
            Halted: the run was asked to stop meanwhile.
        """
        try:
            await asyncio.wait_for(self._halt.wait(), seconds)
        except TimeoutError:
            return
        raise Halted

    def add(self, command: Command) -> None:
        """Append a command that begins."""
        self._places[command["id"]] = len(self.commands)
        self.commands.append(command)

    def command(self, command_id: str) -> Command:
        """Look a command up.

        Raises:
            Refusal: there is none.
        """
        if command_id not in self._places:
            raise command_not_found(command_id)
        return self.commands[self._places[command_id]]

    @property
    def command_errors(self) -> list[dict[str, Any]]:
        """Errors of the commands that failed."""
        return [command["error"] for command in self.commands if "error" in command]

    def loaded(self, what: Literal["labware", "pipettes", "modules", "liquids"]) -> list[dict[str, Any]]:
        """What the commands so far have loaded."""
        if self.analysis is None:
            return self.set_up[what]
        if what == "liquids":
            used = {command["params"].get("liquidId") for command in self.commands}
            return [liquid for liquid in self.analysis.liquids if liquid["id"] in used]
        key = {"labware": "labwareId", "pipettes": "pipetteId", "modules": "moduleId"}[what]
        loads = [one for one in self.commands if one["commandType"].startswith("load")]
        ids = {(one.get("result") or {}).get(key) for one in loads}
        found = [item for item in getattr(self.analysis, what) if item["id"] in ids]
        return [{**item, "serialNumber": self.serials[item["id"]]} for item in found] if what == "modules" else found

    def shown(self) -> dict[str, Any]:
        """The run as `/runs` lists it."""
        return {
            "id": self.id,
            "ok": True,
            "createdAt": self.created_at,
            "status": self.status,
            "current": self.is_current,
            "actions": self.actions,
            "errors": self.errors,
            "hasEverEnteredErrorRecovery": self.has_recovered,
            "pipettes": self.loaded("pipettes"),
            "modules": self.loaded("modules"),
            "labware": self.loaded("labware"),
            "liquids": self.loaded("liquids"),
            "labwareOffsets": self.offsets,
            "runTimeParameters": self.parameters,
            "outputFileIds": self.output_file_ids,
            "protocolId": self.protocol_id,
            "completedAt": self.completed_at,
            "startedAt": self.started_at,
            "signedBy": self.signed_by,
        }

    def row(self) -> dict[str, Any]:
        """The run as the robot's database keeps it: state and commands only once it is no longer the current run."""
        row = {
            "id": self.id, "createdAt": self.created_at, "protocolId": self.protocol_id, "actions": self.actions,
        }  # fmt: skip
        return row if self.is_current else {**row, "state": self.shown(), "commands": self.commands}

    def nozzle_layouts(self) -> dict[str, Any]:
        """Nozzles in use per pipette."""
        layouts = {}
        for pipette in self.loaded("pipettes"):
            nozzles = MULTI_NOZZLES if "multi" in pipette["pipetteName"] else ["A1"]
            layouts[pipette["id"]] = {"startingNozzle": "A1", "activeNozzles": nozzles, "config": "full"}
        return layouts

    def _play(self) -> None:
        if self._is_door_blocking:
            self._queue = "paused"
            return
        self._queue = "running"
        self.started_at = self.started_at or self._now()
        if self.recovers_from is None:
            self._may_go.set()

    def _recovered(self) -> None:
        self.recovers_from = None
        self._may_go.set()

    def _check(self, action: ActionType) -> None:
        if self.has_ended:
            raise action_not_allowed("RunStoppedError", "The run has already stopped.")
        if action == "play" and self.status.endswith("blocked-by-open-door"):
            raise action_not_allowed("RobotDoorOpenError", "Front door or top window is currently open.")
        if action == "pause" and self.status != "running":
            raise action_not_allowed("PauseNotAllowedError", "Cannot pause a run that is not running.")
        if action.startswith("resume-from-recovery") and self.status != "awaiting-recovery":
            raise action_not_allowed("ResumeFromRecoveryNotAllowedError", "Cannot resume: not in error recovery.")
