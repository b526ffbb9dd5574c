"""A plate drawn as a plate: column numbers above, row letters at the left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nkloop.assays.readings.cells import Row
from nkloop.assays.readings.models import Frame
from nkloop.assays.readings.values import Cells, number

Problems = list[tuple[int, str, str]]
"""Line, message, remedy."""
_WIDTHS = {12: "ABCDEFGH", 24: "ABCDEFGHIJKLMNOP"}


@dataclass(frozen=True)
class Grid:
    """Where a grid stands in the rows of a file."""

    first: int
    """Index of the row of A."""
    end: int
    """Index after its last row."""
    offset: int
    """Cell of column 1."""
    width: int
    rows: Sequence[Row]
    names: tuple[str, ...]
    """Row letters, in the order they stand."""

    def cells(self) -> list[tuple[int, str, str]]:
        """Line, well and text of every cell."""
        found = []
        for name, row in zip(self.names, self.rows[self.first : self.end], strict=True):
            found += [(row.line, f"{name}{c + 1}", row.cell(self.offset + c)) for c in range(self.width)]
        return found

    def frame(self, about: dict[str, str], *, comma_is_decimal: bool, problems: Problems) -> tuple[Frame, int]:
        """The values, and the index of the row after the grid; what is wrong with its rows goes to `problems`."""
        expected = _WIDTHS[self.width]
        for index, name in enumerate(self.names):
            line = self.rows[self.first + index].line
            if name not in expected:
                problems.append((line, f"row {name} is not on a plate with {self.width} columns", "check the grid"))
            elif name in self.names[:index]:
                problems.append((line, f"row {name} stands twice in the grid", "keep one of them"))
        for row in self.rows[self.first : self.end]:
            if len(row.cells) > self.offset + self.width:
                text = f"the row has {len(row.cells) - self.offset} values, the plate has {self.width} columns"
                problems.append((row.line, text, "remove what does not belong to the plate"))
        kept = Cells()
        for _, well, text in self.cells():
            kept.put(well, text, comma_is_decimal=comma_is_decimal)
        return make_frame(about, kept, self.rows[self.first].line, problems), self.end


def make_frame(about: dict[str, str], cells: Cells, line: int, problems: Problems) -> Frame:
    """A frame from its cells and from what was said of it (`quantity`, `minutes`, `hours`, `wavelength_nm`)."""
    minutes = None
    for name, factor in (("minutes", 1.0), ("hours", 60.0)):
        if name in about:
            value = number(about[name].removesuffix("min").removesuffix("h").strip(), comma_is_decimal=True)
            if value is None:
                problems.append((line, f"{name} '{about[name]}' is not a number", "write the time as a number"))
            else:
                minutes = value * factor
    return Frame(
        quantity=_quantity(about.get("quantity", "signal")),
        minutes=minutes,
        wavelength_nm=int(about["wavelength_nm"]) if "wavelength_nm" in about else None,
        values=cells.values,
        saturated=tuple(cells.saturated),
        unreadable=cells.unreadable,
    )


def grid_at(rows: Sequence[Row], start: int) -> Grid | None:
    """The grid that begins at a row: column numbers, a line of `A`, or a bare 8 × 12 or 16 × 24 of numbers."""
    head = rows[start]
    for width in sorted(_WIDTHS, reverse=True):
        for offset in (0, 1):
            if [_integer(head.cell(offset + c)) for c in range(width)] == list(range(1, width + 1)) and (
                len(head.cells) == offset + width
            ):
                return _lettered(rows, start + 1, 1, width)
    if head.cells[0].upper() == "A" and len(head.cells) > 2:
        width = next(w for w in (12, 24) if len(head.cells) <= w + 1 or w == 24)
        return _lettered(rows, start, 1, width)
    return _bare(rows, start)


def _lettered(rows: Sequence[Row], first: int, offset: int, width: int) -> Grid | None:
    names = []
    for row in rows[first:]:
        letter = row.cells[0].upper()
        if len(letter) != 1 or not "A" <= letter <= "Z":
            break
        names.append(letter)
    return Grid(first, first + len(names), offset, width, rows, tuple(names)) if names else None


def _bare(rows: Sequence[Row], start: int) -> Grid | None:
    for width, letters in _WIDTHS.items():
        block = rows[start : start + len(letters)]
        if len(block) == len(letters) and all(len(row.cells) == width for row in block):
            filled = [cell for row in block for cell in row.cells if cell]
            numbers = [cell for cell in filled if number(cell, comma_is_decimal=True) is not None]
            if len(numbers) > 0.8 * width * len(letters):
                return Grid(start, start + len(letters), 0, width, rows, tuple(letters))
    return None


def _integer(text: str) -> int | None:
    return int(text.removesuffix(".0")) if text.removesuffix(".0").isdigit() else None


def _quantity(text: str) -> str:
    return "_".join(text.lower().replace("-", " ").split()) or "signal"
