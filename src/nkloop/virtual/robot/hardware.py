"""The robot as it is built: pipettes, modules, deck, door, emergency stop."""

from __future__ import annotations

from typing import Any

from nkloop.virtual.robot.deck import CUTOUTS, MODULE_FIXTURES, TRASH_FIXTURE, Fixture, area_name, plain_fixture
from nkloop.virtual.robot.interfaces import Command
from nkloop.virtual.robot.modules import Module
from nkloop.worklists.bench_deck import BenchDeck, PipetteSpec

PIPETTE_NAMES = {
    "flex_1channel_50": ("p50_single_flex", "p50_single_v3.6"),
    "flex_1channel_1000": ("p1000_single_flex", "p1000_single_v3.6"),
    "flex_8channel_50": ("p50_multi_flex", "p50_multi_v3.5"),
    "flex_8channel_1000": ("p1000_multi_flex", "p1000_multi_v3.5"),
    "flex_96channel_1000": ("p1000_96", "p1000_96_v3.5"),
}
"""API load name to the name and model the robot server tells (Opentrons shared data, pipette definitions)."""

HardwareFault = tuple[str, str]
"""Error type and detail of a command the hardware cannot do."""


class Hardware:
    """What is mounted and plugged in, from the deck of the bench file."""

    def __init__(self, deck: BenchDeck) -> None:
        self.pipettes = {pipette.mount: pipette for pipette in deck.pipettes}
        self.modules = [Module(spec, number) for number, spec in enumerate(deck.modules, start=1)]
        self.fixtures = _fixtures(deck, self.modules)
        self.fixtures_changed_at: str | None = None
        self.is_door_open = False
        self.is_estop_engaged = False

    def instruments(self) -> list[dict[str, Any]]:
        """The pipettes as `/instruments` lists them."""
        return [_instrument(self.pipettes[mount]) for mount in ("left", "right") if mount in self.pipettes]

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
        found = PIPETTE_NAMES[attached.load_name][0] if attached else "nothing"
        if found == name:
            return None
        return "FailedToLoadPipetteError", f"mount {mount}: {name} was requested, but {found} is attached"

    def _module_fault(self, model: str, slot: str) -> HardwareFault | None:
        if model in MODULE_FIXTURES and (fault := self._area_fault(area_name(model, slot), slot, model)):
            return fault
        if not any((module.model, module.slot) == (model, slot) for module in self.modules):
            return "ModuleNotAttachedError", f"No available {model} found."
        return None

    def _area_fault(self, area: str, slot: str, fixture_id: str) -> HardwareFault | None:
        mounted = {(fixture["cutoutId"], fixture["cutoutFixtureId"]) for fixture in self.fixtures}
        if (f"cutout{slot}", fixture_id) in mounted:
            return None
        return "AreaNotInDeckConfigurationError", f"{area} not provided by deck configuration."


def _fixtures(deck: BenchDeck, modules: list[Module]) -> list[Fixture]:
    fixtures = {cutout: plain_fixture(cutout) for cutout in CUTOUTS}
    fixtures[f"cutout{deck.trash_slot}"]["cutoutFixtureId"] = TRASH_FIXTURE
    for module in modules:
        if module.model in MODULE_FIXTURES:
            fixture = {"cutoutFixtureId": module.model, "opentronsModuleSerialNumber": module.serial}
            fixtures[f"cutout{module.slot}"] = {**fixtures[f"cutout{module.slot}"], **fixture}
    return list(fixtures.values())


def _instrument(pipette: PipetteSpec) -> dict[str, Any]:
    name, model = PIPETTE_NAMES[pipette.load_name]
    offset = {"offset": {"x": 0.0, "y": 0.0, "z": 0.0}, "source": "default", "reasonability_check_failures": []}
    return {
        "mount": pipette.mount,
        "instrumentType": "pipette",
        "instrumentModel": model,
        "serialNumber": f"virtual-{pipette.mount}",
        "subsystem": f"pipette_{pipette.mount}",
        "ok": True,
        "firmwareVersion": "1",
        "data": {
            "channels": pipette.channels,
            "min_volume": pipette.min_volume_ul,
            "max_volume": pipette.max_volume_ul,
            "calibratedOffset": offset,
        },
        "instrumentName": name,
        "state": {"tipDetected": False},
    }
