"""What one cell of a reading says: a number, over range, or something else."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_OVER = re.compile(r"^(#?over|#?ovr|ovrflw|overflow|#?sat(urated)?|#?high|>+\s*max|\*+|>\s*[\d.,]+)$", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+([eE][+-]?\d+)?$")
_THOUSANDS = re.compile(r"^[+-]?\d{1,3}(,\d{3})+$")
WELL = re.compile(r"^([A-Pa-p])0*([1-9]|1\d|2[0-4])$")


@dataclass
class Cells:
    """Values of one frame while its cells are read."""

    values: dict[str, float] = field(default_factory=dict)
    saturated: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def put(self, well: str, text: str, *, comma_is_decimal: bool) -> None:
        """Keep what a cell says of a well; an empty cell says nothing."""
        if not text:
            return
        if _OVER.match(text):
            self.saturated.append(well)
            return
        value = number(text, comma_is_decimal=comma_is_decimal)
        if value is None:
            self.unreadable[well] = text
        else:
            self.values[well] = value


def number(text: str, *, comma_is_decimal: bool) -> float | None:
    """A finite number, or None.

    `1,234` is 1.234 in a file whose cells are parted by semicolons or tabs. Between commas it may as well be a
    thousand, so there it is no number.
    """
    if _DECIMAL_COMMA.match(text) and (comma_is_decimal or not _THOUSANDS.match(text)):
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def well_name(text: str) -> str | None:
    """`a01` as `A1`; None when this names no well of a 384-well plate."""
    match = WELL.match(text)
    return None if match is None else f"{match[1].upper()}{match[2]}"
