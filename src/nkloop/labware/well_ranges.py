"""Many wells in few words: whole rectangles of a plate as `A2-H9`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

_WELL = re.compile(r"([A-P])(\d+)")


def well_ranges(wells: Iterable[str]) -> tuple[str, ...]:
    """Names of wells with those that fill a rectangle together: `A2-H9` for eight columns of eight rows.

    Args:
        wells: names as `B3`; each counts once, names of another form stay as they are.
    """
    columns: dict[int, set[int]] = {}
    others = dict[str, None]()
    for well in wells:
        match = _WELL.fullmatch(well)
        if match is None:
            others[well] = None
        else:
            columns.setdefault(int(match[2]), set()).add(ord(match[1]))
    rows = {column: tuple(_runs(sorted(held))) for column, held in columns.items()}
    found = []
    for _, group in groupby(enumerate(sorted(rows)), key=lambda pair: (rows[pair[1]], pair[1] - pair[0])):
        block = [column for _, column in group]
        found += [_told(first, last, block[0], block[-1]) for first, last in rows[block[0]]]
    return (*found, *others)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of each unbroken run."""
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        held = [number for _, number in group]
        yield held[0], held[-1]


def _told(top: int, bottom: int, left: int, right: int) -> str:
    first, last = f"{chr(top)}{left}", f"{chr(bottom)}{right}"
    return first if first == last else f"{first}-{last}"


def wells_in(name: str) -> tuple[str, ...]:
    """The wells of `A2-H9`, column by column; of a single name that name.

    Raises:
        ValueError: it is no well and no range of wells.
    """
    first, _, last = name.partition("-")
    start, end = _WELL.fullmatch(first), _WELL.fullmatch(last or first)
    if start is None or end is None:
        raise ValueError(name)
    rows, columns = range(ord(start[1]), ord(end[1]) + 1), range(int(start[2]), int(end[2]) + 1)
    if not rows or not columns:
        raise ValueError(name)
    return tuple(f"{chr(row)}{column}" for column in columns for row in rows)
