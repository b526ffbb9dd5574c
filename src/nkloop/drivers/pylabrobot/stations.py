"""Shakers and temperature devices under the slots of a deck, driven by PyLabRobot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.owner import DeviceOwner
from nkloop.drivers.pylabrobot.settings import Station
from nkloop.errors import BenchError, DeviceError

TOLERANCE_C = 1.0
"""How near to its set point a device counts as there."""
PATIENCE_S = 900.0
"""Longest wait for a set point."""
_LOOK_S = 2.0


class StationModel(NamedTuple):
    """One device the registry knows."""

    backend: str
    """`part:Name` of PyLabRobot's backend; empty for the simulated one."""
    box: str = ""
    """`part:Name` of the control box several devices share, given to the backend under `box_name`."""
    box_name: str = ""
    rpm: tuple[int, int] | None = None
    """Slowest and fastest shaking by the maker's specification; None for what does not shake."""
    celsius: tuple[float, float] | None = None
    """Coldest and warmest set point; None for what holds no temperature."""


_HHS = "heating_shaking"
_TEC = "temperature_controlling"
MODELS: dict[str, StationModel] = {
    "hamilton_heater_shaker": StationModel(
        f"{_HHS}.hamilton_backend:HamiltonHeaterShakerBackend",
        *(f"{_HHS}.hamilton_backend:HamiltonHeaterShakerBox", "interface"),
        rpm=(100, 2500),
        celsius=(20, 105),
    ),
    "inheco_thermoshake": StationModel(
        f"{_HHS}.inheco.thermoshake_backend:InhecoThermoshakeBackend",
        *(f"{_TEC}.inheco.control_box:InhecoTECControlBox", "control_box"),
        rpm=(100, 2000),
        celsius=(4, 70),
    ),
    "bioshake": StationModel(f"{_HHS}.bioshake_backend:BioShake", rpm=(200, 3000), celsius=(4, 99)),
    "inheco_cpac": StationModel(
        f"{_TEC}.inheco.cpac_backend:InhecoCPACBackend",
        *(f"{_TEC}.inheco.control_box:InhecoTECControlBox", "control_box"),
        celsius=(4, 70),
    ),
    "opentrons_temperature_module": StationModel(
        f"{_TEC}.opentrons_backend:OpentronsTemperatureModuleBackend", celsius=(4, 95)
    ),
    "simulated": StationModel("", rpm=(100, 3000), celsius=(4, 95)),
}


class SimulatedStation:
    """Shakes and heats at once and remembers what it was asked."""

    supports_locking = True

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []
        self._celsius = 22.0

    async def setup(self) -> None:
        """Nothing to connect."""

    async def stop(self) -> None:
        """Nothing to release."""

    async def start_shaking(self, speed: float) -> None:
        """Remember the speed (rpm)."""
        self.asked.append(("shake", speed))

    async def stop_shaking(self) -> None:
        """Remember it."""
        self.asked.append(("stop", 0.0))

    async def lock_plate(self) -> None:
        """Remember it."""
        self.asked.append(("lock", 0.0))

    async def unlock_plate(self) -> None:
        """Remember it."""
        self.asked.append(("unlock", 0.0))

    async def set_temperature(self, temperature: float) -> None:
        """Be there at once (°C)."""
        self.asked.append(("temperature", temperature))
        self._celsius = temperature

    async def get_current_temperature(self) -> float:
        """What was set last (°C)."""
        return self._celsius

    async def deactivate(self) -> None:
        """Remember it."""
        self.asked.append(("off", 0.0))


