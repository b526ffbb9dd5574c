"""One function for the file of a plate, whatever program wrote it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from nkloop.assays.readings.allotrope import names_of, plate_readings
from nkloop.assays.readings.cells import Row, read_rows
from nkloop.assays.readings.generic import read_generic
from nkloop.assays.readings.models import PlateReading
from nkloop.assays.readings.opentrons_reader import read_opentrons
from nkloop.assays.readings.programs import Program, program_of
from nkloop.errors import ReadingError, VendorError

_FILTER_NM = re.compile(r"CWL=(\d{3,4})\s*nm")
_HEADING_NM = re.compile(r"Raw Data \((\d{3,4})")


class InstrumentFiles(Protocol):
    """What turns an export into an Allotrope simple model: the client of the vendor environment."""

    async def parse_instrument_file(self, path: Path, vendor: str, /) -> dict[str, Any]:
        """Parse one file; raises VendorError when allotropy refuses it."""


def read_plate_file(path: Path, *, plate: str = "") -> PlateReading:
    """Read the file of one plate; the vendor environment is started when the file needs it.

    Args:
        path: an export of a reader program, or a plain grid or table.
        plate: which one, when the file holds several.

    Raises:
        ReadingError: the file is missing, nothing in it can be understood, or it holds several plates and `plate` names
            none of them.
    """
    data, rows = read_rows(path)
    program = program_of(rows)
    if program is None or not program.allotropy:
        return one_plate(_read_ourselves(path, data, rows, program), plate, path)
    return one_plate(asyncio.run(_with_own_client(path)), plate, path)


async def read_plates(path: Path, vendor: InstrumentFiles) -> tuple[PlateReading, ...]:
    """Every plate of a file.

    Raises:
        ReadingError: the file is missing, or nothing in it can be understood.
    """
    data, rows = read_rows(path)
    program = program_of(rows)
    if program is None or not program.allotropy:
        return _read_ourselves(path, data, rows, program)
    if program.measures != "plate":
        raise _no_plate(path, program)
    document = await parsed(path, program, vendor)
    readings = plate_readings(document, file=path.name, digest=_digest(data), program=program.name)
    return tuple(_with_wavelength(reading, rows) for reading in readings)


async def parsed(path: Path, program: Program, vendor: InstrumentFiles) -> dict[str, Any]:
    """A file as allotropy understands it.

    Raises:
        ReadingError: allotropy refuses the file; its words are told.
    """
    with tempfile.TemporaryDirectory(prefix="nkloop-reading-") as folder:
        # allotropy goes by the ending, people rename files
        copy = Path(folder) / f"{path.stem}.{program.extension}"
        shutil.copyfile(path, copy)
        try:
            return await vendor.parse_instrument_file(copy, program.allotropy)
        except VendorError as error:
            raise ReadingError(
                f"this looks like an export of {program.name}, but it cannot be read: {error.problems[0].message}",
                where=str(path),
                remedy="export the raw data of the plate again, with its settings",
            ) from error


def one_plate(readings: Sequence[PlateReading], plate: str, path: Path) -> PlateReading:
    """The plate meant.

    Raises:
        ReadingError: the file holds several and none of them, or more than one, is meant.
    """
    if len(readings) == 1:
        return readings[0]
    meant = [r for r in readings if plate and plate in {r.barcode, r.settings.get("plate")}]
    if len(meant) == 1:
        return meant[0]
    raise ReadingError(
        f"the file holds {len(readings)} plates ({names_of(readings)})"
        + (f" and '{plate}' is not one of them" if plate else ""),
        where=str(path),
        remedy="name one of them, or export one plate alone",
    )


async def _with_own_client(path: Path) -> tuple[PlateReading, ...]:
    from nkloop.vendor import VendorClient, answers_folder

    async with VendorClient(cache=answers_folder()) as vendor:
        return await read_plates(path, vendor)


def _read_ourselves(path: Path, data: bytes, rows: Sequence[Row], program: Program | None) -> tuple[PlateReading, ...]:
    if program is None:
        return (read_generic(path),)
    return (read_opentrons(path, rows, _digest(data)),)


def _no_plate(path: Path, program: Program) -> ReadingError:
    return ReadingError(
        f"this is a file of {program.name}, which counts cells and reads no plates",
        where=str(path),
        remedy="read it with `nkloop analyse counts`",
    )


def _with_wavelength(reading: PlateReading, rows: Sequence[Row]) -> PlateReading:
    """The wavelength as the heading of the numbers or the filter says it, where the settings do not."""
    if reading.mode != "absorbance" or any(frame.wavelength_nm for frame in reading.frames):
        return reading
    cells = [cell for row in rows for cell in row.cells]
    told = {int(m[1]) for cell in cells for m in (_FILTER_NM.search(cell), _HEADING_NM.match(cell)) if m}
    if len(told) != 1 or len(reading.frames) != 1:
        return reading
    wavelength = told.pop()
    frame = reading.frames[0].model_copy(update={"wavelength_nm": wavelength})
    return reading.model_copy(update={"wavelength_nm": wavelength, "frames": (frame,)})


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
