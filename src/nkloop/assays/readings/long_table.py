"""A plate as a table: one line per well, or one line per time with the wells as columns."""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.assays.readings.cells import Row
from nkloop.assays.readings.grid import Problems, make_frame
from nkloop.assays.readings.header import UNITS
from nkloop.assays.readings.models import Frame
from nkloop.assays.readings.values import Cells, well_name
from nkloop.assays.unit_headers import other_unit

_TIMES = {"minutes": "minutes", "time_min": "minutes", "hours": "hours", "time_h": "hours"}
_KEYS = {**_TIMES, "quantity": "quantity", "wavelength_nm": "wavelength_nm", "wavelength": "wavelength_nm"}
_VALUES = frozenset({"value", "signal"})
Key = tuple[tuple[str, str], ...]


def is_table_head(row: Row) -> bool:
    """A `well` column with at least one more, or a time column with wells as columns."""
    names = _names(row)
    if "well" in names:
        return len(names) > 1
    is_time = names[0] in _TIMES or other_unit(row.cells[0], UNITS) is not None
    return is_time and len(names) > 2 and all(well_name(cell) for cell in row.cells[1:])


def table_at(rows: Sequence[Row], start: int, *, comma_is_decimal: bool, problems: Problems) -> tuple[list[Frame], int]:
    """Frames of the table whose head is at `start`, and the index of the row after it."""
    head = rows[start]
    names = _names(head)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append((head.line, f"column named twice: {', '.join(twice)}", "give each column its own name"))
    wrong = [(head.line, *unit) for cell in head.cells if (unit := other_unit(cell, UNITS)) is not None]
    if wrong:
        problems += wrong
        return [], len(rows)
    body = rows[start + 1 :]
    told = _long if "well" in names else _wide
    return told(head, body, names, comma_is_decimal, problems), len(rows)


def _long(head: Row, body: Sequence[Row], names: list[str], comma_is_decimal: bool, problems: Problems) -> list[Frame]:
    at_well = names.index("well")
    columns = [i for i, name in enumerate(names) if name not in _KEYS and i != at_well]
    if not columns:
        problems.append((head.line, "the table has no column of values", "add a column named value"))
    frames: dict[Key, Cells] = {}
    seen: dict[tuple[Key, str], int] = {}
    for row in body:
        well = well_name(row.cell(at_well))
        if well is None:
            problems.append((row.line, f"'{row.cell(at_well)}' is not a well name", "use names like A1"))
            continue
        about = {_KEYS[name]: row.cell(i) for i, name in enumerate(names) if name in _KEYS and row.cell(i)}
        for i in columns:
            if names[i] not in _VALUES:
                about = {**about, "quantity": names[i]}
            key = tuple(sorted(about.items()))
            first = seen.setdefault((key, well), row.line)
            if first != row.line:
                problems.append((row.line, f"well {well} stands in line {first} already", "keep one value per well"))
                continue
            frames.setdefault(key, Cells()).put(well, row.cell(i), comma_is_decimal=comma_is_decimal)
    return [make_frame(dict(key), cells, head.line, problems) for key, cells in frames.items()]


def _wide(head: Row, body: Sequence[Row], names: list[str], comma_is_decimal: bool, problems: Problems) -> list[Frame]:
    wells = [well_name(cell) or cell for cell in head.cells[1:]]
    frames = []
    for row in body:
        cells = Cells()
        for index, well in enumerate(wells, start=1):
            cells.put(well, row.cell(index), comma_is_decimal=comma_is_decimal)
        frames.append(make_frame({_TIMES[names[0]]: row.cells[0]}, cells, row.line, problems))
    return frames


def _names(row: Row) -> list[str]:
    return ["_".join(cell.lower().replace("(", " ").replace(")", " ").split()) for cell in row.cells]
