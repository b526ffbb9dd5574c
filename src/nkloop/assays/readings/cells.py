"""Rows of text cells out of CSV, TSV or XLSX, each with the line it stands on."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from nkloop.errors import ReadingError

LARGEST_FILE = 20_000_000
"""Bytes; a 384-well kinetic export of three days has about 1 MB."""


@dataclass(frozen=True)
class Row:
    """One row of a file."""

    line: int
    """Counted from 1, as an editor or a spreadsheet does."""
    cells: tuple[str, ...]
    """Cells without blanks around them; empty ones at the end are left out."""

    def cell(self, index: int) -> str:
        """A cell, empty when the row is shorter."""
        return self.cells[index] if index < len(self.cells) else ""


def read_rows(path: Path) -> tuple[bytes, tuple[Row, ...]]:
    """Bytes and rows of a file; an XLSX gives its first sheet that is not empty.

    Raises:
        ReadingError: the file is missing, empty, too large, not text, or not a workbook.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadingError(
            f"cannot be read: {error.strerror or error}", where=str(path), remedy="name the file of the reader"
        ) from error
    if not data.strip():
        raise ReadingError("the file is empty", where=str(path), remedy="export the reading again")
    if len(data) > LARGEST_FILE:
        raise ReadingError(
            f"the file has {len(data)} bytes, at most {LARGEST_FILE} are read",
            where=str(path),
            remedy="export one plate alone",
        )
    rows = _workbook_rows(path, data) if data[:4] == b"PK\x03\x04" else _text_rows(path, data)
    if not rows:
        raise ReadingError("no cell of the file holds anything", where=str(path), remedy="export the reading again")
    return data, rows


def _text_rows(path: Path, data: bytes) -> tuple[Row, ...]:
    text = _decoded(path, data)
    sample = [line for line in text.splitlines() if line.strip()]
    # the separator that stands most often: header lines `name: value` have none, the grid has many
    separator = max(",;\t", key=lambda mark: sum(line.count(mark) for line in sample))
    rows = []
    try:
        reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
        for cells in reader:
            rows.append(_row(reader.line_num, cells))
    except csv.Error as error:
        raise ReadingError(
            f"this is not a table: {error}", where=f"{path}:{len(rows) + 1}", remedy="export it as CSV again"
        ) from error
    return tuple(row for row in rows if row.cells)


def _decoded(path: Path, data: bytes) -> str:
    encodings = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise ReadingError("the file is neither text nor XLSX", where=str(path), remedy="export the reading as CSV or XLSX")


def _workbook_rows(path: Path, data: bytes) -> tuple[Row, ...]:
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
        raise ReadingError(
            f"this is not a workbook: {error}", where=str(path), remedy="save it as XLSX again or export CSV"
        ) from error
    try:
        for sheet in book.worksheets:
            rows = tuple(
                _row(number, ["" if cell is None else _cell_text(cell) for cell in cells])
                for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1)
            )
            if any(row.cells for row in rows):
                return tuple(row for row in rows if row.cells)
    finally:
        book.close()
    return ()


def _cell_text(cell: object) -> str:
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)


def _row(line: int, cells: list[str]) -> Row:
    bare = [cell.strip() for cell in cells]
    while bare and not bare[-1]:
        bare.pop()
    return Row(line, tuple(bare))
