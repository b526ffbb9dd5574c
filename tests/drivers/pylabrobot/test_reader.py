"""Any PyLabRobot backend as a plate reader: wells, reference wavelength, saturation, one loop."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from typing import Any

import pytest

from nkloop.assays.measurements import ReadRequest
from nkloop.drivers.interfaces import OpensEmpty
from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.plates import PITCH_MM, make_plate, well_names
from nkloop.drivers.pylabrobot.reader import PyLabRobotReader
from nkloop.drivers.pylabrobot.readers import MODELS
from nkloop.errors import BenchError, DeviceError
from nkloop.labware import Catalogue as LabwareCatalogue
from nkloop.labware.models import LabwareType


class Backend(adapter.part("plate_reading.backend").PlateReaderBackend):  # type: ignore[misc, name-defined]
    """Gives row + column / 100 at every wavelength, 0.5 less at the reference of 680 nm."""

    def __init__(self, special: dict[str, Any] | None = None, fails_at: str = "") -> None:
        super().__init__()
        self.special, self.fails_at = special or {}, fails_at
        self.at_reference: dict[tuple[int, int], float] = {}
        self.plates: list[str] = []
        self.threads: set[int] = set()
        self.n_wells: list[int] = []
        self.busy = 0

    async def setup(self) -> None:
        if self.fails_at == "setup":
            raise OSError("no such port")

    async def stop(self) -> None: ...

    async def open(self) -> None: ...

    async def close(self, plate: Any) -> None: ...

    async def read_absorbance(self, plate: Any, wells: Any, wavelength: int) -> list[dict[str, Any]]:
        found = await self._grid(plate, wells, -0.5 if wavelength == 680 else 0.0)
        for (row, column), value in self.at_reference.items() if wavelength == 680 else ():
            found[0]["data"][row][column] = value
        return found

    async def read_luminescence(self, plate: Any, wells: Any, focal_height: float) -> list[dict[str, Any]]:
        return await self._grid(plate, wells, 1000.0)

    async def read_fluorescence(
        self, plate: Any, wells: Any, excitation_wavelength: int, emission_wavelength: int, focal_height: float
    ) -> list[dict[str, Any]]:
        return await self._grid(plate, wells, float(emission_wavelength))

    async def _grid(self, plate: Any, wells: Any, offset: float) -> list[dict[str, Any]]:
        if self.fails_at == "read":
            raise RuntimeError("lamp is off")
        self.plates.append(plate.name)
        self.threads.add(threading.get_ident())
        self.n_wells.append(len(wells))
        self.busy += 1
        assert self.busy == 1, "two reads at once"
        await asyncio.sleep(0)
        self.busy -= 1
        grid: list[list[float | None]] = [[None] * plate.num_items_x for _ in range(plate.num_items_y)]
        for well in wells:
            row, column = well.get_row(), well.get_column()
            name = well.get_identifier()
            grid[row][column] = self.special.get(name, row + 1 + (column + 1) / 100 + offset)
        return [{"time": 1_800_000_000.0, "temperature": math.nan, "data": grid}]


class Catalogue(dict[str, LabwareType]):
    """Knows a 24-well plate."""

    def __missing__(self, load_name: str) -> LabwareType:
        fields: dict[str, Any] = {"well_volume_ul": 1, "working_volume_ul": 1, "dead_volume_ul": 0}
        text = dict.fromkeys(("load_name", "namespace", "title", "manufacturer", "catalogue_number", "provenance"), "x")
        return LabwareType(version=1, kind="plate", rows=4, columns=6, **text, **fields)


def make_reader(**settings: Any) -> PyLabRobotReader:
    catalogue = settings.pop("catalogue", None)
    saturation = settings.pop("saturation", 4.0)
    reader = PyLabRobotReader(
        "reader",
        backend=f"{adapter.part('plate_reading.chatterbox').__name__}:PlateReaderChatterboxBackend",
        serial_number="S-9",
        saturation=saturation,
        catalogue=catalogue,
    )
    reader.backend = Backend(**settings)
    return reader


def absorbance(**changes: Any) -> ReadRequest:
    fields = {"barcode": "P-1", "load_name": "plate_96", "mode": "absorbance", "wavelength_nm": 490}
    return ReadRequest.model_validate({**fields, **changes})


async def test_a_plate_is_read_whole_and_named_by_its_barcode() -> None:
    reader = make_reader()
    reading = await reader.read(absorbance())
    assert len(reading.values) == 96
    assert reading.values["C7"] == pytest.approx(3.07)
    assert (reading.instrument, reading.serial_number, reading.read_at.year) == ("reader", "S-9", 2027)
    assert reading.read_at.utcoffset() is not None
    assert reader.backend.plates == ["P-1"]
    await reader.close()


async def test_the_reference_wavelength_is_subtracted_and_saturation_told_from_the_raw_signal() -> None:
    reading = await make_reader().read(absorbance(reference_wavelength_nm=680, wells=("A1", "D1", "H12")))
    assert list(reading.values) == ["A1", "D1", "H12"]
    assert reading.values["A1"] == pytest.approx(0.5)
    assert reading.saturated == ("D1", "H12")


async def test_a_well_saturated_at_the_reference_wavelength_only_is_saturated() -> None:
    reader = make_reader()
    reader.backend.at_reference = {(1, 1): 4.2, (2, 2): math.inf}
    reading = await reader.read(absorbance(reference_wavelength_nm=680, wells=("A1", "B2", "C3")))
    assert reading.saturated == ("B2", "C3")


async def test_a_plate_has_the_wells_of_the_catalogue() -> None:
    reading = await make_reader(catalogue=Catalogue()).read(absorbance())
    assert len(reading.values) == 24
    assert reading.values["D6"] == pytest.approx(4.06)


async def test_other_modes_are_read_too() -> None:
    reader = make_reader(saturation=None)
    light = await reader.read(absorbance(mode="luminescence", wavelength_nm=None))
    colour = await reader.read(absorbance(mode="fluorescence", wavelength_nm=None, excitation_nm=490, emission_nm=520))
    assert light.values["A1"] == pytest.approx(1001.01)
    assert (colour.values["A1"], colour.wavelength_nm) == (pytest.approx(521.01), 520)
    assert light.saturated == ()


async def test_two_reads_at_once_wait_for_each_other() -> None:
    reader = make_reader()
    both = await asyncio.gather(reader.read(absorbance()), reader.read(absorbance(barcode="P-2")))
    assert [reading.barcode for reading in both] == ["P-1", "P-2"]


async def test_above_the_range_is_saturated_and_no_value_is_an_error() -> None:
    reading = await make_reader(special={"B2": math.inf}).read(absorbance())
    assert reading.values["B2"] == 4.0
    assert "B2" in reading.saturated
    with pytest.raises(DeviceError, match="no value for A1, B2"):
        await make_reader(special={"A1": None, "B2": math.nan}).read(absorbance())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"wavelength_nm": None}, "absorbance needs wavelength_nm"),
        ({"mode": "fluorescence"}, "fluorescence needs excitation_nm and emission_nm"),
        ({"mode": "luminescence", "reference_wavelength_nm": 680}, "luminescence has no reference wavelength"),
        ({"wells": ("A1", "J1", "A13")}, "plate_96 has no well J1, A13"),
    ],
)
async def test_a_request_that_cannot_be_read_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DeviceError, match=told):
        await make_reader().read(absorbance(**changes))


@pytest.mark.parametrize(("place", "told"), [("setup", "not read: no such port"), ("read", "lamp is off")])
async def test_a_failing_device_is_told_and_can_be_used_again(place: str, told: str) -> None:
    reader = make_reader(fails_at=place)
    with pytest.raises(DeviceError, match=told):
        await reader.read(absorbance())
    reader.backend.fails_at = ""
    assert len((await reader.read(absorbance())).values) == 96
    await reader.close()


def test_every_event_loop_may_ask_and_all_calls_reach_the_device_from_one_thread() -> None:
    reader = make_reader()
    asyncio.run(reader.read(absorbance()))
    asyncio.run(reader.read(absorbance(barcode="P-2")))
    assert reader.backend.plates == ["P-1", "P-2"]
    assert len(reader.backend.threads) == 1
    assert threading.get_ident() not in reader.backend.threads
    asyncio.run(reader.close())


def test_an_absent_backend_is_told() -> None:
    with pytest.raises(BenchError, match="cannot be imported"):
        PyLabRobotReader("reader", backend="pylabrobot.plate_reading:NoSuchReader")


class Shaped(dict[str, LabwareType]):
    """Knows plates called `<rows>x<columns>`, and nothing of where their wells are."""

    def __missing__(self, load_name: str) -> LabwareType:
        rows, columns = (int(part) for part in load_name.split("x"))
        fields: dict[str, Any] = {"well_volume_ul": 1, "working_volume_ul": 1, "dead_volume_ul": 0}
        text = dict.fromkeys(("namespace", "title", "manufacturer", "catalogue_number", "provenance"), "x")
        return LabwareType(load_name=load_name, version=1, kind="plate", rows=rows, columns=columns, **text, **fields)


@pytest.mark.parametrize(("rows", "columns"), [(8, 12), (16, 24), (4, 6), (2, 3)])
def test_every_well_lies_inside_the_plate(rows: int, columns: int) -> None:
    plate = make_plate("P", f"{rows}x{columns}", Shaped())
    assert plate.num_items == rows * columns
    assert [well.get_identifier() for well in plate.get_all_items()] == well_names(rows, columns)
    for well in plate.get_all_items():
        assert 0 <= well.location.x <= plate.get_size_x() - well.get_size_x()
        assert 0 <= well.location.y <= plate.get_size_y() - well.get_size_y()
    assert rows * columns in PITCH_MM


def test_a_plate_of_odd_size_is_refused() -> None:
    with pytest.raises(DeviceError, match="plate with 7 wells cannot be read"):
        make_plate("P", "1x7", Shaped())


def test_a_plate_of_the_catalogue_has_its_wells_where_they_are(catalogue: LabwareCatalogue) -> None:
    plate = make_plate("P", "corning_24_wellplate_3.4ml_flat", catalogue)
    well = plate.get_well("B3")
    assert well.location.x + well.get_size_x() / 2 == pytest.approx(17.48 + 2 * 19.3)
    assert well.location.y + well.get_size_y() / 2 == pytest.approx(71.67 - 19.3)
    assert plate.get_size_x() == pytest.approx(127.76)


class Wavelengths:
    """Asked as PyLabRobot's backends of Molecular Devices are: by wavelengths, never by wells."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def setup(self) -> None: ...

    async def stop(self) -> None: ...

    async def get_firmware_version(self) -> list[str]:
        return ["SpectraMax", "3.14"]

    async def read_absorbance(self, plate: Any, wavelengths: list[int]) -> list[dict[str, Any]]:
        return self._grid(plate, wavelengths=wavelengths)

    async def read_luminescence(self, plate: Any, emission_wavelengths: list[int]) -> list[dict[str, Any]]:
        return self._grid(plate, emission=emission_wavelengths)

    async def read_fluorescence(
        self, plate: Any, excitation_wavelengths: list[int], emission_wavelengths: list[int], cutoff_filters: list[int]
    ) -> list[dict[str, Any]]:
        return self._grid(plate, excitation=excitation_wavelengths, emission=emission_wavelengths, cut=cutoff_filters)

    def _get_cutoff_filter_index_from_wavelength(self, wavelength: int) -> int:
        return wavelength // 100

    def _grid(self, plate: Any, **asked: Any) -> list[dict[str, Any]]:
        self.asked.append(asked)
        return [{"time": 1_800_000_000.0, "temperature": 25.0, "data": [[0.25] * 12 for _ in range(8)]}]


