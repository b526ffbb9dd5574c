"""The CSV a Flex writes for its plate reader: one grid per wavelength, empty templates, then the settings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from nkloop.assays.readings.cells import Row
from nkloop.assays.readings.grid import Problems, grid_at
from nkloop.assays.readings.models import Frame, PlateReading
from nkloop.errors import Problem, ReadingError

_TIME = "%m %d %H:%M:%S %Y"
"""As in `11 23 07:34:58 2026`."""
_PROTOCOL = "Sample Wavelength (nm)"


def read_opentrons(path: Path, rows: Sequence[Row], digest: str) -> PlateReading:
    """Read the file of one plate.

    Raises:
        ReadingError: it holds no values, or not as many grids as wavelengths.
    """
    told = {row.cells[0]: row.cell(1) for row in rows if len(row.cells) == 2}
    wavelengths = [int(float(row.cell(1))) for row in rows if row.cells[0] == _PROTOCOL and row.cell(1)]
    reference = told.get("Reference Wavelength (nm)")
    frames, problems = _frames(rows, wavelengths)
    if not problems and not frames:
        problems.append((1, "the file holds no value", "read the plate again and export it"))
    if not problems and len(frames) != len(wavelengths):
        text = f"the file holds {len(frames)} plates of values for {len(wavelengths)} wavelengths"
        problems.append((1, text, "export one read alone"))
    if problems:
        raise ReadingError.from_problems(Problem(text, f"{path}:{line}", advice) for line, text, advice in problems)
    started = datetime.strptime(told["Measurement started at"], _TIME).replace(tzinfo=UTC)
    return PlateReading.model_validate(
        {
            "file": path.name,
            "file_sha256": digest,
            "format": "Opentrons plate reader",
            "plate_wells": 96,
            "frames": frames,
            "mode": "absorbance",
            "wavelength_nm": wavelengths[0] if len(wavelengths) == 1 else None,
            "reference_wavelength_nm": int(float(reference)) if reference else None,
            "instrument": "Opentrons Absorbance Plate Reader",
            "serial_number": told.get("Serial No.") or None,
            "read_at": started,
            "notes": (f"the time {started:%Y-%m-%d %H:%M:%S} has no zone in the file and is taken as UTC",),
        }
    )


def _frames(rows: Sequence[Row], wavelengths: Sequence[int]) -> tuple[list[Frame], Problems]:
    """Every grid that holds values; the templates below them are empty."""
    frames: list[Frame] = []
    problems: Problems = []
    place = 0
    while place < len(rows):
        grid = grid_at(rows, place)
        if grid is None:
            place += 1
            continue
        index = len(frames)
        about = {"wavelength_nm": str(wavelengths[index])} if index < len(wavelengths) else {}
        is_filled = any(text for _, _, text in grid.cells())
        frame, place = grid.frame(about, comma_is_decimal=False, problems=problems)
        if is_filled:
            frames.append(frame)
    return frames, problems
