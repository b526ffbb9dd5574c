"""The cells of a CSV or XLSX file before anybody knows what they mean."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nkloop.errors import AssayError

LARGEST_BYTES = 50_000_000
"""A larger file is no table of one experiment."""


@dataclass(frozen=True)
class Grid:
    """Header and rows as they stand in the file."""

    source: str
    header: tuple[str, ...]
    header_line: int
    rows: tuple[tuple[int, tuple[object, ...]], ...]
    """Line number and cells; blank lines are left out."""


def read_grid(path: Path, sheet: str | None = None) -> Grid:
    """Cells of a CSV file, or of one sheet of a workbook.

    Raises:
        AssayError: the file is missing, too large, empty, not text, or not a workbook.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        remedy = "give the path of a CSV or XLSX file"
        raise AssayError(f"cannot be read: {error.strerror}", where=str(path), remedy=remedy) from error
    if size > LARGEST_BYTES:
        message = f"has {size / 1e6:.0f} MB, at most {LARGEST_BYTES / 1e6:.0f} MB are read"
        raise AssayError(message, where=path.name, remedy="export the table alone")
    lines = _sheet(path, sheet) if path.suffix.lower() == ".xlsx" else _csv(path)
    filled = [(n, cells) for n, cells in lines if any(str(c).strip() for c in cells if c is not None)]
    filled = [(n, cells) for n, cells in filled if not str(cells[0] or "").lstrip().startswith("#")]
    if not filled:
        raise AssayError("is empty", where=path.name, remedy="give a table with a header line")
    line, first = filled[0]
    header = tuple("" if cell is None else str(cell).strip() for cell in first)
    return Grid(path.name, header, line, tuple(filled[1:]))


def _csv(path: Path) -> list[tuple[int, tuple[object, ...]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except IsADirectoryError as error:
        raise AssayError("is a folder", where=str(path), remedy="give the path of a CSV or XLSX file") from error
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text (byte {error.start})"
        raise AssayError(message, where=path.name, remedy="save it as CSV UTF-8 or as XLSX") from error
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise AssayError(message, where=str(path), remedy="give a file you may read") from error
    if "\0" in text:
        raise AssayError("is not a text file", where=path.name, remedy="save it as CSV UTF-8 or as XLSX")
    reader = csv.reader(text.splitlines(keepends=True), delimiter=_separator(text), skipinitialspace=True)
    found: list[tuple[int, tuple[object, ...]]] = []
    try:
        found += [(reader.line_num, tuple(cells)) for cells in reader]
    except csv.Error as error:
        raise AssayError(f"is not CSV: {error}", where=f"{path.name}, line {reader.line_num}") from error
    return found


def _separator(text: str) -> str:
    """The separator of the header: a header has no decimal comma that could mislead."""
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    head = next(lines, "")
    return max(";\t,", key=head.count)


def _sheet(path: Path, name: str | None) -> list[tuple[int, tuple[object, ...]]]:
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
        remedy = "save it as XLSX, or as CSV UTF-8"
        raise AssayError(f"is not an XLSX workbook: {error}", where=path.name, remedy=remedy) from error
    try:
        sheet = book[_sheet_name(path, book.sheetnames, name)]
        return [(n, tuple(cells)) for n, cells in enumerate(sheet.iter_rows(values_only=True), start=1) if cells]
    finally:
        book.close()


def _sheet_name(path: Path, names: Sequence[str], wanted: str | None) -> str:
    if wanted is None:
        return names[0]
    if wanted not in names:
        said = ", ".join(names)
        raise AssayError(f"has no sheet '{wanted}'; it has {said}", where=path.name, remedy="name one of them")
    return wanted
