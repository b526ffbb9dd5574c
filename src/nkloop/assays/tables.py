"""Tables people bring along, as CSV or XLSX: known columns found by name, every bad cell named with its place.

CSV may be separated by commas, semicolons or tabs, and may begin with a byte-order mark; blank lines and lines that
begin with `#` are skipped. Numbers carry a decimal point: a decimal comma is refused, because `1,234` could be either
1.234 or 1234.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nkloop.assays.table_cells import Grid, read_grid
from nkloop.errors import AssayError, NkloopError, Problem

MOST_PROBLEMS = 20
"""Problems told at once; a file with more has one cause."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Column:
    """One column a reader knows."""

    name: str
    kind: Literal["number", "text"] = "number"
    required: bool = True
    """Whether the table must have the column."""
    filled: bool = True
    """Whether every row must have a value in it."""
    synonyms: tuple[str, ...] = ()
    """Other headers that mean the same; compared without case, blanks, underscores and a unit in brackets."""


@dataclass(frozen=True)
class Row:
    """One row: where it stands, and its values by column name; an empty cell is None."""

    line: int
    """Line of the file (row of the sheet), counted from 1, header included."""
    cells: Mapping[str, float | str | None]

    def number(self, column: str) -> float:
        """A number; not a number where the cell is empty."""
        value = self.cells.get(column)
        return value if isinstance(value, float) else math.nan

    def text(self, column: str) -> str:
        """A text; empty where the cell is empty."""
        value = self.cells.get(column)
        return "" if value is None else str(value)


@dataclass(frozen=True)
class Table:
    """The rows of a file."""

    source: str
    """File name, for messages."""
    columns: tuple[str, ...]
    """Known columns the file has."""
    ignored: tuple[str, ...]
    """Headers nobody asked for."""
    rows: tuple[Row, ...]

    def has(self, column: str) -> bool:
        """Whether the file has a column."""
        return column in self.columns

    def where(self, row: Row, column: str) -> str:
        """Place of a cell, for messages."""
        return f"{self.source}, line {row.line}, column {column}"

    def numbers(self, column: str) -> list[float]:
        """A number column from top to bottom."""
        return [row.number(column) for row in self.rows]

    def texts(self, column: str) -> list[str]:
        """A text column from top to bottom."""
        return [row.text(column) for row in self.rows]


def read_table(path: Path, columns: Sequence[Column], *, sheet: str | None = None) -> Table:
    """Read a CSV or XLSX file whose first filled line holds the headers.

    Args:
        path: The file; `.xlsx` is read as a workbook, everything else as CSV.
        columns: The columns to look for; others are ignored and named in `Table.ignored`.
        sheet: Sheet of a workbook; the first one when not given.

    Raises:
        AssayError: the file cannot be read, lacks a column, names one twice, has no row or a bad cell; all at once.
    """
    grid = read_grid(path, sheet)
    found = _found(grid, columns)
    problems: list[Problem] = []
    rows = tuple(_row(grid, line, cells, columns, found, problems) for line, cells in grid.rows)
    if not rows:
        problems.append(Problem("has a header but no row", grid.source, "put one measurement on each line"))
    raise_all(problems)
    known = tuple(found)
    ignored = tuple(h for i, h in enumerate(grid.header) if h and i not in found.values())
    return Table(grid.source, known, ignored, rows)


def raise_all(problems: Iterable[Problem]) -> None:
    """Raise what was found, when anything was; at most `MOST_PROBLEMS` and how many more there are.

    Raises:
        AssayError: there is a problem.
    """
    gathered = list(problems)
    if not gathered:
        return
    told = gathered[:MOST_PROBLEMS]
    if len(gathered) > MOST_PROBLEMS:
        told.append(Problem(f"and {len(gathered) - MOST_PROBLEMS} more problems of this kind", told[0].where))
    error: NkloopError = AssayError.from_problems(told)
    raise error


def _found(grid: Grid, columns: Sequence[Column]) -> dict[str, int]:
    """Column name to its position."""
    problems, found = [], {}
    plain = [_plain(header) for header in grid.header]
    for column in columns:
        names = {_plain(column.name), *map(_plain, column.synonyms)}
        at = [i for i, header in enumerate(plain) if header in names]
        if len(at) > 1:
            said = " and ".join(repr(grid.header[i]) for i in at)
            problems.append(Problem(f"{said} both mean column {column.name}", _head(grid), "keep one of them"))
        elif at:
            found[column.name] = at[0]
        elif column.required:
            seen = ", ".join(h for h in grid.header if h) or "none"
            wanted = ", ".join(c.name for c in columns if c.required)
            message = f"has no column {column.name}; its columns are {seen}"
            problems.append(Problem(message, _head(grid), f"name the columns {wanted}"))
    raise_all(problems)
    return found


def _head(grid: Grid) -> str:
    return f"{grid.source}, line {grid.header_line}"


def _plain(header: str) -> str:
    bare = re.sub(r"[\[(].*?[\])]", "", header)
    return re.sub(r"[\s_\-:]+", "", bare).casefold()


def _row(
    grid: Grid,
    line: int,
    cells: Sequence[object],
    columns: Sequence[Column],
    found: Mapping[str, int],
    problems: list[Problem],
) -> Row:
    if any(str(cell or "").strip() for cell in cells[len(grid.header) :]):
        message = f"has {len(cells)} cells, the header has {len(grid.header)}"
        problems.append(Problem(message, f"{grid.source}, line {line}", "quote texts that contain the separator"))
    values: dict[str, float | str | None] = {}
    for column in columns:
        if column.name in found:
            at = found[column.name]
            cell = cells[at] if at < len(cells) else None
            place = f"{grid.source}, line {line}, column {column.name}"
            values[column.name] = _value(cell, column, place, problems)
    return Row(line, values)


def _value(cell: object, column: Column, where: str, problems: list[Problem]) -> float | str | None:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        if column.filled:
            problems.append(Problem("the cell is empty", where, "fill it or leave the line out"))
        return None
    if column.kind == "text":
        return _shown(cell)
    value = _number(cell)
    if value is None:
        problems.append(_refused(cell, where))
        return None
    if not math.isfinite(value):
        problems.append(Problem(f"'{_shown(cell)}' is not a finite number", where, "leave the line out"))
        return None
    return value


def _shown(cell: object) -> str:
    # a workbook keeps the 1 of a text column as 1.0
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _number(cell: object) -> float | None:
    if isinstance(cell, bool):
        return None
    if isinstance(cell, (int, float)):
        return float(cell)
    if not isinstance(cell, str) or "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _refused(cell: object, where: str) -> Problem:
    text = _shown(cell)
    if _DECIMAL_COMMA.fullmatch(text):
        return Problem(f"'{text}' has a decimal comma", where, f"write {text.replace(',', '.')} with a decimal point")
    return Problem(f"'{text}' is not a number", where, "write a number with a decimal point, without a unit")
