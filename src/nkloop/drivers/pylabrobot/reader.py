"""A plate reader that PyLabRobot drives, whatever its maker.

Every call goes through the reader's owner: one thread with one event loop, one measurement after the other, whichever
loop or thread asks.
"""

from __future__ import annotations

import asyncio
import math
import string
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.bench import import_class
from nkloop.drivers.interfaces import Fence, Finding, unguarded
from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.owner import DeviceOwner
from nkloop.drivers.pylabrobot.plates import make_plate, well_names
from nkloop.drivers.pylabrobot.readers import MODELS, build, identity, measure, refusal, refused
from nkloop.drivers.pylabrobot.settings import model_findings
from nkloop.errors import BenchError, DeviceError
from nkloop.worklists.contents import LabwareLookup
from nkloop.yamlfile import Finding as FileFinding


class PyLabRobotReader:
    """One reader. The plate is described anew for each read; its name is the barcode."""

    @staticmethod
    def settings_findings(settings: Mapping[Any, Any]) -> Iterator[FileFinding]:
        """What is wrong with the settings of a bench file, each with its path in them."""
        yield from model_findings(settings, MODELS)

    def __init__(
        self,
        name: str,
        *,
        model: str = "",
        backend: str = "",
        backend_settings: Mapping[str, Any] | None = None,
        serial_number: str = "",
        saturation: float | None = None,
        catalogue: LabwareLookup | None = None,
    ) -> None:
        """Build the backend; the device is opened at the first read.

        Args:
            name: how people call the reader.
            model: one of the models known by name; see `docs/reference/pylabrobot-bench.md`.
            backend: dotted path `package.module:Class` of any other PyLabRobot `PlateReaderBackend`.
            backend_settings: keyword arguments of the backend.
            serial_number: of the instrument, for the record.
            saturation: signal at and above which a well counts as saturated (4.0 for most absorbance readers).
            catalogue: gives rows, columns and places of wells; without it every plate has 96 wells.

        Raises:
            BenchError: neither or both of model and backend are given, or the backend cannot be built.
        """
        if bool(model) == bool(backend):
            raise BenchError(
                "give `model` or `backend`, one of them", where=name, remedy=f"model: one of {', '.join(MODELS)}"
            )
        self.name = name
        self.fence: Fence = unguarded
        self._serial_number = serial_number
        self._saturation = math.inf if saturation is None else saturation
        self._catalogue = catalogue
        self._model = MODELS.get(model)
        settings = dict(backend_settings or {})
        self.backend: Any = build(model, name, settings) if model else import_class(backend, name)(**settings)
        self._owner = DeviceOwner(name)
        self._is_open = False

    async def inspect(self) -> tuple[Finding, ...]:
        """Open the reader and ask who it is; one that opening would move is left alone until it reads.

        Raises:
            DeviceError: it does not answer.
        """

        software = Finding(subject="software", found=f"PyLabRobot {adapter.version()}", ok=True)
        model = self._model
        if model is not None and (model.initialises or model.opens_empty) and not self._is_open:
            does = "initialises it" if model.initialises else "measures its blank"
            told = f"not asked: PyLabRobot {does} when it opens a {model.title}; the first reading does"
            remedy = "look yourself that it is switched on and its cable is in"
            return (Finding(subject=self.name, found=told, ok=True, remedy=remedy), software)

        async def look() -> tuple[Finding, ...]:
            await self._open()
            return await identity(self.backend)

        found = await self._owner.asked(look, "the reader cannot be opened", "switch it on, check its cable")
        return (Finding(subject=self.name, found="answers", ok=True), software, *found)

    async def open_empty(self) -> None:
        """Open a reader that measures its blank while it is opened; others are opened when they read.

        Raises:
            DeviceError: it does not answer.
        """
        if self._model is not None and self._model.opens_empty and not self._is_open:
            await self._owner.asked(self._open, "the reader cannot be opened", "switch it on, check its cable")

    async def read(self, request: ReadRequest) -> Reading:
        """Measure the plate that lies in the reader; a reference wavelength is read too and subtracted.

        A well that is saturated at either wavelength counts as saturated: its difference is no signal.

        Raises:
            DeviceError: wavelengths are missing or out of the reader's range, it failed, or gave no value for a well.
        """
        _require_wavelengths(request, self.name)
        plate = make_plate(request.barcode, request.load_name, self._catalogue)
        n_wells = plate.num_items_x * plate.num_items_y
        if self._model is not None and (why := refusal(self._model, request, n_wells)):
            raise refused(self._model, why, f"{self.name}, plate {request.barcode}")
        _require_wells(request, plate, self.name)
        if self._model is not None and self._model.opens_empty and not self._is_open:
            raise DeviceError(
                "it measures its blank when it is opened, and the plate lies in it already",
                where=f"{self.name}, plate {request.barcode}",
                remedy="take the plate out and read it again from the task that opens the reader first",
            )
        signal, read_at = await self._measure(plate, request, request.wavelength_nm)
        reference: dict[str, float] = {}
        if request.reference_wavelength_nm is not None:
            reference, _ = await self._measure(plate, request, request.reference_wavelength_nm)
        return Reading(
            barcode=request.barcode,
            mode=request.mode,
            wavelength_nm=request.wavelength_nm or request.emission_nm,
            reference_wavelength_nm=request.reference_wavelength_nm,
            values={well: value - reference.get(well, 0.0) for well, value in signal.items()},
            saturated=tuple(w for w in signal if max(signal[w], reference.get(w, -math.inf)) >= self._saturation),
            instrument=self.name,
            serial_number=self._serial_number,
            read_at=read_at,
        )

    async def close(self) -> None:
        """Release the device."""
        if self._is_open:
            self._is_open = False
            await self._owner.call(self.backend.stop)
        await asyncio.to_thread(self._owner.close)

    async def _open(self) -> None:
        if not self._is_open:
            self.fence()
            adapter.switch_on()
            await self.backend.setup()
            self._is_open = True

    async def _measure(
        self, plate: Any, request: ReadRequest, wavelength_nm: int | None
    ) -> tuple[dict[str, float], datetime]:
        names = request.wells or tuple(well_names(plate.num_items_y, plate.num_items_x))
        is_whole = self._model is not None and self._model.reads_whole_plates
        wells = plate.get_all_items() if is_whole else [plate.get_well(well) for well in names]
        style = self._model.asked_by if self._model is not None else "wells"
        where = f"{self.name}, plate {request.barcode}"

        async def do() -> Any:
            await self._open()
            self.fence()  # here, not before: somebody may take the reader over while this waits for its turn
            return await measure(self.backend, style, plate, wells, request, wavelength_nm)

        measured = await self._owner.asked(
            do,
            "the plate was not read",
            "check that the reader is on, the plate lies in it, and that it has this mode and wavelength",
            where,
        )
        values = {well: self._signal(measured["data"], well) for well in names}
        missing = [well for well, value in values.items() if not math.isfinite(value)]
        if missing:
            raise DeviceError(
                f"no value for {', '.join(missing[:8])}",
                where=where,
                remedy="check the wells asked for and the reader's range, then read again",
            )
        return values, datetime.fromtimestamp(measured["time"], UTC)

    def _signal(self, grid: Any, well: str) -> float:
        row, column = string.ascii_uppercase.index(well[0]), int(well[1:]) - 1
        value = grid[row][column] if row < len(grid) and column < len(grid[row]) else None
        if value is None:
            return math.nan
        # Readers give infinity above their range; the limit is what is known of such a well.
        return self._saturation if value == math.inf else float(value)


def _require_wavelengths(request: ReadRequest, reader: str) -> None:
    needed = {"absorbance": ("wavelength_nm",), "fluorescence": ("excitation_nm", "emission_nm"), "luminescence": ()}
    missing = [name for name in needed[request.mode] if getattr(request, name) is None]
    if missing:
        raise DeviceError(f"{request.mode} needs {' and '.join(missing)}", where=reader, remedy="give it in nm")
    if request.reference_wavelength_nm is not None and request.mode != "absorbance":
        raise DeviceError(
            f"{request.mode} has no reference wavelength", where=reader, remedy="leave the reference wavelength out"
        )


def _require_wells(request: ReadRequest, plate: Any, reader: str) -> None:
    known = set(well_names(plate.num_items_y, plate.num_items_x))
    absent = [well for well in request.wells if well not in known]
    if absent:
        raise DeviceError(
            f"{request.load_name} has no well {', '.join(absent[:8])}", where=reader, remedy="correct the wells"
        )