class Stations:
    """The devices of one deck by slot. Each is opened when it is first needed, by the deck's owner."""

    def __init__(self, stations: Sequence[Station], owner: DeviceOwner, *, simulated: bool) -> None:
        """Build nothing yet.

        Raises:
            BenchError: a model is not known.
        """
        for station in stations:
            if station.model not in MODELS:
                raise BenchError(
                    f"station '{station.model}' is not known",
                    where=f"slot {station.slot}",
                    remedy=f"use {', '.join(MODELS)}",
                )
        self._stations = {station.slot: station for station in stations}
        self._owner, self._simulated = owner, simulated
        self.open: dict[str, Any] = {}
        self._boxes: dict[tuple[str, str], Any] = {}
        self._shaking: set[str] = set()
        self._holding: set[str] = set()

    def shakes(self, slot: str) -> bool:
        """Whether a device under the slot shakes."""
        station = self._stations.get(slot)
        return station is not None and MODELS[station.model].rpm is not None

    def holds(self, slot: str) -> bool:
        """Whether a device under the slot holds a temperature."""
        station = self._stations.get(slot)
        return station is not None and MODELS[station.model].celsius is not None

    def limits(self, slot: str) -> StationModel:
        """What the device under a slot can do."""
        return MODELS[self._stations[slot].model]

    async def shake(self, slot: str, rpm: int) -> None:
        """Hold the plate and shake it until `stop_shaking`.

        Raises:
            DeviceError: there is no shaker, it cannot do this speed, or it failed.
        """
        low, high = self.limits(slot).rpm or (0, 0)
        if not low <= rpm <= high:
            raise DeviceError(f"{rpm} rpm is outside {low} to {high} rpm", where=f"slot {slot}", remedy="change it")
        self._shaking.add(slot)

        async def begin(device: Any) -> None:
            if device.supports_locking:
                await device.lock_plate()
            await device.start_shaking(speed=rpm)

        await self._ask(slot, begin)

    async def stop_shaking(self, slot: str) -> None:
        """Stop and let the plate go."""
        if slot not in self._shaking:
            return
        await self._ask(slot, _end_shaking)
        self._shaking.discard(slot)

    async def stand_still(self, slot: str) -> None:
        """Stop a shaker before anything is pipetted there: a program that was killed may have left it shaking.

        Raises:
            DeviceError: it failed.
        """
        if self.shakes(slot) and slot not in self.open:
            self._shaking.add(slot)
        await self.stop_shaking(slot)

    async def hold(self, slot: str, celsius: float, *, watch: Callable[[], None] = lambda: None) -> bool:
        """Bring what stands in a slot to a temperature and wait for it; False when no device there does it.

        Args:
            slot: where.
            celsius: the set point (°C).
            watch: called after every look; what it raises ends the waiting.

        Raises:
            DeviceError: it cannot reach that temperature, failed, or is too slow.
        """
        if not self.holds(slot):
            return False
        low, high = self.limits(slot).celsius or (0, 0)
        if not low <= celsius <= high:
            raise DeviceError(f"{celsius:g} °C is outside {low:g} to {high:g} °C", where=f"slot {slot}")
        self._holding.add(slot)
        await self._ask(slot, lambda device: device.set_temperature(celsius))
        deadline = time.monotonic() + PATIENCE_S
        while abs((now := float(await self._ask(slot, _temperature))) - celsius) > TOLERANCE_C:
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"it is at {now:.1f} °C after {PATIENCE_S / 60:g} min, not at {celsius:g} °C",
                    where=f"slot {slot}",
                    remedy="look at the device, or begin with it at its set point",
                )
            watch()
            await asyncio.sleep(_LOOK_S)
        return True

    async def release(self) -> None:
        """Let people take plates: shakers stand still and open."""
        for slot in list(self._shaking):
            await self.stop_shaking(slot)

    async def rest(self) -> None:
        """End of a run: nothing shakes, what is warm is switched off; what is cold stays so until it is emptied."""
        await self.release()
        for slot in sorted(self._holding):
            if float(await self._ask(slot, _temperature)) > _ROOM_C:
                await self._ask(slot, lambda device: device.deactivate())
        self._holding.clear()

    async def close(self) -> None:
        """Release every device that was opened."""
        for slot, device in self.open.items():
            await self._owner.call(device.stop)
            self._shaking.discard(slot)
        for box in self._boxes.values():
            await self._owner.call(box.stop)
        self.open.clear()
        self._boxes.clear()

    async def _ask(self, slot: str, what: Callable[[Any], Awaitable[Any]]) -> Any:
        station = self._stations[slot]

        async def do() -> Any:
            if slot not in self.open:
                self.open[slot] = await self._build(station)
            return await what(self.open[slot])

        remedy = "look at the device and its cable"
        return await self._owner.asked(do, f"{station.model} failed", remedy, f"slot {slot}")

    async def _build(self, station: Station) -> Any:
        model = MODELS[station.model]
        if self._simulated or not model.backend:
            device: Any = SimulatedStation()
        else:
            device = adapter.named(model.backend, f"slot {station.slot}")(**await self._arguments(station, model))
        await device.setup()
        return device

    async def _arguments(self, station: Station, model: StationModel) -> dict[str, Any]:
        """Settings of the backend; the control box is opened once, however many devices hang on it."""
        if not model.box:
            return dict(station.settings)
        given: Mapping[str, Any] = station.settings.get("box", {})
        key = (model.box, repr(sorted(given.items())))
        if key not in self._boxes:
            self._boxes[key] = adapter.named(model.box, f"slot {station.slot}")(**given)
            await self._boxes[key].setup()
        rest = {name: value for name, value in station.settings.items() if name != "box"}
        return {**rest, model.box_name: self._boxes[key]}


async def _end_shaking(device: Any) -> None:
    await device.stop_shaking()
    if device.supports_locking:
        await device.unlock_plate()


async def _temperature(device: Any) -> float:
    return float(await device.get_current_temperature())


_ROOM_C = 25.0
"""Above it a device counts as heating."""
