"""Headers of people's files that carry a unit other than the one their numbers are read in."""

from __future__ import annotations

import re
from collections.abc import Mapping

_UNITS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), "milliseconds"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "seconds"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "minutes"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "hours"),
    **dict.fromkeys(("d", "day", "days"), "days"),
    "nm": "nm",
    **dict.fromkeys(("um", "µm", "μm", "micrometre", "micrometres"), "µm"),
    **dict.fromkeys(("å", "angstrom"), "Å"),
    **dict.fromkeys(("%", "percent"), "percent"),
    **dict.fromkeys(("fraction", "fractions"), "fractions"),
}
_TIMES = ("milliseconds", "seconds", "minutes", "hours", "days")


def other_unit(header: str, units: Mapping[str, tuple[str, ...]]) -> tuple[str, str] | None:
    """What is wrong with the unit of a header, and the remedy; None when it has none, or one that is read.

    Args:
        header: as it stands in the file, such as `contact hours` or `time (s)`.
        units: quantity, in small letters and words, to the units its numbers may be in; `time` for a header that is
            a unit alone.
    """
    words = re.findall(r"[^\W_]+|%", header.lower())
    unit = _UNITS.get(words[-1], "") if words else ""
    quantity = " ".join(words[:-1]) or ("time" if unit in _TIMES else "")
    known = units.get(quantity, ())
    if not unit or not known or unit in known:
        return None
    told = f"'{header.strip()}' is in {unit}, {quantity} is read in {' or '.join(known)}"
    return told, f"convert the numbers to {known[0]}, and write `{_header(quantity, known[0])}`"


def _header(quantity: str, unit: str) -> str:
    return unit if quantity == "time" else f"{quantity} {unit}"
