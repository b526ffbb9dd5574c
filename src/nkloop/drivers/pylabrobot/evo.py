"""Tecan Freedom EVO: eight channels on one arm with disposable tips, carriers on a grid, taught heights.

PyLabRobot ships no simulator of an EVO; `simulated_evo` here is the real backend with its wire replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from nkloop.drivers.interfaces import Finding
from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.family import Family, HandlerModel
from nkloop.drivers.pylabrobot.settings import Heights, Waste
from nkloop.errors import BenchError
from nkloop.labware.models import LabwareType
from nkloop.labware.outlines import Outline

_BACKEND = "liquid_handling.backends.tecan.EVO_backend:EVOBackend"
MODELS = {
    f"evo{size}": HandlerModel(
        f"evo{size}", f"Tecan Freedom EVO {size}", f"resources.tecan:EVO{size}Deck", _BACKEND, n_rails=rails
    )
    for size, rails in ((100, 30), (150, 45), (200, 69))
}
SMALLEST_UL = 3.0
"""PyLabRobot has liquid classes for disposable tips of an EVO from 3 µL on."""
_USB = (0x0C47, 0x4000)
_LARGEST_SPACING_MM = 38.0
"""Widest spread of the channels."""
_PITCH_MM = 9.0
_CHANNELS = 8
_RANGE = 2000
"""Height of the channels' travel in a simulation, in 0.1 mm."""
_SIMULATED_WASTE = Waste(x_mm=500, y_mm=400, height=1000)


class EvoFamily(Family):
    """Tecan Freedom EVO with disposable tips on all channels."""

    racks: ClassVar[Mapping[str, str]] = {
        "nkloop_tecan_96_tiprack_200ul": "DiTi_200ul_SBS_LiHa",
        "nkloop_tecan_96_tiprack_1000ul": "DiTi_1000ul_SBS_LiHa",
    }
    tip_carriers = ("DiTi_",)
    simulation_carriers = ("DiTi_3Pos", "MP_3Pos")
    simulation_sites = 3
    wire = "send_command"
    backwards = -1  # PyLabRobot adds offsets to a distance that it measures from the back

    def n_channels(self) -> int:
        """The arm PyLabRobot drives has eight."""
        return _CHANNELS

    def _real(self) -> Any:
        return adapter.named(self.model.backend, self.model.name)(
            **{"diti_count": _CHANNELS, **self.settings.backend_settings}
        )

    def _simulator(self) -> Any:
        return _recording_evo()(diti_count=_CHANNELS)

    async def look(self) -> tuple[Finding, ...]:
        """Look for it on the USB bus; connecting would move its arms.

        Raises:
            BenchError: the USB library of PyLabRobot is not installed.
        """
        try:
            from usb.core import find
        except ImportError as error:
            raise BenchError(
                "the library for USB devices is missing",
                where=self.model.title,
                remedy="install the wires: `pip install 'nkloop[devices]'`",
            ) from error
        vendor, product = _USB
        there = find(idVendor=vendor, idProduct=product) is not None
        found = "on the USB bus" if there else "not on the USB bus"
        return (
            Finding(subject=self.model.title, found=found, ok=there, remedy="switch it on and check its cable"),
            *self._taught(),
        )

    def _taught(self) -> tuple[Finding, ...]:
        waste = "taught" if self.settings.waste else "not taught"
        remedy = "write `waste` with x_mm, y_mm and height into the bench file"
        return (Finding(subject="tip waste", found=waste, ok=self.settings.waste is not None, remedy=remedy),)

    # -- labware ------------------------------------------------------------------------------------------------

    def plate(self, nickname: str, kind: LabwareType, outline: Outline) -> Any:
        """A labware with the heights taught for it; the channels are spread as wide as its wells stand apart."""
        x, y, z = outline.size
        heights = self.settings.heights.get(kind.load_name) or _of_outline(outline)
        return adapter.named("resources:TecanPlate", nickname)(
            name=nickname,
            size_x=x,
            size_y=y,
            size_z=z,
            z_start=heights.start,
            z_dispense=heights.dispense,
            z_max=heights.end,
            area=outline.across[0] * outline.across[1] * (0.785 if outline.shape == "round" else 1.0),
            ordered_items=self.wells(nickname, kind, outline),
        )

    def wells(self, nickname: str, kind: LabwareType, outline: Outline) -> dict[str, Any]:
        """Wells as wide as their pitch (9 mm in a trough): PyLabRobot takes the spread of the channels from that."""
        spread = min(outline.pitch[1] or _PITCH_MM, _LARGEST_SPACING_MM)
        wide = outline.model_copy(update={"across": (spread, spread), "shape": "square"})
        return super().wells(nickname, kind, wide)

    def trash(self, deck: Any, n_tips: int) -> list[Any]:
        """Eight places behind one another over the waste.

        PyLabRobot takes the height of a drop from the rack the place belongs to, so the waste is a rack.
        """
        if not deck.has_resource("waste"):
            waste = self.settings.waste or _SIMULATED_WASTE
            resources = adapter.part("resources")
            rack = adapter.named("resources:TecanTipRack", "waste")(
                name="waste",
                size_x=_PITCH_MM,
                size_y=_PITCH_MM * _CHANNELS,
                size_z=1.0,
                z_start=waste.height,
                z_dispense=waste.height,
                z_max=waste.height,
                area=1.0,
                ordered_items={},
            )
            for number in range(_CHANNELS):
                place = resources.Trash(f"waste_{number}", size_x=_PITCH_MM, size_y=_PITCH_MM, size_z=1.0)
                row = (_CHANNELS - 1 - number) * _PITCH_MM
                rack.assign_child_resource(place, location=resources.Coordinate(0, row, 0))
            deck.assign_child_resource(rack, location=resources.Coordinate(waste.x_mm, waste.y_mm, 0))
        return [deck.get_resource(f"waste_{number}") for number in range(n_tips)]


def _of_outline(outline: Outline) -> Heights:
    """Heights of a labware that stands on the table, for simulations; a real device needs taught ones."""
    top, bottom = _RANGE - 10 * (outline.bottom + outline.depth), _RANGE - 10 * outline.bottom
    return Heights(start=max(1.0, top), dispense=max(1.0, top), end=max(1.0, bottom))


@cache
def _recording_evo() -> Any:
    base = adapter.named(_BACKEND, "evo")

    class RecordingEvo(base):  # type: ignore[misc, valid-type]  # PyLabRobot ships no types
        """The real backend that keeps the firmware commands and answers what an idle device would."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.sent: list[tuple[str, str, tuple[Any, ...]]] = []

        async def setup(self) -> None:
            self._num_channels = _CHANNELS
            self._liha_connected, self._roma_connected, self._mca_connected = True, False, False
            self._x_range, self._y_range, self._z_range = 15000, 4000, _RANGE
            self.liha = adapter.named("liquid_handling.backends.tecan.EVO_backend:LiHa", "evo")(self, self.LIHA)

        async def stop(self) -> None:
            """Nothing to release."""

        async def send_command(self, module: str, command: str, params: Any = None, **_: Any) -> dict[str, Any]:
            self.sent.append((module, command, tuple(params or ())))
            return {"module": module, "data": [_ANSWERS.get(command, 0)]}

    return RecordingEvo


_ANSWERS = {"RPX": 0, "RPY": 90, "RPZ": _RANGE, "RNT": _CHANNELS}
