"""Which wells of labware that outlives a run some of its steps change: those drawn from, given into and mixed."""

from __future__ import annotations

import string
from collections.abc import Collection, Iterator
from typing import NamedTuple

from nkloop.worklists.models import Step, Worklist

_ROWS = string.ascii_uppercase[:16]


class Touched(NamedTuple):
    """A well by the barcode of its labware, and what was done to it."""

    barcode: str
    well: str
    how: str
    """In words: `given liquid`, `drawn from` or `mixed`."""


def touched(worklist: Worklist, numbers: Collection[int]) -> Iterator[Touched]:
    """Every well of a labware with a barcode that these steps change, as often as they do."""
    items = {item.nickname: item for item in worklist.deck if item.barcode}
    for step in worklist.steps:
        if step.number not in numbers:
            continue
        for nickname, well, how in _spots(step):
            if (item := items.get(nickname)) is not None:
                for one in _reached(item.load_name, well, step.channels):
                    yield Touched(item.barcode or "", one, how)


def _spots(step: Step) -> Iterator[tuple[str, str, str]]:
    """Nickname, uppermost well and what is done there; of a person's step the tubes on the deck that are emptied."""
    if step.action == "mix":
        yield step.labware, step.well, "mixed"
    if step.action == "transfer":
        yield step.to_labware, step.to_well, "given liquid"
        yield step.labware, step.well, "drawn from"
    for move in step.moves:
        for vessel, how in ((move.to_vessel, "given liquid"), (move.from_vessel, "drawn from")):
            nickname, _, well = vessel.rpartition(":")
            yield nickname, well, how


def _reached(load_name: str, well: str, channels: int) -> Iterator[str]:
    """Wells the channels stand in, told without the catalogue of the workspace, which records do not know.

    Channels stand 9 mm apart: in every row, or in every second one of 384 wells, which Opentrons load names tell. Rows
    that a labware does not have are no well of any step.
    """
    first, stride = _ROWS.find(well[:1]), 2 if "_384_" in load_name else 1
    if channels == 1 or first < 0:
        yield well
        return
    for row in _ROWS[first : first + stride * channels : stride]:
        yield f"{row}{well[1:]}"
