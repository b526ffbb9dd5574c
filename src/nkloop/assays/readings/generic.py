"""The plain files people make: an 8 × 12 or 16 × 24 grid, or a long table with a `well` column, below header lines.

A file may hold several grids (populations, time points, wavelengths), each below lines that say what it is:
`quantity: dead_targets`, `minutes: 30`, `wavelength: 680`. A table may have `minutes` or `hours`, `quantity` and
`wavelength_nm` columns, or one column per population.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from nkloop.assays.readings.cells import read_rows
from nkloop.assays.readings.grid import Problems, grid_at
from nkloop.assays.readings.header import Header
from nkloop.assays.readings.long_table import is_table_head, table_at
from nkloop.assays.readings.models import Frame, PlateReading
from nkloop.errors import Problem, ReadingError

_SIZES = ((8, 12, 96), (16, 24, 384))


def read_generic(path: Path) -> PlateReading:
    """Read a generic file.

    Raises:
        ReadingError: no grid or table is in it, a well is given twice, a line cannot be understood; all at once.
    """
    data, rows = read_rows(path)
    header, has_grid = Header(), False
    frames: list[Frame] = []
    problems: Problems = []
    comma_is_decimal = path.suffix.lower() not in {".xlsx", ".xlsm"} and not _has_commas(data)
    place = 0
    while place < len(rows):
        row = rows[place]
        grid = grid_at(rows, place)
        if grid is not None:
            frame, place = grid.frame(header.frame, comma_is_decimal=comma_is_decimal, problems=problems)
            frames.append(frame)
            header.frame, has_grid = {}, True
        elif is_table_head(row):
            found, place = table_at(rows, place, comma_is_decimal=comma_is_decimal, problems=problems)
            frames += found
        else:
            if not header.take(row):
                problems.append((row.line, f"'{' | '.join(row.cells[:4])}' is not understood", _ADVICE))
            place += 1
    problems += header.problems
    if not frames and not problems:
        problems.append((rows[0].line, "there is no plate in the file", _ADVICE))
    if not header.problems:  # blocks whose lines are refused are not told apart by them
        problems += _twice(frames)
    if problems:
        raise ReadingError.from_problems(
            Problem(text, f"{path}:{line}" if line else str(path), remedy) for line, text, remedy in sorted(problems)
        )
    return PlateReading.model_validate(
        {
            **header.fields,
            "file": path.name,
            "file_sha256": hashlib.sha256(data).hexdigest(),
            "format": "generic grid" if has_grid else "generic table",
            "plate_wells": _size(frames),
            "frames": frames,
            "settings": header.settings,
            "notes": header.notes,
        }
    )


_ADVICE = (
    "put `name: value` lines first, then a grid with the column numbers 1 to 12 or 1 to 24 above and the row letters "
    "at its left, or a table with the columns well and value"
)


def _has_commas(data: bytes) -> bool:
    """Whether commas part the cells of a text file, so that they cannot be decimal marks as well."""
    return max(b",;\t", key=lambda mark: data.count(bytes([mark]))) == ord(",")


def _size(frames: Sequence[Frame]) -> int:
    wells = {well for frame in frames for well in (*frame.values, *frame.saturated, *frame.unreadable)}
    rows = max((ord(well[0]) - 64 for well in wells), default=1)
    columns = max((int(well[1:]) for well in wells), default=1)
    return next(size for height, width, size in _SIZES if rows <= height and columns <= width)


def _twice(frames: Sequence[Frame]) -> list[tuple[int, str, str]]:
    seen: set[tuple[str, float | None, int | None]] = set()
    problems = []
    for frame in frames:
        key = (frame.quantity, frame.minutes, frame.wavelength_nm)
        if key in seen:
            at = "" if frame.minutes is None else f" at {frame.minutes:g} min"
            text = f"two blocks hold the same quantity '{frame.quantity}'{at}"
            problems.append((0, text, "say above each block what it is: quantity, minutes or wavelength"))
        seen.add(key)
    return problems
