"""Exports of the makers' programs, through allotropy in the vendor environment."""

from __future__ import annotations

import hashlib
import importlib.util
import random
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import pytest_asyncio

from nkloop.assays.readings import PlateReading, one_plate, read_counts, read_plates
from nkloop.assays.readings.allotrope import file_time
from nkloop.errors import ReadingError
from nkloop.vendor import VendorClient

_spec = importlib.util.spec_from_file_location("exports", Path(__file__).with_name("exports.py"))
assert _spec is not None
assert _spec.loader is not None
exports = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(exports)

pytestmark = [pytest.mark.vendor, pytest.mark.asyncio(loop_scope="module")]
WHEN = datetime(2026, 11, 23, 14, 4, 5, tzinfo=UTC)
DICE = random.Random(17)
WELLS = [f"{row}{column}" for row in exports.ROWS for column in exports.COLUMNS]
MAIN: dict[str, float] = {well: round(DICE.uniform(0.05, 3.2), 4) for well in WELLS} | {"D4": 0.0}
REFERENCE: dict[str, float] = {well: round(DICE.uniform(0.03, 0.09), 4) for well in WELLS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor() -> AsyncIterator[VendorClient]:
    async with VendorClient() as client:
        yield client


async def the_plate(path: Path, vendor: VendorClient) -> PlateReading:
    return one_plate(await read_plates(path, vendor), "", path)


@pytest.mark.parametrize(
    ("name", "write", "over", "about"),
    [
        pytest.param("mars.csv", exports.mars, "", ("MARS", "P-17", None, None), id="MARS"),
        pytest.param("e.csv", exports.envision, "", ("EnVision", "P-17", "EnVision", "1050242"), id="EnVision"),
        pytest.param(
            "m.xlsx", exports.magellan, "OVER", ("Magellan", "P-17", "infinite M200", "1005000171"), id="Magellan"
        ),
        pytest.param("s.xlsx", exports.skanit, "Sat", ("SkanIt", None, "Varioskan LUX", "3020-81776"), id="SkanIt"),
        pytest.param(
            "o.csv",
            exports.opentrons,
            "",
            ("Opentrons plate reader", None, "Opentrons Absorbance Plate Reader", "abs-123"),
            id="Opentrons",
        ),
    ],
)
async def test_every_value_comes_back_from_one_wavelength(
    tmp_path: Path, vendor: VendorClient, name: str, write: Callable[..., None], over: str, about: tuple[object, ...]
) -> None:
    given: dict[str, object] = dict(MAIN)
    if over:
        given["C7"] = over
    write(tmp_path / name, given)
    read = await the_plate(tmp_path / name, vendor)
    (frame,) = read.frames
    assert frame.values == pytest.approx({w: v for w, v in MAIN.items() if not (over and w == "C7")}, abs=1e-12)
    assert frame.saturated == (("C7",) if over else ())
    assert (read.format, read.barcode, read.instrument, read.serial_number) == about
    assert (read.mode, read.wavelength_nm, frame.wavelength_nm, read.plate_wells) == ("absorbance", 490, 490, 96)
    assert read.read_at == WHEN
    assert "no zone" in read.notes[0]
    assert read.file_sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("write", "over", "about"),
    [
        pytest.param(exports.softmax, "#SAT", ("SoftMax Pro", "P-17", None), id="SoftMax Pro"),
        pytest.param(exports.gen5, "OVRFLW", ("Gen5", None, "21031716"), id="Gen5"),
    ],
)
async def test_a_reference_wavelength_is_a_block_of_its_own(
    tmp_path: Path, vendor: VendorClient, write: Callable[..., None], over: str, about: tuple[object, ...]
) -> None:
    write(tmp_path / "read.txt", MAIN | {"C7": over}, REFERENCE)
    read = await the_plate(tmp_path / "read.txt", vendor)
    main, reference = read.frames
    assert (main.wavelength_nm, reference.wavelength_nm, read.wavelength_nm) == (490, 680, None)
    assert main.values == pytest.approx({w: v for w, v in MAIN.items() if w != "C7"}, abs=1e-12)
    assert {w: v for w, v in reference.values.items() if w != "C7"} == pytest.approx(
        {w: v for w, v in REFERENCE.items() if w != "C7"}, abs=1e-12
    )
    assert main.saturated == ("C7",)
    assert (read.format, read.barcode, read.serial_number) == about


async def test_time_points_of_a_kinetic_read_keep_their_minutes(tmp_path: Path, vendor: VendorClient) -> None:
    later = {well: value + 1 for well, value in MAIN.items()}
    exports.softmax_kinetic(tmp_path / "k.txt", {"00:00:00": MAIN, "00:10:00": later})
    read = await the_plate(tmp_path / "k.txt", vendor)
    assert [frame.minutes for frame in read.frames] == [0, 10]
    assert read.frames[1].values == pytest.approx(later, abs=1e-12)
    assert (read.mode, read.excitation_nm, read.emission_nm) == ("fluorescence", 485, 530)


