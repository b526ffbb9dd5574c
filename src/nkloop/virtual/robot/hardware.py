"""The robot as it is built: pipettes, modules, deck, door, emergency stop."""

from __future__ import annotations

from typing import Any

from nkloop.virtual.robot.deck import (
    CUTOUTS,
    MODULE_FIXTURES,
    TRASH_FIXTURE,
    Fixture,
    area_name,
    ot2_fixtures,
    plain_fixture,
)
from nkloop.virtual.robot.interfaces import Command
from nkloop.virtual.robot.models import MODELS, PIPETTES
from nkloop.virtual.robot.modules import Module
from nkloop.worklists.bench_deck import BenchDeck, PipetteSpec

HardwareFault = tuple[str, str, str]
"""Error type, detail and code of a command the hardware cannot do."""
OT2_OTHERS = ("p20_single_gen2", "p1000_single_gen2")
CALIBRATED_AT = "2026-01-02T09:00:00+00:00"
"""When somebody calibrated the pipettes of the virtual robot."""

_GRIPPER: dict[str, Any] = {
    "mount": "extension",
    "instrumentType": "gripper",
    "instrumentModel": "gripperV1.3",
    "serialNumber": "virtual-gripper",
    "subsystem": "gripper",
    "ok": True,
    "data": {"jawState": "homed_ready"},
}
"""A robot whose reader has a lid has a gripper to move it."""


class Hardware:
    """What is mounted and plugged in, from the deck of the bench file."""

    def __init__(self, deck: BenchDeck) -> None:
        self.model = MODELS[deck.model]
        self.pipettes = {pipette.mount: pipette for pipette in deck.pipettes}
        self.modules = [Module(spec, number) for number, spec in enumerate(deck.modules, start=1)]
        self.fixtures = _fixtures(deck, self.modules) if self.model.is_flex else ot2_fixtures()
        self.calibrated_at: str | None = CALIBRATED_AT
        """None when nobody ever calibrated the pipettes."""
        self.fixtures_changed_at: str | None = None
        self.is_door_open = False
        self.is_estop_engaged = False

    def instruments(self) -> list[dict[str, Any]]:
        """The pipettes as `/instruments` lists them; an OT-2 keeps their calibration elsewhere."""
        found = [self.pipettes[mount] for mount in ("left", "right") if mount in self.pipettes]
        if not self.model.is_flex:
            return [_common(pipette) for pipette in found]
        grippers = [_GRIPPER] if any(module.model == "absorbanceReaderV1" for module in self.modules) else []
        return [*(_on_flex(pipette, self.calibrated_at) for pipette in found), *grippers]

    def pipette_offsets(self) -> list[dict[str, Any]]:
        """The pipette calibrations as an OT-2 lists them under `/calibration/pipette_offset`."""
        if self.model.is_flex or self.calibrated_at is None:
            return []
        return [_offset(pipette, self.calibrated_at) for pipette in self.pipettes.values()]

    def swap_a_pipette(self) -> None:
        """Put another pipette on the first mount than the bench file says."""
        mount, spec = next(iter(self.pipettes.items()))
        others = ("flex_1channel_50", "flex_1channel_1000") if self.model.is_flex else OT2_OTHERS
        load_name = next(name for name in others if name != spec.load_name)
        self.pipettes[mount] = spec.model_copy(update={"load_name": load_name, "channels": 1})

    def fault(self, command: Command) -> HardwareFault | None:
        """What is missing for this command, or None."""
        params = command.get("params", {})
        kind = command["commandType"]
        if kind == "loadPipette":
            return self._pipette_fault(params["mount"], params["pipetteName"])
        if kind == "loadModule":
            return self._module_fault(params["model"], params["location"]["slotName"])
        area = str(params.get("addressableAreaName", ""))
        if area.startswith("movableTrash"):
            return self._area_fault(area, area.removeprefix("movableTrash"), TRASH_FIXTURE)
        return None

    def module_for(self, command: Command) -> Module | None:
        """The module a `loadModule` command gets."""
        params = command["params"]
        wanted = (params["model"], params["location"]["slotName"])
        return next((module for module in self.modules if (module.model, module.slot) == wanted), None)

    def _pipette_fault(self, mount: str, name: str) -> HardwareFault | None:
        attached = self.pipettes.get(mount)  # type: ignore[call-overload]
        found, model = PIPETTES[attached.load_name] if attached else ("nothing", "None")
        if found == name:
            return None
        detail = f"mount {mount.upper()}: expected instrument {name} but got {model}"
        return "FailedToLoadPipetteError", detail, "3010"

    def _module_fault(self, model: str, slot: str) -> HardwareFault | None:
        if (
            self.model.is_flex
            and model in MODULE_FIXTURES
            and (fault := self._area_fault(area_name(model, slot), slot, model))
        ):
            return fault
        if not any((module.model, module.slot) == (model, slot) for module in self.modules):
            return "ModuleNotAttachedError", f"No available {model} found.", "3020"
        return None

    def _area_fault(self, area: str, slot: str, fixture_id: str) -> HardwareFault | None:
        mounted = {(fixture["cutoutId"], fixture["cutoutFixtureId"]) for fixture in self.fixtures}
        if (f"cutout{slot}", fixture_id) in mounted:
            return None
        return "AreaNotInDeckConfigurationError", f"{area} not provided by deck configuration.", "4000"


