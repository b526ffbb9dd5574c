"""What may stand beside a deck: plate storage."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, runtime_checkable

from nkloop.frozen import FrozenModel


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


class KeptPlate(FrozenModel):
    """A plate on the list of an incubator."""

    barcode: str
    since: datetime | None
    """When it was taken in, UTC; None of one whose way in nobody has seen the end of."""
    errand: str
    """What for, in the words of whoever asked; empty when nobody said."""
    is_moving: bool
    """Whether nobody has seen the end of its way in or out."""


@runtime_checkable
class ListsPlates(Protocol):
    """Keeps a list of what is inside that outlives the program, so that a person can put it right."""

    def kept(self) -> tuple[KeptPlate, ...]:
        """Plates on the list; nothing is asked of the device."""

    def may_settle(self, barcode: str, *, is_inside: bool) -> None:
        """Refuse what `settle` would refuse.

        Raises:
            DeviceError: it is not on the list, or cannot be where it is said to be.
        """

    def settle(self, barcode: str, *, is_inside: bool) -> None:
        """Put down where a person has found a plate: in its place inside, or out. Nothing moves.

        Raises:
            DeviceError: it is not on the list, or cannot be where it is said to be.
        """


def settling(bench: str, barcode: str) -> str:
    """The command by which a person says where a plate is."""
    return f"`nkloop bench incubator settle {bench} {barcode} --out --by NAME --reason WHY`"
