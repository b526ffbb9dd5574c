"""Plain files: grids and tables in any separator, and files that must be refused with their line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nkloop.assays.readings import PlateReading, read_plate_file
from nkloop.errors import ReadingError

Write = Callable[[str], Path]
HEAD = "barcode: P1\nmode: absorbance\nwavelength: 490 nm\nreference wavelength: 680\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str, name: str = "read.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return put


def grid(rows: int = 8, columns: int = 12, separator: str = ",", decimal: str = ".") -> str:
    lines = [separator.join(["", *(str(c + 1) for c in range(columns))])]
    for r in range(rows):
        cells = [f"{r}.{c:02d}".replace(".", decimal) for c in range(columns)]
        lines.append(separator.join([chr(65 + r), *cells]))
    return "\n".join(lines) + "\n"


def test_a_grid_below_its_header(write: Write) -> None:
    reading = read_plate_file(write(f"{HEAD}Instrument: Reader X\nSerial number: 42\nShake: 5 s\n{grid()}"))
    assert (reading.barcode, reading.mode, reading.plate_wells) == ("P1", "absorbance", 96)
    assert (reading.wavelength_nm, reading.reference_wavelength_nm) == (490, 680)
    assert (reading.instrument, reading.serial_number, reading.settings) == ("Reader X", "42", {"Shake": "5 s"})
    (frame,) = reading.frames
    assert len(frame.values) == 96
    assert frame.values["H12"] == pytest.approx(7.11)
    assert len(reading.file_sha256) == 64


@pytest.mark.parametrize(
    ("separator", "decimal"),
    [
        pytest.param(",", ".", id="comma"),
        pytest.param(";", ",", id="semicolon with decimal comma"),
        pytest.param("\t", ".", id="tab"),
    ],
)
@pytest.mark.parametrize(("rows", "columns"), [(8, 12), (16, 24)])
def test_every_separator_and_size(write: Write, separator: str, decimal: str, rows: int, columns: int) -> None:
    reading = read_plate_file(write(grid(rows, columns, separator, decimal)))
    assert reading.plate_wells == rows * columns
    assert reading.frames[0].values["B3"] == pytest.approx(1.02)


def test_a_pasted_block_without_letters(write: Write) -> None:
    bare = "\n".join(",".join(f"{r + c / 100}" for c in range(12)) for r in range(8))
    assert read_plate_file(write(bare)).frames[0].values["C2"] == pytest.approx(2.01)


def test_a_workbook_reads_as_the_text_does(tmp_path: Path, write: Write) -> None:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.append(["barcode:", "P1"])
    sheet.append(["read at:", datetime(2026, 3, 1, 9, 30)])
    sheet.append([None, *range(1, 13)])
    for r in range(8):
        sheet.append([chr(65 + r), *(r + c / 100 for c in range(12))])
    book.save(tmp_path / "read.xlsx")
    reading = read_plate_file(tmp_path / "read.xlsx")
    assert reading.frames[0].values == read_plate_file(write(grid())).frames[0].values
    assert reading.read_at == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert reading.notes == ("line 2: the time 2026-03-01T09:30:00 has no zone and is taken as UTC",)


def test_a_table_with_a_column_per_population(write: Write) -> None:
    reading = read_plate_file(write("well,dead_targets,live_targets\nA1,10,90\na02,20,80\n"))
    assert {f.quantity: f.values for f in reading.frames} == {
        "dead_targets": {"A1": 10, "A2": 20},
        "live_targets": {"A1": 90, "A2": 80},
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hours,A1,A2\n0,1,1\n0.5,1.1,0.8\n", id="wells as columns"),
        pytest.param("well,hours,value\nA1,0,1\nA2,0,1\nA1,0.5,1.1\nA2,0.5,0.8\n", id="one line per well and time"),
        pytest.param(
            "minutes: 0\n"
            + ",1,2,3,4,5,6,7,8,9,10,11,12\nA,1,1\nminutes: 30\n,1,2,3,4,5,6,7,8,9,10,11,12\nA,1.1,0.8\n",
            id="a grid per time",
        ),
    ],
)
def test_a_kinetic_read(write: Write, text: str) -> None:
    frames = read_plate_file(write(text)).frames
    assert [(f.minutes, f.values) for f in frames] == [(0, {"A1": 1, "A2": 1}), (30, {"A1": 1.1, "A2": 0.8})]


def test_over_range_and_broken_cells_are_kept_apart(write: Write) -> None:
    (frame,) = read_plate_file(write("well,value\nA1,OVER\nA2,nan\nA3,0.5\nA4,>4.0\nA5,?\n")).frames
    assert (frame.values, frame.saturated) == ({"A3": 0.5}, ("A1", "A4"))
    assert frame.unreadable == {"A2": "nan", "A5": "?"}


def test_a_thousand_between_commas_is_no_number_because_it_may_be_a_decimal(write: Write) -> None:
    (frame,) = read_plate_file(write('well,value\nA1,"1,234"\nA2,"0,5"\n')).frames
    assert (frame.values, frame.unreadable) == ({"A2": 0.5}, {"A1": "1,234"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("well,value\nA1,1\nA1,2\n", r"read.csv:3: well A1 stands in line 2 already", id="well twice"),
        pytest.param("well,value\nQ1,1\n", r"read.csv:2: 'Q1' is not a well name", id="no such well"),
        pytest.param(f"hello world\n{grid()}", r"read.csv:1: 'hello world' is not understood", id="stray text"),
        pytest.param(grid() + "A,1,2,3\n", r"row A stands twice in the grid", id="row twice"),
        pytest.param(grid() + grid(), r"two blocks hold the same quantity 'signal'", id="two plates"),
        pytest.param("", r"the file is empty", id="empty"),
        pytest.param("barcode: P1\n", r"there is no plate in the file", id="header alone"),
        pytest.param(f"mode: smell\n{grid()}", r"read.csv:1: mode 'smell' is not known", id="unknown mode"),
        pytest.param(f"read at: noon\n{grid()}", r"read.csv:1: time 'noon' is not a time", id="no time"),
        pytest.param(f"wavelength: blue\n{grid()}", r"wavelength 'blue' is not in nm", id="no wavelength"),
        pytest.param(grid().replace("7.11", "7.11,9"), r"the row has 13 values, the plate has 12", id="row too long"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line(write: Write, text: str, message: str) -> None:
    with pytest.raises(ReadingError, match=message):
        read_plate_file(write(text))


def test_a_missing_file_and_a_broken_workbook(tmp_path: Path) -> None:
    with pytest.raises(ReadingError, match="cannot be read: No such file"):
        read_plate_file(tmp_path / "nothing.csv")
    (tmp_path / "broken.xlsx").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(ReadingError, match="not a workbook"):
        read_plate_file(tmp_path / "broken.xlsx")
    (tmp_path / "binary.csv").write_bytes(b"\x00\x01\x02\x81")
    with pytest.raises(ReadingError, match="neither text nor XLSX"):
        read_plate_file(tmp_path / "binary.csv")


def test_the_model_keeps_everything_through_json(write: Write) -> None:
    reading = read_plate_file(write(HEAD + grid()))
    assert PlateReading.model_validate_json(reading.model_dump_json()) == reading