def _fixtures(deck: BenchDeck, modules: list[Module]) -> list[Fixture]:
    fixtures = {cutout: plain_fixture(cutout) for cutout in CUTOUTS}
    fixtures[f"cutout{deck.trash_slot}"]["cutoutFixtureId"] = TRASH_FIXTURE
    for module in modules:
        if module.model in MODULE_FIXTURES:
            fixture = {"cutoutFixtureId": module.model, "opentronsModuleSerialNumber": module.serial}
            fixtures[f"cutout{module.slot}"] = {**fixtures[f"cutout{module.slot}"], **fixture}
    return list(fixtures.values())


def _common(pipette: PipetteSpec) -> dict[str, Any]:
    name, model = PIPETTES[pipette.load_name]
    return {
        "mount": pipette.mount,
        "instrumentType": "pipette",
        "instrumentModel": model,
        "serialNumber": serial_of(pipette),
        "subsystem": f"pipette_{pipette.mount}",
        "ok": True,
        "data": {
            "channels": pipette.channels,
            "min_volume": pipette.min_volume_ul,
            "max_volume": pipette.max_volume_ul,
        },
        "instrumentName": name,
    }


def serial_of(pipette: PipetteSpec) -> str:
    """Serial number of a pipette of the virtual robot."""
    return f"virtual-{pipette.mount}"


def _on_flex(pipette: PipetteSpec, calibrated_at: str | None) -> dict[str, Any]:
    common = _common(pipette)
    calibration: dict[str, Any] = {
        "offset": {"x": 0.0, "y": 0.0, "z": 0.0},
        "source": "user" if calibrated_at else "default",
        "last_modified": calibrated_at,
        "reasonability_check_failures": [],
    }
    data = {**common["data"], "calibratedOffset": calibration}
    return {**common, "firmwareVersion": "1", "data": data, "state": {"tipDetected": False}}


def _offset(pipette: PipetteSpec, calibrated_at: str) -> dict[str, Any]:
    serial = serial_of(pipette)
    return {
        "id": f"{serial}&{pipette.mount}",
        "pipette": serial,
        "mount": pipette.mount,
        "offset": [0.0, 0.0, 0.0],
        "tiprack": "virtual",
        "tiprackUri": "opentrons/opentrons_96_tiprack_300ul/1",
        "lastModified": calibrated_at,
        "source": "user",
        "status": {"markedBad": False},
    }
