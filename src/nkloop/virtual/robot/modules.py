"""Modules of the robot: what they are and what they are doing."""

from __future__ import annotations

import hashlib
from typing import Any

from nkloop.virtual.robot.interfaces import Command
from nkloop.worklists.bench_deck import ModuleSpec

AMBIENT_C = 23.0
TYPES = {
    "heaterShakerModuleV1": "heaterShakerModuleType",
    "temperatureModuleV2": "temperatureModuleType",
    "absorbanceReaderV1": "absorbanceReaderType",
    "magneticBlockV1": "magneticBlockType",
    "thermocyclerModuleV2": "thermocyclerModuleType",
}
_HEATER_SHAKER: dict[str, Any] = {
    "status": "idle",
    "labwareLatchStatus": "idle_closed",
    "speedStatus": "idle",
    "currentSpeed": 0,
    "temperatureStatus": "idle",
    "currentTemperature": AMBIENT_C,
}
_TEMPERATURE: dict[str, Any] = {"status": "idle", "currentTemperature": AMBIENT_C}
_READER: dict[str, Any] = {"status": "idle", "lidStatus": "on", "platePresence": "absent"}


class Module:
    """One module with its live values. Temperatures are reached at once, as far as the answers show."""

    def __init__(self, spec: ModuleSpec, number: int) -> None:
        self.model = spec.load_name
        self.slot = spec.slot
        self.serial = spec.serial_number or f"{spec.load_name}-{number}"
        self.data: dict[str, Any] = dict(
            {"heaterShakerModuleV1": _HEATER_SHAKER, "absorbanceReaderV1": _READER}.get(spec.load_name, _TEMPERATURE)
        )

    def shown(self) -> dict[str, Any]:
        """The module as `/modules` lists it."""
        return {
            "id": hashlib.sha1(self.serial.encode(), usedforsecurity=False).hexdigest(),
            "serialNumber": self.serial,
            "firmwareVersion": "v1.0.0",
            "hardwareRevision": "virtual",
            "hasAvailableUpdate": False,
            "moduleType": TYPES[self.model],
            "moduleModel": self.model,
            "compatibleWithRobot": True,
            "data": self.data,
            "usbPort": {"port": 0, "portGroup": "unknown", "hub": False, "path": ""},
        }

    def apply(self, command: Command) -> None:
        """Follow a module command."""
        _, _, verb = command["commandType"].partition("/")
        params = command.get("params", {})
        if verb == "setTargetTemperature":
            self._hold(float(params["celsius"]))
        elif verb in {"deactivate", "deactivateHeater"}:
            self._hold(None)
        elif verb == "setAndWaitForShakeSpeed":
            self._shake(round(params["rpm"]))
        elif verb == "deactivateShaker":
            self._shake(0)
        elif verb in {"openLabwareLatch", "closeLabwareLatch"}:
            self.data = {**self.data, "labwareLatchStatus": f"idle_{'open' if verb.startswith('open') else 'closed'}"}

    def _hold(self, celsius: float | None) -> None:
        key = "temperatureStatus" if self.model == "heaterShakerModuleV1" else "status"
        state = "idle" if celsius is None else "holding at target"
        current = AMBIENT_C if celsius is None else celsius
        self.data = {**self.data, key: state, "currentTemperature": current, "targetTemperature": celsius}

    def _shake(self, rpm: int) -> None:
        state = "holding at target" if rpm else "idle"
        status = "running" if rpm else "idle"
        target = rpm or None
        self.data = {**self.data, "status": status, "speedStatus": state, "currentSpeed": rpm, "targetSpeed": target}
