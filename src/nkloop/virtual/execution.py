"""One robot run as it happens physically: commands in Opentrons shape move real liquid between real wells."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nkloop.errors import DeviceError, LabwareError
from nkloop.virtual.containers import Container, Contents, Incident
from nkloop.virtual.pipetting import CELL_SAMPLING_CV, Pipette, Tip, pour
from nkloop.worklists.analysis_check import active_nozzles

if TYPE_CHECKING:
    from nkloop.virtual.world import World

_STEP = re.compile(r"step (\d+)\b")
_SHORT_SHARE = 0.98
"""Drawing less than this part of the true volume counts as drawing air."""
OFF_DECK = "off deck"


class Execution:
    """A run. `apply` does not move the clock; whoever plays the commands does."""

    def __init__(self, world: World, commands: list[dict[str, Any]], number: int) -> None:
        self._world = world
        self._random = world.random("pipetting", number)
        self._labware: dict[str, tuple[str, str]] = {}
        self._modules: dict[str, str] = {}
        self._pipettes: dict[str, Pipette] = {}
        self._phantoms: dict[str, Container] = {}
        self._told: set[str] = set()
        self.step: int | None = None
        """Worklist step under way, as the last comment or pause said."""
        self._acts: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
            "loadModule": self._load_module,
            "loadLabware": self._load_labware,
            "loadPipette": self._load_pipette,
            "configureNozzleLayout": self._nozzles,
            "moveLabware": self._move_labware,
            "comment": self._note,
            "waitForResume": self._note,
            "pause": self._note,
            "pickUpTip": self._pick_up,
            "dropTip": self._drop,
            "dropTipInPlace": self._drop,
            "moveToWell": self._go,
            "moveToAddressableArea": self._go_away,
            "moveToAddressableAreaForDropTip": self._go_away,
            "aspirate": self._aspirate,
            "aspirateInPlace": self._aspirate,
            "dispense": self._dispense,
            "dispenseInPlace": self._dispense,
            "blowout": self._blow_out,
            "blowOutInPlace": self._blow_out,
            "heaterShaker/setAndWaitForShakeSpeed": self._shake,
            "heaterShaker/setTargetTemperature": self._heat,
            "temperatureModule/setTargetTemperature": self._heat,
        }
        for command in commands:
            if command.get("commandType") in {"loadModule", "loadLabware", "loadPipette"} and command.get("result"):
                self.apply(command)

    def acts_on(self, command: dict[str, Any]) -> bool:
        """True for a command that has a physical effect or announces a step."""
        return command["commandType"] in self._acts

    def apply(self, command: dict[str, Any]) -> None:
        """Do physically what one command says; commands without physical effect do nothing.

        Raises:
            DeviceError: the command names a labware, pipette or well that was never loaded.
        """
        act = self._acts.get(command["commandType"])
        if act is not None:
            act(command.get("params") or {}, command.get("result") or {})

    def touched(self, params: dict[str, Any]) -> tuple[tuple[Container, str], ...]:
        """Container and well under every channel that has a tip, for the parameters of a command that moves liquid."""
        pipette = self._pipette(params)
        if not pipette.tips or ("labwareId" not in params and pipette.at is None):
            return ()
        return tuple((container, well) for _, container, well in self._reach(pipette, params))

    # what stands where

    def _load_module(self, params: dict[str, Any], result: dict[str, Any]) -> None:
        if "moduleId" in result:
            self._modules[result["moduleId"]] = params["location"]["slotName"]

    def _load_labware(self, params: dict[str, Any], result: dict[str, Any]) -> None:
        if "labwareId" in result:
            self._labware[result["labwareId"]] = (self._slot(params["location"]), params["loadName"])

    def _load_pipette(self, params: dict[str, Any], result: dict[str, Any]) -> None:
        if result.get("pipetteId") and result["pipetteId"] not in self._pipettes:
            self._pipettes[result["pipetteId"]] = self._world.pipette(params["mount"], params["pipetteName"])

    def _nozzles(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        pipette = self._pipette(params)
        number = active_nozzles(params, pipette.channels)
        pipette.active = number if number < pipette.channels else 0

    def _move_labware(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        labware = params["labwareId"]
        old, load_name = self._known(labware)
        new = self._slot(params["newLocation"])
        self._labware[labware] = (new, load_name)
        self._world.shift(old, new)

    def _slot(self, location: Any) -> str:
        if not isinstance(location, dict):
            return OFF_DECK
        if "slotName" in location:
            return str(location["slotName"])
        if "addressableAreaName" in location:
            return str(location["addressableAreaName"])
        if "moduleId" in location:
            return self._modules.get(location["moduleId"], OFF_DECK)
        return self._known(location["labwareId"])[0] if "labwareId" in location else OFF_DECK

    def _known(self, labware_id: str) -> tuple[str, str]:
        if labware_id not in self._labware:
            raise DeviceError(f"labware {labware_id} was never loaded", where=self._where())
        return self._labware[labware_id]

    def _container(self, labware_id: str) -> Container:
        """What physically stands where the robot believes the labware to be."""
        slot, load_name = self._known(labware_id)
        real = self._world.deck.get(slot)
        if real is None:
            if labware_id not in self._phantoms:
                self._phantoms[labware_id] = self._world.phantom(slot, load_name)
                self._tell("wrong_labware", f"nobody put {load_name} into slot {slot}", once=True)
            return self._phantoms[labware_id]
        if real.labware.load_name != load_name:
            self._tell(
                "wrong_labware", f"slot {slot} holds {real.labware.load_name}, the run expects {load_name}", once=True
            )
        return real

    # tips

    def _pick_up(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        pipette, rack = self._pipette(params), self._container(params["labwareId"])
        spots = self._reached(rack, self._uppermost(pipette, rack, params["wellName"]), pipette.n_active)
        missing = [spot for spot in spots if spot in rack.used_tips]
        if missing:
            self._tell("no_tip", f"{rack.labware.load_name} has no tip at {', '.join(missing)} any more")
        rack.used_tips.update(spots)
        pipette.tips = [Tip() for _ in spots]
        pipette.at = None

    def _drop(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        pipette = self._pipette(params)
        for tip in pipette.tips:
            self._world.drain("tips", tip.contents.empty())
        pipette.tips = []

    # liquid

    def _aspirate(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        pipette = self._pipette(params)
        for channel, (tip, container, name) in enumerate(self._reach(pipette, params)):
            self._draw(pipette, channel, tip, container, name, float(params["volume"]))

    def _draw(self, pipette: Pipette, channel: int, tip: Tip, container: Container, name: str, asked: float) -> None:
        world = self._world
        well = world.touch(container, name)
        wanted = pipette.error.true_volume(asked, channel, self._random)
        possible = max(0.0, well.volume_ul - container.residual_ul)
        got = min(wanted, possible)
        if got < wanted * _SHORT_SHARE:
            message = f"{wanted - got:.1f} of {asked:g} µL drawn as air from {container.identity} {name}"
            self._tell("air_drawn", message, volume_ul=wanted - got)
        noise = 1 + CELL_SAMPLING_CV * self._random.standard_normal()
        share = well.cell_share(world.clock.seconds) * max(0.0, noise)
        tip.contents.add(well.take(got, cell_share=share))
        tip.nominal_ul += asked
        tip.source = (container.identity, name)

    def _dispense(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        pipette = self._pipette(params)
        asked = float(params["volume"])
        if "labwareId" not in params and pipette.at is None:
            for tip in pipette.tips:
                self._world.drain("waste", pour(tip, asked))
            return
        for tip, container, name in self._reach(pipette, params):
            self._put(tip, container, name, pour(tip, asked))

    def _blow_out(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        pipette = self._pipette(params)
        if "labwareId" not in params and pipette.at is None:
            for tip in pipette.tips:
                self._world.drain("waste", tip.contents.empty())
            return
        for tip, container, name in self._reach(pipette, params):
            self._put(tip, container, name, tip.contents.take(0.8 * tip.contents.volume_ul))
            tip.nominal_ul = 0.0

    def _put(self, tip: Tip, container: Container, name: str, liquid: Contents) -> None:
        world = self._world
        well = world.touch(container, name)
        fresh = well.volume_ul <= 0 or not well.cells("cd34", "progenitor", "nk", "myeloid", "other", "target")
        well.add(liquid)
        if fresh or tip.source == (container.identity, name):
            well.stir(world.clock.seconds)
        excess = well.volume_ul - container.capacity_ul
        if excess > 1e-6:
            world.drain("spill", well.take(excess))
            self._tell("spill", f"{excess:.1f} µL over the rim of {container.identity} {name}", volume_ul=excess)

    def _go(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        self._pipette(params).at = (self._container(params["labwareId"]), params["wellName"])

    def _go_away(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        self._pipette(params).at = None

    # modules

    def _shake(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        container = self._world.deck.get(self._modules.get(params["moduleId"], OFF_DECK))
        if container is not None:
            self._world.stir(container)

    def _heat(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        container = self._world.deck.get(self._modules.get(params["moduleId"], OFF_DECK))
        if container is not None:
            self._world.set_temperature(container, float(params["celsius"]))

    # helpers

    def _pipette(self, params: dict[str, Any]) -> Pipette:
        try:
            return self._pipettes[params["pipetteId"]]
        except KeyError as error:
            raise DeviceError(f"pipette {params.get('pipetteId')} was never loaded", where=self._where()) from error

    def _reach(self, pipette: Pipette, params: dict[str, Any]) -> list[tuple[Tip, Container, str]]:
        if "labwareId" in params:
            pipette.at = (self._container(params["labwareId"]), params["wellName"])
        if pipette.at is None:
            raise DeviceError("the pipette stands at no well", where=self._where())
        if not pipette.tips:
            self._tell("no_tip", f"the {pipette.mount} pipette has no tip; nothing moves")
            return []
        container, well = pipette.at
        wells = self._reached(container, self._uppermost(pipette, container, well), len(pipette.tips))
        return [(tip, container, name) for tip, name in zip(pipette.tips, wells, strict=True)]

    @staticmethod
    def _uppermost(pipette: Pipette, container: Container, well: str) -> str:
        """Well of the uppermost channel; a part of the nozzles is steered by its lowest one."""
        return container.labware.uppermost(well, pipette.active) if pipette.active else well

    def _reached(self, container: Container, well: str, channels: int) -> tuple[str, ...]:
        try:
            return container.labware.reached(well, channels)
        except LabwareError as error:
            raise DeviceError(str(error), where=self._where()) from error

    def _note(self, params: dict[str, Any], _: dict[str, Any]) -> None:
        match = _STEP.match(params.get("message") or "")
        if match:
            self.step = int(match[1])

    def _where(self) -> str:
        return "before the first step" if self.step is None else f"step {self.step}"

    def _tell(self, kind: str, message: str, *, volume_ul: float = 0.0, once: bool = False) -> None:
        if once and message in self._told:
            return
        self._told.add(message)
        self._world.record(
            Incident.model_validate(
                {
                    "at": self._world.clock.now().isoformat(),
                    "kind": kind,
                    "where": self._where(),
                    "message": message,
                    "step": self.step,
                    "volume_ul": volume_ul,
                }
            )
        )
