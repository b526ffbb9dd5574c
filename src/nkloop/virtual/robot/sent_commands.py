"""Single commands that a client sends over HTTP: setting a run up, mending one in recovery, maintenance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal
from uuid import uuid4

from nkloop.virtual.robot.durations import SECONDS, duration
from nkloop.virtual.robot.interfaces import Command, Execution
from nkloop.virtual.robot.occurrences import occurrence
from nkloop.virtual.robot.refusals import invalid_request

Intent = Literal["protocol", "setup", "fixit"]
COMMAND_TYPES = frozenset(
    {
        *SECONDS,
        *("aspirate", "aspirateInPlace", "dispense", "dispenseInPlace", "comment", "custom"),
        *("loadLabware", "loadModule", "loadPipette", "loadLiquid", "waitForDuration", "waitForResume", "pause"),
        *("heaterShaker/setTargetTemperature", "heaterShaker/deactivateHeater"),
        *("temperatureModule/setTargetTemperature", "temperatureModule/deactivate"),
    }
)


def check_command_type(command_type: str) -> None:
    """Refuse a command no robot knows.

    Raises:
        Refusal: 422 in the words of the real server.
    """
    if command_type not in COMMAND_TYPES:
        allowed = ", ".join(f"'{name}'" for name in sorted(COMMAND_TYPES))
        detail = f"No match for discriminator 'commandType' and value '{command_type}' (allowed values: {allowed})"
        raise invalid_request(detail, {"pointer": "/data"})


def execute(
    command_type: str,
    params: dict[str, Any],
    intent: Intent,
    execution: Execution,
    *,
    now: Callable[[], str],
    let_pass: Callable[[float], Any],
) -> Command:
    """Do one command at once and return it as the server tells it; `let_pass` lets its seconds of bench time pass."""
    began, identifier = now(), str(uuid4())
    result = _result(command_type)
    asked = {"id": identifier, "commandType": command_type, "params": params, "result": result}
    record: Command = {
        "id": identifier,
        "createdAt": began,
        "commandType": command_type,
        "key": identifier,
        "status": "succeeded",
        "params": params,
        "result": result,
        "startedAt": began,
        "intent": intent,
        "notes": [],
    }
    try:
        let_pass(duration(asked))
        execution.apply(asked)
    except Exception as error:  # noqa: BLE001 - the server tells what went wrong in the command itself
        record.update(status="failed", error=occurrence(type(error).__name__, str(error), now()))
        del record["result"]
    return {**record, "completedAt": now()}


def loaded_by(command: Command) -> tuple[str, dict[str, Any]] | None:
    """What a load command has put into a run: the list it belongs to and the entry, or None."""
    params, result = command["params"], command.get("result") or {}
    if command["commandType"] == "loadLabware" and result:
        uri = f"{params['namespace']}/{params['loadName']}/{params['version']}"
        entry = {"id": result["labwareId"], "loadName": params["loadName"], "definitionUri": uri}
        return "labware", {**entry, "location": params["location"]}
    if command["commandType"] == "loadPipette" and result:
        return "pipettes", {"id": result["pipetteId"], "pipetteName": params["pipetteName"], "mount": params["mount"]}
    return None


def _result(command_type: str) -> dict[str, Any]:
    made = {"loadLabware": "labwareId", "loadPipette": "pipetteId", "loadModule": "moduleId"}.get(command_type)
    return {made: str(uuid4())} if made else {}
