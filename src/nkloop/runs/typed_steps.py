"""Step numbers, wells and runs as a person types them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nkloop.errors import NkloopError, RecordError
from nkloop.labware.well_ranges import wells_in
from nkloop.quantities import Amount

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_WELL = re.compile(r"([a-z][a-z0-9_]*):([A-P](?:[1-9]|1\d|2[0-4])(?:-[A-P](?:[1-9]|1\d|2[0-4]))?)")


def numbers_of(text: str) -> tuple[int, ...]:
    """Numbers of `3` or `1-4,7`.

    Raises:
        RecordError: a part is no number or range.
    """
    found: list[int] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise RecordError(f"'{part}' names no steps", remedy="write numbers and ranges, as 3 or 1-4,7")
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


def runs_of(text: str) -> tuple[str, ...]:
    """Ids of `run-0008, run-0009`."""
    return tuple(dict.fromkeys(filter(None, (piece.strip() for piece in text.split(",")))))


def volumes_of(texts: Sequence[str]) -> dict[int, float]:
    """Step and µL of `12=10 mL`; several may stand in one text with commas.

    Raises:
        RecordError: a text is no step with a volume.
    """
    found: dict[int, float] = {}
    for part in filter(None, (piece.strip() for text in texts for piece in text.split(","))):
        number, _, volume = part.partition("=")
        try:
            step, moved = int(number), Amount.parse(volume.strip()).to("µL")
        except (ValueError, NkloopError) as error:
            raise RecordError(
                f"'{part}' is no step with a volume", remedy="write step and volume, as 12=10 mL"
            ) from error
        if step in found:
            raise RecordError(f"step {step} has two volumes", remedy="say once how much was moved in it")
        found[step] = moved
    return found


def spans(numbers: Sequence[int]) -> str:
    """`1-3,7` for 1, 2, 3, 7: as `numbers_of` reads it."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def wells_of(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Labware and well of `plate:B3`, or of all of `plate:A3-H4`; several may stand in one text with commas.

    Raises:
        RecordError: a text names no well.
    """
    found = list[tuple[str, str]]()
    for part in (piece.strip() for text in texts for piece in text.split(",")):
        match = _WELL.fullmatch(part)
        if match is None:
            raise RecordError(f"'{part}' names no well", remedy="write labware and well, as plate:B3")
        try:
            found += [(match[1], well) for well in wells_in(match[2])]
        except ValueError as error:
            raise RecordError(
                f"'{part}' names no wells", remedy="write the upper left well first, as plate:A3-H4"
            ) from error
    return tuple(found)
