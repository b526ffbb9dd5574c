"""What the package knows of a labware: wells, volumes, catalogue number, provenance."""

from __future__ import annotations

import string
from functools import cached_property
from typing import Literal

from pydantic import Field

from nkloop.errors import LabwareError
from nkloop.frozen import FrozenModel

LabwareKind = Literal["plate", "trough", "tube_rack", "tip_rack", "adapter"]


class LabwareType(FrozenModel):
    """One kind of labware as the catalogue lists it."""

    load_name: str
    namespace: str
    """`opentrons` for the maker's own definitions, `nkloop` for the files beside the catalogue."""
    version: int = Field(ge=1)
    title: str
    kind: LabwareKind
    rows: int = Field(ge=1, le=16)
    columns: int = Field(ge=1, le=24)
    well_volume_ul: float = Field(ge=0)
    """Volume the maker gives for one well, tube or tip; 0 for adapters."""
    working_volume_ul: float = Field(ge=0)
    """Most we fill; planning and verification use this bound."""
    dead_volume_ul: float = Field(ge=0)
    """Volume that stays behind when a well is emptied."""
    manufacturer: str
    catalogue_number: str
    provenance: str
    """Where geometry and volumes come from."""

    @cached_property
    def wells(self) -> tuple[str, ...]:
        """Well names column by column: A1, B1, ..."""
        return tuple(f"{row}{col}" for col in range(1, self.columns + 1) for row in string.ascii_uppercase[: self.rows])

    def reached(self, well: str, channels: int) -> tuple[str, ...]:
        """Wells the channels of a pipette reach when its back-most channel stands in `well`.

        A trough well is reached by every channel; eight channels on a 96-well layout reach the column.

        Raises:
            LabwareError: the well does not exist, or eight channels do not fit there.
        """
        if well not in self.wells:
            raise LabwareError(
                f"{self.load_name} has no well {well}", remedy=f"use {self.wells[0]} to {self.wells[-1]}"
            )
        if channels == 1:
            return (well,)
        if self.kind == "trough" and self.rows == 1:
            return (well,) * channels
        if self.rows == channels and well.startswith("A"):
            return tuple(f"{row}{well[1:]}" for row in string.ascii_uppercase[: self.rows])
        raise LabwareError(
            f"{channels} channels do not fit well {well} of {self.load_name} with {self.rows} rows",
            remedy="use one channel, or row A of a labware with eight rows",
        )
