"""What the package knows of a labware: wells, volumes, catalogue number, provenance."""

from __future__ import annotations

import string
from functools import cache, cached_property
from typing import Literal

from pydantic import Field

from nkloop.errors import LabwareError
from nkloop.frozen import FrozenModel

LabwareKind = Literal["plate", "trough", "tube_rack", "tip_rack", "adapter"]


class LabwareType(FrozenModel):
    """One kind of labware as the catalogue lists it."""

    load_name: str = Field(pattern=r"^[a-z0-9._]+$", max_length=128)
    """Name programs call it by: small letters, digits, dots and underscores."""
    namespace: str = Field(pattern=r"^[a-z0-9._]+$")
    """`opentrons` for the maker's own definitions, `nkloop` for the files beside the catalogue."""
    version: int = Field(ge=1)
    """Version of the definition."""
    title: str
    """As people call it on run sheets."""
    kind: LabwareKind
    rows: int = Field(ge=1, le=16)
    columns: int = Field(ge=1, le=24)
    well_volume_ul: float = Field(ge=0)
    """Volume the maker gives for one well, tube or tip; 0 for adapters."""
    working_volume_ul: float = Field(ge=0)
    """Most we fill; planning and verification use this bound."""
    dead_volume_ul: float = Field(ge=0)
    """Volume that stays behind when a well is emptied."""
    height_mm: float = Field(default=0, ge=0)
    """Outer height as the definition gives it; what a pipette has to clear beside the labware."""
    tip_reach_mm: float = Field(default=0, ge=0)
    """How far a mounted tip of a tip rack reaches below the nozzle: its length without what the nozzle takes in."""
    manufacturer: str
    catalogue_number: str
    provenance: str
    """Where geometry and volumes come from."""

    @cached_property
    def wells(self) -> tuple[str, ...]:
        """Well names column by column: A1, B1, ..."""
        return tuple(f"{row}{col}" for col in range(1, self.columns + 1) for row in string.ascii_uppercase[: self.rows])

    @cached_property
    def well_names(self) -> frozenset[str]:
        """The same without their order, to ask whether there is one."""
        return frozenset(self.wells)

    def reached(self, well: str, channels: int) -> tuple[str, ...]:
        """Wells the channels of a pipette reach when the uppermost of them stands in `well`.

        Channels stand 9 mm apart: every channel is in the one well of a trough, in the next row of eight, in every
        second row of sixteen. Fewer than eight channels reach part of a column.

        Raises:
            LabwareError: the well does not exist, or so many channels do not fit there.
        """
        if well not in self.well_names:
            raise LabwareError(
                f"{self.load_name} has no well {well}", remedy=f"use {self.wells[0]} to {self.wells[-1]}"
            )
        if channels == 1:
            return (well,)
        if self.kind == "trough" and self.rows == 1:
            return (well,) * channels
        reached = _below(well, channels, self.rows)
        if not reached:
            raise LabwareError(
                f"{channels} channels do not fit well {well} of {self.load_name} with {self.rows} rows",
                remedy="use one channel, or a well with enough rows of 9 mm below it",
            )
        return reached

    def uppermost(self, well: str, channels: int) -> str:
        """Well of the uppermost channel when the lowest of them stands in `well`; the inverse of `reached(...)[-1]`."""
        if channels == 1 or self.rows not in {8, 16}:
            return well
        row = string.ascii_uppercase.index(well[0]) - (self.rows // 8) * (channels - 1)
        return f"{string.ascii_uppercase[row]}{well[1:]}" if row >= 0 else well


@cache
def _below(well: str, channels: int, rows: int) -> tuple[str, ...]:
    """Wells every 9 mm from `well` downwards, as many as channels; none where they do not fit."""
    stride, first = rows // 8, string.ascii_uppercase.index(well[0])
    last = first + stride * (channels - 1)
    if rows not in {8, 16} or last >= rows:
        return ()
    return tuple(f"{string.ascii_uppercase[row]}{well[1:]}" for row in range(first, last + 1, stride))
