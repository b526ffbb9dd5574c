"""Runs of the past: what the robot's database still tells of them."""

from __future__ import annotations

from typing import Any

from nkloop.virtual.robot.interfaces import Command
from nkloop.virtual.robot.refusals import command_not_found

LOST = "There was no engine state data for this run."
_NOTHING: dict[str, Any] = {
    "errors": [],
    "hasEverEnteredErrorRecovery": False,
    "pipettes": [],
    "modules": [],
    "labware": [],
    "liquids": [],
    "labwareOffsets": [],
    "runTimeParameters": [],
    "outputFileIds": [],
}


class PastRun:
    """A run as its database row tells it.

    A run that was current when the power went off has a row without state: the server lists it as stopped, with
    `ok: false`, and knows none of its commands.
    """

    is_current = False
    is_under_way = False
    has_ended = True

    def __init__(self, row: dict[str, Any]) -> None:
        """`row` is what `Run.row` gives."""
        self._row = row
        self.id: str = row["id"]
        self.protocol_id: str | None = row.get("protocolId")
        self._state: dict[str, Any] | None = row.get("state")
        self.commands: list[Command] = row.get("commands") or []
        self.parameters: list[dict[str, Any]] = (self._state or {}).get("runTimeParameters") or []

    @property
    def status(self) -> str:
        """The status word of the robot server."""
        return str((self._state or {}).get("status", "stopped"))

    @property
    def output_file_ids(self) -> list[str]:
        """Ids of the files the run made."""
        return list((self._state or {}).get("outputFileIds") or ())

    @property
    def command_errors(self) -> list[dict[str, Any]]:
        """Errors of the commands that failed."""
        return [command["error"] for command in self.commands if "error" in command]

    def command(self, command_id: str) -> Command:
        """Look a command up.

        Raises:
            Refusal: there is none.
        """
        found = next((command for command in self.commands if command["id"] == command_id), None)
        if found is None:
            raise command_not_found(command_id)
        return found

    def shown(self) -> dict[str, Any]:
        """The run as `/runs` lists it."""
        if self._state is not None:
            return {**self._state, "current": False}
        known = {key: self._row.get(key) for key in ("id", "createdAt", "actions", "protocolId")}
        error = {"id": "RunDataError", "title": "Run Data Error", "detail": LOST, "errorCode": "4000"}
        return {**_NOTHING, **known, "ok": False, "dataError": error, "status": "stopped", "current": False}

    def row(self) -> dict[str, Any]:
        """The row itself."""
        return self._row
