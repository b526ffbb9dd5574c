"""Wells grouped into what a pipette reaches at once: whole columns, parts of columns, single wells."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from nkloop.labware.models import LabwareType

Part = tuple[str, int]
"""Uppermost well and channels."""


def column_parts(kind: LabwareType, wells: Collection[str]) -> tuple[Part, ...]:
    """Runs of neighbouring wells 9 mm apart, column by column; a well without such a neighbour is a part of one.

    Every well is in exactly one part. In sixteen rows the even and the odd rows are runs of their own.
    """
    stride = max(1, kind.rows // 8) if kind.rows in {8, 16} else 0
    parts: list[Part] = []
    for column in range(kind.columns):
        names = kind.wells[column * kind.rows : (column + 1) * kind.rows]
        for first in range(stride):
            parts += _runs(names[first::stride], wells)
        if not stride:
            parts += [(name, 1) for name in names if name in wells]
    return tuple(parts)


def _runs(names: Sequence[str], wells: Collection[str]) -> Iterator[Part]:
    start, number = "", 0
    for name in (*names, ""):
        if name in wells:
            start, number = (start or name), number + 1
        elif number:
            yield start, number
            start, number = "", 0
