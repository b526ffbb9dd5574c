"""How the content of a label is set: whole amounts, smaller print where there are many, a second label for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Size = Literal["normal", "long", "dense"]
"""Class of the print in `labels.html`: 9, 7.4 and 6 pt."""

_ROOM: tuple[tuple[Size, int, int], ...] = (("normal", 30, 3), ("long", 39, 3), ("dense", 50, 4))
"""Size, characters of a line of 58.7 mm in bold print, lines above a QR code of 19 mm; measured on printed pages with
capitals and digits, the widest there are, to spare."""


def printed_parts(content: str) -> list[tuple[tuple[str, ...], Size]]:
    """The pieces on each label that a content needs, and the size of print.

    A piece is what stands between two commas, such as `IL-7 240 ng/mL`, and is printed on one line. Where several
    labels are needed each says which it is (`1 of 2`).

    Args:
        content: as on `Label.content`.
    """
    pieces = tuple(content.split(", "))
    for size, width, lines in _ROOM:
        if _lines(pieces, width) <= lines:
            return [(pieces, size)]
    size, width, lines = _ROOM[-1]
    groups: list[list[str]] = [[]]
    for piece in pieces:
        if groups[-1] and _lines([f"9 of 9: {groups[-1][0]}", *groups[-1][1:], piece], width) > lines:
            groups.append([])
        groups[-1].append(piece)
    if len(groups) == 1:
        return [(pieces, size)]
    return [((f"{number} of {len(groups)}: {first}", *rest), size) for number, (first, *rest) in enumerate(groups, 1)]


def _lines(pieces: Sequence[str], width: int) -> int:
    """Lines of a greedy setting; a piece longer than a line is broken."""
    count, room = 1, width
    for piece in pieces:
        length = len(piece) + 2
        if length > room and room < width:
            count, room = count + 1, width
        more = (length - 1) // width
        count, room = count + more, (room if not more else width) - (length - more * width)
    return count
