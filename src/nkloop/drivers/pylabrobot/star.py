"""Hamilton STAR and STARlet: independent channels on one arm, carriers on rails."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, ClassVar

from nkloop.drivers.interfaces import Finding
from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.family import Family, HandlerModel
from nkloop.drivers.pylabrobot.settings import Carrier, LiquidClass
from nkloop.errors import words_of

logger = logging.getLogger(__name__)
FLAT = "flat"
"""Carrier kind of this package: five nests of the footprint of a plate on a plain base, for tall tube racks."""
_FLAT_SIZE_MM = (135.0, 497.0, 18.2)
"""Length and width of a Hamilton plate carrier with five landscape sites; the height is that of its base."""
_FLAT_FIRST_MM = (3.6, 8.5)
_FLAT_PITCH_MM = 96.0
_NEST_MM = (127.76, 85.48)
"""Footprint of a microplate (ANSI/SLAS 1-2004)."""
TRAVERSE_MM = 245.0
"""Height over the table that channels with tips pass at (PyLabRobot's default for a STAR)."""

_DECKS = "resources.hamilton"
_BACKENDS = "liquid_handling.backends.hamilton.STAR_backend"
MODELS = {
    "star": HandlerModel("star", "Hamilton STAR", f"{_DECKS}:STARDeck", f"{_BACKENDS}:STARBackend", n_rails=56),
    "starlet": HandlerModel(
        "starlet", "Hamilton STARlet", f"{_DECKS}:STARLetDeck", f"{_BACKENDS}:STARBackend", n_rails=32
    ),
}


class StarFamily(Family):
    """Hamilton STAR and STARlet."""

    racks: ClassVar[Mapping[str, str]] = {
        "nkloop_hamilton_96_filtertiprack_50ul": "hamilton_96_tiprack_50uL_filter",
        "nkloop_hamilton_96_filtertiprack_300ul": "hamilton_96_tiprack_300uL_filter",
        "nkloop_hamilton_96_filtertiprack_1000ul": "hamilton_96_tiprack_1000uL_filter",
        "nkloop_hamilton_96_widetiprack_1000ul": "hamilton_96_tiprack_1000uL_filter_wide",
    }
    tip_carriers = ("TIP_CAR", "hamilton_tip_carrier")
    simulation_carriers = ("TIP_CAR_480_A00", FLAT)
    wire = "_write_and_read_command"
    drops_left_tips = True
    corrects_volumes = True

    def carrier(self, carrier: Carrier, name: str) -> Any:
        """A carrier of Hamilton's, or the flat one of this package."""
        return _flat(name) if carrier.kind == FLAT else super().carrier(carrier, name)

    def _real(self) -> Any:
        given = {key: value for key, value in self.settings.backend_settings.items() if key != "num_channels"}
        return adapter.named(self.model.backend, self.model.name)(**given)

    def _simulator(self) -> Any:
        return _recording_star()(num_channels=self.n_channels())

    async def look(self) -> tuple[Finding, ...]:
        """Ask for firmware and channels."""
        async with self._wire() as backend:
            channels = len(await backend.request_tip_presence())
            found = await backend.request_firmware_version()
        wanted = self.n_channels()
        remedy = f"set num_channels: {channels} in backend_settings"
        return (
            Finding(subject="firmware", found=str(found), ok=True),
            Finding(subject="channels", found=f"{channels} channels", ok=channels == wanted, remedy=remedy),
        )

    async def serial_number(self) -> str:
        """Serial number in its firmware; that of the bench file where none was set."""
        async with self._wire() as backend:
            try:
                found = str(await backend.request_device_serial_number())
            # PyLabRobot raises whatever its parser does of an answer it does not know; the number is for comparing
            # only, and a device that tells none is taken for the same.
            except Exception as error:  # noqa: BLE001
                logger.warning("%s tells no serial number: %s", self.model.title, words_of(error))
                return ""
        return await super().serial_number() if found.strip("0") == "" else found

    @asynccontextmanager
    async def _wire(self) -> AsyncIterator[Any]:
        """Its backend with the USB wire open and nothing initialised: PyLabRobot's setup raises channels always."""
        backend = self.backend(simulated=False)
        await adapter.named("liquid_handling.backends.hamilton.base:HamiltonLiquidHandler", "star").setup(backend)
        try:
            yield backend
        finally:
            await backend.stop()

    def aspiration(self, liquid: LiquidClass | None, n: int, *, is_mix: bool) -> dict[str, Any]:
        """The maker's curve for water, or that of the bench's liquid class."""
        told: dict[str, Any] = {"blow_out": [not is_mix] * n}
        return told | _with_class(liquid, n)

    def dispensing(self, liquid: LiquidClass | None, n: int, *, is_mix: bool, at_rim: bool) -> dict[str, Any]:
        """As for drawing; from the rim as a jet."""
        told: dict[str, Any] = {"blow_out": [not is_mix] * n, "jet": [at_rim] * n}
        return told | _with_class(liquid, n)


def _with_class(liquid: LiquidClass | None, n: int) -> dict[str, Any]:
    """PyLabRobot's own classes stay in use where the bench gives no curve."""
    if liquid is None or not liquid.correction:
        return {}
    return {"hamilton_liquid_classes": [_hamilton_class(liquid)] * n}


@cache
def _hamilton_class(liquid: LiquidClass) -> Any:
    """The bench's class in the words of the STAR; swap speeds and stop flow are those of Hamilton's water class."""
    made = adapter.named("liquid_handling.liquid_classes.hamilton.base:HamiltonLiquidClass", liquid.name)
    aspiration: dict[str, float] = {
        "aspiration_flow_rate": liquid.aspirate_ul_s,
        "aspiration_mix_flow_rate": liquid.aspirate_ul_s,
        "aspiration_air_transport_volume": 0.0,
        "aspiration_blow_out_volume": liquid.blow_out_ul,
        "aspiration_swap_speed": 2.0,
        "aspiration_settling_time": liquid.settle_s,
        "aspiration_over_aspirate_volume": 0.0,
        "aspiration_clot_retract_height": 0.0,
    }
    dispensing: dict[str, float] = {
        "dispense_flow_rate": liquid.dispense_ul_s,
        "dispense_mode": 0.0,
        "dispense_mix_flow_rate": liquid.dispense_ul_s,
        "dispense_air_transport_volume": 0.0,
        "dispense_blow_out_volume": liquid.blow_out_ul,
        "dispense_swap_speed": 2.0,
        "dispense_settling_time": 0.0,
        "dispense_stop_flow_rate": 5.0,
        "dispense_stop_back_volume": 0.0,
    }
    curve = {point.wanted_ul: point.commanded_ul for point in liquid.correction}
    return made(curve=curve, **aspiration, **dispensing)


def _flat(name: str) -> Any:
    resources = adapter.part("resources")
    x, y, z = _FLAT_SIZE_MM
    sites = {}
    for number in range(5):
        site = resources.ResourceHolder(name=f"{name}-{number}", size_x=_NEST_MM[0], size_y=_NEST_MM[1], size_z=0)
        site.location = resources.Coordinate(_FLAT_FIRST_MM[0], _FLAT_FIRST_MM[1] + number * _FLAT_PITCH_MM, z)
        sites[number] = site
    return resources.Carrier(name=name, size_x=x, size_y=y, size_z=z, sites=sites)


@cache
def _recording_star() -> Any:
    """PyLabRobot's simulator of a STAR that keeps the firmware commands it would send."""
    base = adapter.named("liquid_handling.backends.hamilton.STAR_chatterbox:STARChatterboxBackend", "star")

    class RecordingStar(base):  # type: ignore[misc, valid-type]  # PyLabRobot ships no types
        """Everything of the real backend but the wire."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.sent: list[str] = []

        async def _write_and_read_command(self, id_: Any, cmd: str, *args: Any, **more: Any) -> None:
            self.sent.append(cmd)

    return RecordingStar
