"""A PyLabRobot plate reader backend whose plate lies in the virtual world."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx

from nkloop.drivers.pylabrobot import adapter
from nkloop.virtual.client import WorldClient

_Base = adapter.part("plate_reading.backend").PlateReaderBackend


class VirtualReaderBackend(_Base):  # type: ignore[misc, valid-type]  # PyLabRobot ships no types
    """Reads absorbance, fluorescence and luminescence; the plate resource's name is the barcode."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`url` is the address of the virtual bench."""
        super().__init__()
        self._url = url
        self._world = WorldClient("plate reader", url, transport)

    async def setup(self) -> None:
        """Make sure the virtual bench is there.

        Raises:
            DeviceUnreachableError: it does not answer.
        """
        await self._world.get("/clock")

    async def stop(self) -> None:
        """Release the connection."""
        await self._world.close()

    async def open(self) -> None:
        """Plate out; people move plates on this bench."""

    async def close(self, plate: Any | None) -> None:
        """Plate in; people move plates on this bench."""

    async def read_absorbance(self, plate: Any, wells: list[Any], wavelength: int) -> list[dict[str, Any]]:
        """Optical density of the wells.

        Raises:
            DeviceError: the reader holds no plate or another one.
        """
        read = await self._read(plate, wells, mode="absorbance", wavelength_nm=wavelength)
        return [{"wavelength": wavelength, **read}]

    async def read_fluorescence(
        self, plate: Any, wells: list[Any], excitation_wavelength: int, emission_wavelength: int, focal_height: float
    ) -> list[dict[str, Any]]:
        """Fluorescence counts of the wells; raises as `read_absorbance` does."""
        wavelengths = {"excitation_nm": excitation_wavelength, "emission_nm": emission_wavelength}
        read = await self._read(plate, wells, mode="fluorescence", **wavelengths)
        return [{"ex_wavelength": excitation_wavelength, "em_wavelength": emission_wavelength, **read}]

    async def read_luminescence(self, plate: Any, wells: list[Any], focal_height: float) -> list[dict[str, Any]]:
        """Luminescence counts per second of the wells; raises as `read_absorbance` does."""
        return [await self._read(plate, wells, mode="luminescence")]

    def serialize(self) -> dict[str, Any]:
        """Settings as PyLabRobot stores them."""
        return {**super().serialize(), "url": self._url}

    async def _read(self, plate: Any, wells: list[Any], **mode: Any) -> dict[str, Any]:
        places = {_name(well): (well.get_row(), well.get_column()) for well in wells}
        request = {"barcode": plate.name, "load_name": plate.model or plate.name, "wells": list(places), **mode}
        answer = await self._world.post("/read", request)
        grid: list[list[float | None]] = [[None] * plate.num_items_x for _ in range(plate.num_items_y)]
        for name, (row, column) in places.items():
            grid[row][column] = answer["values"][name]
        at = datetime.fromisoformat(answer["at"]).timestamp()
        return {"time": at, "temperature": answer["temperature_c"], "data": grid}


def _name(well: Any) -> str:
    return f"{chr(ord('A') + well.get_row())}{well.get_column() + 1}"
