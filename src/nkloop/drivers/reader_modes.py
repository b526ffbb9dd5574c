"""What a plate reader can measure, so that a plate it cannot read is refused before any liquid moves."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nkloop.assays.measurements import ReadRequest
from nkloop.errors import BenchError
from nkloop.frozen import FrozenModel


class FilterPair(FrozenModel):
    """An excitation and an emission filter that are used together."""

    excitation_nm: int = Field(ge=200, le=1000)
    emission_nm: int = Field(ge=200, le=1000)


class ReaderMode(FrozenModel):
    """One way a reader measures, with the wavelengths it has for it."""

    mode: Literal["absorbance", "fluorescence", "luminescence"]
    wavelengths_nm: tuple[int, ...] = ()
    """Filters of a filter reader, for absorbance."""
    range_nm: tuple[int, int] | None = None
    """Shortest and longest wavelength of a monochromator; of excitation and emission alike in fluorescence."""
    filters: tuple[FilterPair, ...] = ()
    """Filter pairs for fluorescence."""
    tolerance_nm: int = Field(default=0, ge=0, le=20)
    """A filter this far from the wavelength wanted is taken for it."""
    saturation: float | None = Field(default=None, gt=0)
    """Signal from which on a well counts as saturated, in the reader's unit."""
    note: str = ""

    @model_validator(mode="after")
    def _has_wavelengths_that_fit(self) -> Self:
        if self.range_nm is not None and not 190 <= self.range_nm[0] < self.range_nm[1] <= 1100:
            raise ValueError(
                f"range_nm is {list(self.range_nm)}, must rise and lie within 190 to 1100 nm. "
                f"Remedy: write the shortest first"
            )
        if self.mode == "absorbance" and not (self.wavelengths_nm or self.range_nm):
            raise ValueError("absorbance without a wavelength. Remedy: give wavelengths_nm or range_nm")
        if self.mode == "fluorescence" and not (self.filters or self.range_nm):
            raise ValueError("fluorescence without a filter. Remedy: give filters or range_nm")
        return self

    def has_wavelength(self, wavelength_nm: int) -> bool:
        """Whether this wavelength (nm) can be read in absorbance."""
        low, high = self.range_nm or (1, 0)
        return low <= wavelength_nm <= high or any(
            abs(own - wavelength_nm) <= self.tolerance_nm for own in self.wavelengths_nm
        )

    def has_filters(self, excitation_nm: int, emission_nm: int) -> bool:
        """Whether this pair (nm) can be read in fluorescence."""
        low, high = self.range_nm or (1, 0)
        return (low <= excitation_nm <= high and low <= emission_nm <= high) or any(
            abs(own.excitation_nm - excitation_nm) <= self.tolerance_nm
            and abs(own.emission_nm - emission_nm) <= self.tolerance_nm
            for own in self.filters
        )

    @property
    def words(self) -> str:
        """Mode and wavelengths in a few words."""
        told = [f"{self.range_nm[0]} to {self.range_nm[1]} nm"] if self.range_nm else []
        told += [", ".join(str(one) for one in self.wavelengths_nm) + " nm"] if self.wavelengths_nm else []
        pairs = ", ".join(f"{one.excitation_nm}/{one.emission_nm}" for one in self.filters)
        told += [f"{pairs} nm"] if pairs else []
        return f"{self.mode} ({'; '.join(told)})" if told else self.mode


def lacking(request: ReadRequest, modes: tuple[ReaderMode, ...]) -> str:
    """What a reader lacks for a read, as `has no 490 nm`; empty when it lacks nothing, or its modes are not listed."""
    of_mode = [one for one in modes if one.mode == request.mode]
    if modes and not of_mode:
        return f"does not read {request.mode}"
    if request.mode == "absorbance":
        asked = filter(None, (request.wavelength_nm, request.reference_wavelength_nm))
        missing = [f"no {one} nm" for one in asked if modes and not any(mode.has_wavelength(one) for mode in of_mode)]
        return f"has {' and '.join(missing)}" if missing else ""
    if modes and request.mode == "fluorescence" and request.excitation_nm and request.emission_nm:
        pair = (request.excitation_nm, request.emission_nm)
        if not any(one.has_filters(*pair) for one in of_mode):
            return f"has no filters {pair[0]}/{pair[1]} nm"
    return ""


def require_readable(request: ReadRequest, modes: tuple[ReaderMode, ...], reader: str, *, remedy: str = "") -> None:
    """Refuse a read the reader cannot make; a reader whose modes are not listed is asked when the time comes.

    Args:
        request: what is to be read.
        modes: of the reader.
        reader: how people call it.
        remedy: what to do about it, where more is known than that the reader does not suit.

    Raises:
        BenchError: mode or wavelength are not among those of the bench file.
    """
    if told := lacking(request, modes):
        has = ", ".join(one.words for one in modes)
        raise BenchError(
            f"{reader} {told}, it reads {has}",
            where=f"plate {request.barcode}",
            remedy=remedy or "choose an assay method this reader can read, or a bench with another reader",
        )