async def test_a_heading_that_counts_repeats_keeps_its_wavelength(tmp_path: Path, vendor: VendorClient) -> None:
    exports.mars(tmp_path / "mars.csv", MAIN, heading="Raw Data (490 1)")
    assert (await the_plate(tmp_path / "mars.csv", vendor)).wavelength_nm == 490


async def test_a_word_for_a_number_is_kept_as_unreadable(tmp_path: Path, vendor: VendorClient) -> None:
    exports.skanit(tmp_path / "s.xlsx", MAIN | {"A1": "bubble"})
    (frame,) = (await the_plate(tmp_path / "s.xlsx", vendor)).frames
    assert frame.unreadable == {"A1": "bubble"}
    assert "A1" not in frame.values


async def test_the_name_of_the_file_does_not_matter(tmp_path: Path, vendor: VendorClient) -> None:
    exports.envision(tmp_path / "export.dat", MAIN)
    assert (await the_plate(tmp_path / "export.dat", vendor)).format == "EnVision"


async def test_of_several_plates_one_is_named(tmp_path: Path, vendor: VendorClient) -> None:
    path = tmp_path / "two.txt"
    exports.softmax(path, MAIN, REFERENCE, name="P-17")
    first = path.read_text("utf-16")
    exports.softmax(path, REFERENCE, REFERENCE, name="P-18")
    second = path.read_text("utf-16").removeprefix("##BLOCKS= 1\n")
    path.write_text(first.replace("BLOCKS= 1", "BLOCKS= 2").partition("Original")[0] + second, encoding="utf-16")
    readings = await read_plates(path, vendor)
    assert one_plate(readings, "P-18", path).frames[0].values["B2"] == REFERENCE["B2"]
    with pytest.raises(ReadingError, match=r"holds 2 plates \(P-17, P-18\). Remedy: name one of them"):
        one_plate(readings, "", path)
    with pytest.raises(ReadingError, match="and 'P-19' is not one of them"):
        one_plate(readings, "P-19", path)


async def test_a_broken_export_says_whose_it_looks_like(tmp_path: Path, vendor: VendorClient) -> None:
    (tmp_path / "x.txt").write_text("##BLOCKS= 1\nPlate:\tP-17\n", encoding="utf-8")
    with pytest.raises(ReadingError, match=r"x\.txt: this looks like an export of SoftMax Pro, but it cannot be read"):
        await read_plates(tmp_path / "x.txt", vendor)


@pytest.mark.parametrize(
    ("name", "write", "sample", "serial", "when"),
    [
        pytest.param("b.csv", exports.vi_cell_blu, "arm-1/U1", None, WHEN, id="Vi-CELL BLU"),
        pytest.param("x.txt", exports.vi_cell_xr, "arm-1/U1", "AL27171", WHEN, id="Vi-CELL XR"),
        pytest.param(
            "n.csv",
            exports.nucleoview,
            "arm1",
            "900020",
            WHEN.replace(tzinfo=timezone(timedelta(hours=1))),
            id="NucleoView",
        ),
    ],
)
async def test_counts_come_in_cells_per_ml(
    tmp_path: Path,
    vendor: VendorClient,
    name: str,
    write: Callable[[Path], None],
    sample: str,
    serial: str | None,
    when: datetime,
) -> None:
    write(tmp_path / name)
    (count,) = await read_counts(tmp_path / name, vendor)
    assert (count.sample, count.viability_percent) == (sample, 93.3)
    assert (count.viable_per_ml, count.total_per_ml) == pytest.approx((1.25e6, 1.34e6))
    assert count.counted_at == when
    assert (count.serial_number or "").endswith(serial or "")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        pytest.param({"viability": "103"}, "viability is 103 %, must be 0 to 100 %", id="viability above 100"),
        pytest.param({"viable": "12.5"}, "a column may be shifted", id="viable and total disagree"),
    ],
)
async def test_a_count_that_cannot_be_is_refused(
    tmp_path: Path, vendor: VendorClient, fields: dict[str, str], told: str
) -> None:
    exports.vi_cell_blu(tmp_path / "c.csv", **fields)
    with pytest.raises(ReadingError, match=rf"c\.csv, sample arm-1/U1: .*{told}"):
        await read_counts(tmp_path / "c.csv", vendor)


async def test_a_plate_is_no_count_and_a_count_no_plate(tmp_path: Path, vendor: VendorClient) -> None:
    exports.vi_cell_blu(tmp_path / "c.csv")
    exports.mars(tmp_path / "m.csv", MAIN)
    with pytest.raises(ReadingError, match=r"file of Vi-CELL BLU, which counts cells .* `nkloop analyse counts`"):
        await read_plates(tmp_path / "c.csv", vendor)
    with pytest.raises(ReadingError, match=r"this is a file of MARS. Remedy: export the counts from Vi-CELL BLU"):
        await read_counts(tmp_path / "m.csv", vendor)


async def test_a_time_without_zone_stands_as_it_is_written_whatever_the_zone_of_this_computer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        at, (note,) = file_time("2026-11-29T10:00:00")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert at == datetime(2026, 11, 29, 10, tzinfo=UTC)
    assert "has no zone" in note
