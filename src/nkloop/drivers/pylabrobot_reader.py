"""A plate reader that PyLabRobot drives, whatever its maker.

PyLabRobot's frontends are not safe for two calls at once nor for two event loops, so one lock guards the reader and
the loop that used it first keeps it.
"""

from __future__ import annotations

import asyncio
import math
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pylabrobot.plate_reading import PlateReader as Frontend
from pylabrobot.plate_reading.backend import PlateReaderBackend
from pylabrobot.resources import Plate, Well
from pylabrobot.resources.utils import create_ordered_items_2d

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.bench import import_class
from nkloop.drivers.interfaces import Finding
from nkloop.errors import DeviceError
from nkloop.worklists.contents import LabwareLookup

FOOTPRINT_MM = (127.76, 85.48, 14.4)
"""Length, width and height of a microplate (ANSI/SLAS 1-2004 and 2-2004)."""
PITCH_MM = {96: 9.0, 384: 4.5, 48: 13.0, 24: 19.3, 12: 26.0, 6: 39.0}
"""Distance between well centres by number of wells (ANSI/SLAS 4-2004 for 96 and 384, makers' drawings below)."""
FOCAL_HEIGHT_MM = 12.0


class PyLabRobotReader:
    """One reader. The plate resource is made for each read from rows and columns only; its name is the barcode."""

    def __init__(
        self,
        name: str,
        *,
        backend: str,
        backend_settings: Mapping[str, Any] | None = None,
        serial_number: str = "",
        saturation: float | None = None,
        catalogue: LabwareLookup | None = None,
    ) -> None:
        """Build the backend; the device is opened at the first read.

        Args:
            name: how people call the reader.
            backend: dotted path `package.module:Class` of a PyLabRobot `PlateReaderBackend`.
            backend_settings: its keyword arguments.
            serial_number: of the instrument, for the record.
            saturation: signal at and above which a well counts as saturated (4.0 for most absorbance readers).
            catalogue: gives rows and columns; without it every plate has 96 wells.

        Raises:
            BenchError: the backend class does not exist.
        """
        self.name = name
        self._serial_number = serial_number
        self._saturation = math.inf if saturation is None else saturation
        self._catalogue = catalogue
        driver: PlateReaderBackend = import_class(backend, name)(**dict(backend_settings or {}))
        length, width, height = FOOTPRINT_MM
        self._frontend = Frontend(name=name, size_x=length, size_y=width, size_z=height, backend=driver)
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def inspect(self) -> tuple[Finding, ...]:
        """Open the reader; tells whether it answers.

        Raises:
            DeviceError: it does not.
        """
        async with self._lock:
            await self._open()
        return (Finding(subject=self.name, found="answers", ok=True),)

    async def read(self, request: ReadRequest) -> Reading:
        """Measure the plate that lies in the reader; a reference wavelength is read too and subtracted.

        Raises:
            DeviceError: wavelengths are missing, the reader failed, or it gave no value for a well.
        """
        _require_wavelengths(request, self.name)
        async with self._lock:
            await self._open()
            plate = make_plate(request.barcode, *self._shape(request.load_name))
            _require_wells(request, plate, self.name)
            self._frontend.assign_child_resource(plate)
            try:
                signal, read_at = await self._measure(plate, request, request.wavelength_nm)
                reference: dict[str, float] = {}
                if request.reference_wavelength_nm is not None:
                    reference, _ = await self._measure(plate, request, request.reference_wavelength_nm)
            finally:
                plate.unassign()
        return Reading(
            barcode=request.barcode,
            mode=request.mode,
            wavelength_nm=request.wavelength_nm or request.emission_nm,
            reference_wavelength_nm=request.reference_wavelength_nm,
            values={well: value - reference.get(well, 0.0) for well, value in signal.items()},
            saturated=tuple(well for well, value in signal.items() if value >= self._saturation),
            instrument=self.name,
            serial_number=self._serial_number,
            read_at=read_at,
        )

    async def close(self) -> None:
        """Release the device."""
        if self._loop is not None:
            await self._frontend.stop()
            self._loop = None

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            try:
                await self._frontend.setup()
            # A backend may raise anything its maker's protocol or the operating system has; all mean the same here.
            except Exception as error:
                raise DeviceError(
                    f"the reader cannot be opened: {error}", where=self.name, remedy="switch it on, check its cable"
                ) from error
            self._loop = loop
        elif self._loop is not loop:
            raise DeviceError(
                "the reader belongs to another event loop",
                where=self.name,
                remedy="read from the task that opened the bench, with await and not with submit",
            )

    def _shape(self, load_name: str) -> tuple[int, int]:
        if self._catalogue is None:
            return 8, 12
        kind = self._catalogue[load_name]
        return kind.rows, kind.columns

    async def _measure(
        self, plate: Plate, request: ReadRequest, wavelength_nm: int | None
    ) -> tuple[dict[str, float], datetime]:
        wells = request.wells or tuple(well_names(plate.num_items_y, plate.num_items_x))
        asked: dict[str, Any] = {"wells": [plate.get_well(well) for well in wells], "use_new_return_type": True}
        try:
            if request.mode == "absorbance":
                found = await self._frontend.read_absorbance(wavelength=wavelength_nm, **asked)
            elif request.mode == "luminescence":
                found = await self._frontend.read_luminescence(focal_height=FOCAL_HEIGHT_MM, **asked)
            else:
                found = await self._frontend.read_fluorescence(
                    excitation_wavelength=request.excitation_nm,
                    emission_wavelength=request.emission_nm,
                    focal_height=FOCAL_HEIGHT_MM,
                    **asked,
                )
        # A backend may raise anything; whatever it is, the plate was not read.
        except Exception as error:
            raise DeviceError(
                f"the plate was not read: {error}",
                where=f"{self.name}, plate {request.barcode}",
                remedy="check that the plate lies in the reader and that it has this mode and wavelength",
            ) from error
        measured = found[0]
        values = {well: self._signal(measured["data"], well) for well in wells}
        missing = [well for well, value in values.items() if not math.isfinite(value)]
        if missing:
            raise DeviceError(
                f"no value for {', '.join(missing[:8])}",
                where=f"{self.name}, plate {request.barcode}",
                remedy="check the wells asked for and the reader's range, then read again",
            )
        return values, datetime.fromtimestamp(measured["time"], UTC)

    def _signal(self, grid: Any, well: str) -> float:
        row, column = string.ascii_uppercase.index(well[0]), int(well[1:]) - 1
        value = grid[row][column]
        if value is None:
            return math.nan
        # Readers give infinity above their range; the limit is what is known of such a well.
        return self._saturation if value == math.inf else float(value)


