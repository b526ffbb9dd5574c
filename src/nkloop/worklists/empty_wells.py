"""Tubes and wells that must stand empty on the deck, because the robot fills them and nobody else does."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence

from nkloop.worklists.models import DeckItem, Worklist

_ROWS = string.ascii_uppercase[:16]
_TUBES = re.compile(r"tuberack|aluminumblock")
_COMES_EMPTY = re.compile(r"\s*\(empty[^)]*\)")
"""What the deck says of labware that comes empty; its wells are not once the run has filled them."""
_MOST_NAMED = 8


def reached(load_name: str, well: str, channels: int) -> Iterator[str]:
    """Wells the channels stand in, told by the load name alone, where no catalogue of a workspace is at hand.

    Channels stand 9 mm apart: in every row, or in every second one of 384 wells, which Opentrons load names tell. Rows
    that a labware does not have are no well of any step, and a reservoir has one.
    """
    first, stride = _ROWS.find(well[:1]), 2 if "_384_" in load_name else 1
    if channels == 1 or first < 0 or "reservoir" in load_name:
        yield well
        return
    for row in _ROWS[first : first + stride * channels : stride]:
        yield f"{row}{well[1:]}"


def label_in_use(label: str) -> str:
    """A label without what it says of labware that comes empty: `Suspensions (empty)` as `Suspensions`."""
    return _COMES_EMPTY.sub("", label)


def empty_wells(item: DeckItem, worklist: Worklist) -> tuple[str, ...]:
    """Wells of a labware that hold nothing when the run starts and get something in it, down the columns."""
    held = {filling.well for filling in worklist.fillings if filling.labware == item.nickname}
    given = {
        well
        for step in worklist.steps
        if step.action == "transfer" and step.to_labware == item.nickname
        for well in reached(item.load_name, step.to_well, step.channels)
    }
    return tuple(sorted(given - held, key=lambda well: (int(well[1:]), well[0])))


def empty_told(item: DeckItem, wells: Sequence[str]) -> str:
    """`3 empty tubes, the robot fills them: A1, B1, C1`; empty when there is none."""
    if not wells:
        return ""
    noun = "tube" if _TUBES.search(item.load_name) else "well"
    named = ", ".join(wells) if len(wells) <= _MOST_NAMED else f"{wells[0]} … {wells[-1]}"
    if len(wells) == 1:
        return f"1 empty {noun}, the robot fills it: {named}"
    return f"{len(wells)} empty {noun}s, the robot fills them: {named}"