def of_model(model: str, backend: Any, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> PyLabRobotReader:
    monkeypatch.setattr("nkloop.drivers.pylabrobot.reader.build", lambda *_: backend)
    return PyLabRobotReader("reader", model=model, **settings)


async def test_a_spectramax_is_asked_by_wavelengths(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Wavelengths()
    reader = of_model("spectramax_m5", device, monkeypatch)
    reading = await reader.read(absorbance(wells=("A1", "H12"), reference_wavelength_nm=680))
    await reader.read(absorbance(mode="fluorescence", wavelength_nm=None, excitation_nm=490, emission_nm=520))
    await reader.read(absorbance(mode="luminescence", wavelength_nm=None))
    assert reading.values == {"A1": 0.0, "H12": 0.0}
    assert device.asked == [
        {"wavelengths": [490]},
        {"wavelengths": [680]},
        {"excitation": [490], "emission": [520], "cut": [5]},
        {"emission": [0]},
    ]
    found = {finding.subject: finding.found for finding in await reader.inspect()}
    assert found["firmware"] == "SpectraMax 3.14"
    await reader.close()


def test_the_known_backends_take_what_they_are_asked_with() -> None:
    """The signatures of the installed PyLabRobot; a backend that changed would fail in the middle of a read."""
    for name, model in MODELS.items():
        backend = adapter.named(model.backend, name)
        for mode, is_there in (("absorbance", model.absorbance), ("luminescence", model.luminescence)):
            if is_there:
                parameters = inspect.signature(getattr(backend, f"read_{mode}")).parameters
                wanted = {"wavelengths", "emission_wavelengths"} if model.asked_by == "wavelengths" else {"wells"}
                assert wanted & parameters.keys(), f"{name}, {mode}: {list(parameters)}"


async def test_a_reader_that_reads_whole_plates_gets_the_whole_plate(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Backend()
    reader = of_model("clariostar", device, monkeypatch)
    reading = await reader.read(absorbance(wells=("C7",)))
    assert list(reading.values) == ["C7"]
    assert device.n_wells == [96]
    await reader.close()


async def test_a_reader_that_measures_its_blank_when_opened_is_opened_before_the_plate_is_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Backend()
    reader = of_model("byonoy_absorbance_96", device, monkeypatch)
    with pytest.raises(DeviceError, match="measures its blank when it is opened, and the plate lies in it already"):
        await reader.read(absorbance())
    assert device.plates == []
    await reader.open_empty()
    assert len((await reader.read(absorbance())).values) == 96
    await reader.close()
    assert isinstance(reader, OpensEmpty)


@pytest.mark.parametrize(
    ("model", "changes", "told"),
    [
        ("byonoy_absorbance_96", {"mode": "luminescence", "wavelength_nm": None}, "does not measure luminescence"),
        ("byonoy_luminescence_96", {}, "does not measure absorbance. Remedy: Byonoy Luminescence 96"),
        ("byonoy_absorbance_96", {"load_name": "16x24"}, "reads plates with 96 wells, this one has 384"),
        ("cytation5", {"wavelength_nm": 1050}, "absorbance at 1050 nm is outside 230 to 999 nm"),
        ("infinite_200_pro", {"reference_wavelength_nm": 200}, "absorbance at 200 nm is outside 230 to 1000 nm"),
        (
            "clariostar",
            {"mode": "fluorescence", "wavelength_nm": None, "excitation_nm": 490, "emission_nm": 520},
            "does not measure excitation",
        ),
    ],
)
async def test_what_a_model_cannot_measure_is_refused_before_it_is_asked(
    model: str, changes: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Backend(fails_at="setup")
    with pytest.raises(DeviceError, match=told):
        await of_model(model, device, monkeypatch, catalogue=Shaped()).read(
            absorbance(**{"load_name": "8x12", **changes})
        )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "give `model` or `backend`"),
        ({"model": "clariostar", "backend": "a:B"}, "give `model` or `backend`"),
        ({"model": "no_such_reader"}, "plate reader 'no_such_reader' is not known.*clariostar"),
        ({"model": "spectramax_m5"}, "SpectraMax M5 needs port"),
        ({"model": "infinite_200_pro", "backend_settings": {"colour": 1}}, "cannot be built.*colour"),
    ],
)
def test_settings_that_do_not_fit_are_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(BenchError, match=told):
        PyLabRobotReader("reader", **settings)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("clariostar", "initialises it when it opens a BMG CLARIOstar"),
        ("infinite_200_pro", "initialises it when it opens a Tecan"),
        ("byonoy_absorbance_96", "measures its blank when it opens a Byonoy"),
    ],
)
async def test_a_look_does_not_open_what_opening_would_move(
    model: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def opened() -> None:
        raise AssertionError("opening moves it")

    device = Backend()
    monkeypatch.setattr(device, "setup", opened)
    reader = of_model(model, device, monkeypatch)
    (found, _) = await reader.inspect()
    assert found.ok
    assert told in found.found
    await reader.close()


async def test_a_missing_library_of_a_wire_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    async def setup() -> None:
        raise RuntimeError("hid is not installed. Install with: pip install pylabrobot[hid].")

    device = Backend()
    monkeypatch.setattr(device, "setup", setup)
    reader = of_model("byonoy_luminescence_96", device, monkeypatch)
    with pytest.raises(DeviceError, match=r"hid is not installed.*pip install 'nkloop\[devices\]'") as told:
        await reader.inspect()
    assert "check its cable" not in str(told.value)
    await reader.close()