def well_names(rows: int, columns: int) -> list[str]:
    """Names column by column: A1, B1, ..."""
    return [f"{row}{column}" for column in range(1, columns + 1) for row in string.ascii_uppercase[:rows]]


def make_plate(barcode: str, rows: int, columns: int) -> Plate:
    """A plate with the standard footprint and evenly spaced wells, named by its barcode.

    Raises:
        DeviceError: no standard plate has this number of wells.
    """
    pitch = PITCH_MM.get(rows * columns)
    if pitch is None:
        raise DeviceError(
            f"a plate with {rows * columns} wells cannot be read",
            where=barcode,
            remedy=f"use a plate with {', '.join(str(n) for n in sorted(PITCH_MM))} wells",
        )
    length, width, height = FOOTPRINT_MM
    across = 0.75 * pitch
    wells = create_ordered_items_2d(
        Well,
        num_items_x=columns,
        num_items_y=rows,
        dx=(length - (columns - 1) * pitch - across) / 2,
        dy=(width - (rows - 1) * pitch - across) / 2,
        dz=1.0,
        item_dx=pitch,
        item_dy=pitch,
        size_x=across,
        size_y=across,
        size_z=height - 1.0,
    )
    return Plate(name=barcode, size_x=length, size_y=width, size_z=height, ordered_items=wells)


def _require_wavelengths(request: ReadRequest, reader: str) -> None:
    needed = {"absorbance": ("wavelength_nm",), "fluorescence": ("excitation_nm", "emission_nm"), "luminescence": ()}
    missing = [name for name in needed[request.mode] if getattr(request, name) is None]
    if missing:
        raise DeviceError(f"{request.mode} needs {' and '.join(missing)}", where=reader, remedy="give it in nm")
    if request.reference_wavelength_nm is not None and request.mode != "absorbance":
        raise DeviceError(
            f"{request.mode} has no reference wavelength", where=reader, remedy="leave the reference wavelength out"
        )


def _require_wells(request: ReadRequest, plate: Plate, reader: str) -> None:
    known = set(well_names(plate.num_items_y, plate.num_items_x))
    absent = [well for well in request.wells if well not in known]
    if absent:
        raise DeviceError(
            f"{request.load_name} has no well {', '.join(absent[:8])}", where=reader, remedy="correct the wells"
        )
