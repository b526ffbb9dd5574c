"""What stands in the file of a plate reader, cytometer or live-cell imager, whatever program wrote it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from nkloop.frozen import FrozenModel

ReadMode = Literal["absorbance", "fluorescence", "time-resolved fluorescence", "luminescence", "cytometry", "impedance"]


class Frame(FrozenModel):
    """One value per well: one wavelength, one time point or one counted population."""

    quantity: str = "signal"
    """What was measured: `signal` for an optical read, else the population, for example `dead_targets`."""
    minutes: float | None = None
    """Time of a kinetic read on the file's own clock; None for an end point."""
    wavelength_nm: int | None = None
    values: dict[str, float]
    """Well (`A1`) to value."""
    saturated: tuple[str, ...] = ()
    """Wells the reader calls over range; they have no value unless the file gives one."""
    unreadable: dict[str, str] = Field(default_factory=dict)
    """Well to the text that stands where a number should."""


class PlateReading(FrozenModel):
    """One plate as one file tells it."""

    file: str
    """Name of the file, without folder."""
    file_sha256: str
    format: str
    """Program or layout of the file, for example `generic grid` or `SoftMax Pro`."""
    plate_wells: Literal[96, 384]
    frames: tuple[Frame, ...] = Field(min_length=1)
    barcode: str | None = None
    mode: ReadMode | None = None
    wavelength_nm: int | None = None
    reference_wavelength_nm: int | None = None
    excitation_nm: int | None = None
    emission_nm: int | None = None
    instrument: str | None = None
    serial_number: str | None = None
    read_at: datetime | None = None
    """With its zone; a file without one is taken as UTC and says so in `notes`."""
    settings: dict[str, str] = Field(default_factory=dict)
    """Every other setting the file tells, in its own words."""
    notes: tuple[str, ...] = ()
    """What the reader of the file had to assume."""

    @property
    def wells(self) -> frozenset[str]:
        """All wells that any frame mentions."""
        return frozenset(well for f in self.frames for well in (*f.values, *f.saturated, *f.unreadable))
