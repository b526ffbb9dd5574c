"""What may stand beside a deck: plate storage."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class PlateStorage(Protocol):
    """Keeps plates at a temperature and hands them out on its tray: an automated incubator."""

    name: str

    async def store(self, barcode: str, *, errand: str = "") -> None:
        """Take the plate that lies on the tray in; for which errand outlives the program.

        Raises:
            DeviceError: the plate is inside already, every site is taken, or the device failed.
        """

    async def fetch(self, barcode: str, errand: str = "") -> None:
        """Bring a plate out onto the tray; for which errand outlives the program.

        Raises:
            DeviceError: the plate is not inside, or the device failed.
        """

    async def since(self, barcode: str) -> datetime | None:
        """When a plate was taken in, UTC; None when it is not inside."""

    async def errand_of(self, barcode: str) -> str:
        """What for a plate that is inside was taken in; empty when it is not inside, or nobody said."""

    async def was_since(self, barcode: str, errand: str) -> datetime | None:
        """When a plate had been taken in, UTC, that came out for this errand and has not gone in again; else None."""

    async def temperature(self) -> float:
        """Temperature now, °C."""

    async def close(self) -> None:
        """Release the device."""
