"""What a Flex exported of a plate it read, as a reading."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.assays.readings.cells import read_rows
from nkloop.assays.readings.models import PlateReading
from nkloop.assays.readings.opentrons_reader import read_opentrons
from nkloop.drivers.interfaces import DeviceFile
from nkloop.drivers.opentrons.plate_protocol import EXPORT
from nkloop.errors import DeviceError, ReadingError


def reading_of(
    request: ReadRequest, files: Sequence[DeviceFile], reader: str, *, serial_number: str, saturation: float
) -> Reading:
    """The reading of a plate, less the reference wavelength where one was asked for.

    Args:
        request: what was to be measured.
        files: what the robot exported.
        reader: how people call the reader.
        serial_number: of the reader, as the bench file says; empty when it does not.
        saturation: optical density from which on a well counts as saturated, at either wavelength.

    Raises:
        DeviceError: a wavelength is missing, the files are of another reader, or they cannot be understood.
    """
    exported = [one for one in files if one.media_type == "text/csv" and one.name.startswith(EXPORT)]
    found: dict[int, tuple[DeviceFile, PlateReading]] = {}
    for one in exported:
        parsed = parsed_file(one)
        found |= {frame.wavelength_nm: (one, parsed) for frame in parsed.frames if frame.wavelength_nm}
    asked = [one for one in (request.wavelength_nm, request.reference_wavelength_nm) if one is not None]
    missing = [one for one in asked if one not in found]
    if missing or request.wavelength_nm is None:
        told = ", ".join(one.name for one in exported) or "no file"
        what = f"no values at {missing[0]} nm" if missing else "no wavelength was asked for"
        raise DeviceError(f"{what}; the robot exported {told}", where=reader, remedy="read the plate again")
    file, signal = found[request.wavelength_nm]
    if serial_number and signal.serial_number not in {None, serial_number}:
        told = f"the file is of reader {signal.serial_number}, the bench file has {serial_number}"
        raise DeviceError(
            told, where=reader, remedy="correct serial_number in the bench file after a look at the reader"
        )
    values = _values(signal, request.wavelength_nm)
    other = request.reference_wavelength_nm
    reference = _values(found[other][1], other) if other is not None else {}
    names = request.wells or tuple(values)
    return Reading(
        barcode=request.barcode,
        mode="absorbance",
        wavelength_nm=request.wavelength_nm,
        reference_wavelength_nm=other,
        values={well: values[well] - reference.get(well, 0.0) for well in names},
        saturated=tuple(well for well in names if max(values[well], reference.get(well, -math.inf)) >= saturation),
        instrument=reader,
        serial_number=signal.serial_number or serial_number,
        read_at=signal.read_at or datetime.now(UTC),
        file_sha256=hashlib.sha256(file.content).hexdigest(),
    )


def parsed_file(file: DeviceFile) -> PlateReading:
    """The reading of an exported file.

    Raises:
        DeviceError: it is not in the layout of the robot's software.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file.name).name
        path.write_bytes(file.content)
        try:
            data, rows = read_rows(path)
            return read_opentrons(path, rows, hashlib.sha256(data).hexdigest())
        except (ReadingError, KeyError, ValueError) as error:
            remedy = "the numbers also stand in the JSON file beside it; tell which robot software wrote it"
            raise DeviceError(f"it cannot be understood: {error}", where=file.name, remedy=remedy) from error


def _values(parsed: PlateReading, wavelength_nm: int) -> dict[str, float]:
    return dict(next(frame for frame in parsed.frames if frame.wavelength_nm == wavelength_nm).values)
