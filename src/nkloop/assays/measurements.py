"""What instruments measure: plate readings and cell counts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from nkloop.frozen import FrozenModel


class ReadRequest(FrozenModel):
    """What to measure."""

    barcode: str
    load_name: str
    mode: Literal["absorbance", "fluorescence", "luminescence"]
    wavelength_nm: int | None = None
    reference_wavelength_nm: int | None = None
    excitation_nm: int | None = None
    emission_nm: int | None = None
    wells: tuple[str, ...] = ()
    """Empty reads every well."""
    run_id: str | None = None
    """Run the plate comes from, for readers whose reading is delivered later."""


class Reading(FrozenModel):
    """One plate read: raw values with where they come from."""

    barcode: str
    mode: Literal["absorbance", "fluorescence", "luminescence"]
    wavelength_nm: int | None = None
    reference_wavelength_nm: int | None = None
    values: dict[str, float]
    """Well name to signal, reference wavelength already subtracted when one was read."""
    saturated: tuple[str, ...] = ()
    """Wells at or above the reader's upper limit."""
    instrument: str
    serial_number: str
    read_at: datetime
    file_sha256: str | None = None


class CellCount(FrozenModel):
    """Counter and flow cytometer result of one well or tube."""

    barcode: str
    well: str
    viable_per_ml: float = Field(ge=0)
    viability_percent: float = Field(ge=0, le=100)
    purity_percent: float = Field(ge=0, le=100)
    """CD56+CD3- share of viable cells."""
    cd34_percent: float = Field(default=0, ge=0, le=100)
    volume_ml: float = Field(ge=0)
    counted_at: datetime | None = None
    """When, where the counter tells it."""

    @property
    def viable_cells(self) -> float:
        """Viable cells in the whole well."""
        return self.viable_per_ml * self.volume_ml
