"""Plates with cells that stand on the deck when a run ends: no step of the run puts them back, a person has to."""

from __future__ import annotations

from collections import defaultdict

from nkloop.quantities.display import number
from nkloop.worklists.arrivals import is_cell_tube
from nkloop.worklists.empty_wells import reached
from nkloop.worklists.models import DeckItem, Worklist

_LEAVES = frozenset({"incubate", "store", "move_to_reader"})
"""Tasks after which a plate does not stand on the deck."""
_EMPTY_UL = 1.0
"""A well with no more than this was given on whole; volumes are sums of steps, so that nothing is exactly 0."""


def cells_back_told(worklist: Worklist) -> str:
    """What is done with cells at once when a run has ended, in one sentence; empty where none stand on the deck."""
    plates = [item.barcode or item.label or item.nickname for item in plates_left(worklist)]
    if not plates:
        return ""
    most = number(worklist.limits.cells_out_minutes)
    return f"Afterwards: {' and '.join(plates)} back into the incubator at once; at most {most} min outside"


def plates_left(worklist: Worklist) -> tuple[DeckItem, ...]:
    """Plates that came with cells or got them, and that no last task takes off the deck; an emptied one is none."""
    volumes, gone = _volumes_at_end(worklist), _taken_off(worklist)
    filled = {labware for (labware, _), volume in volumes.items() if volume > _EMPTY_UL}
    left = (_with_cells(worklist) & filled) - gone
    return tuple(item for item in worklist.deck if item.nickname in left)


def _with_cells(worklist: Worklist) -> set[str]:
    """Plates with cells at the start, and in a feeding those with a barcode that get some from them or from tubes."""
    came = set(worklist.limits.cells_in)
    if worklist.procedure != "cytokine_dosing" or worklist.vessels:
        return came
    tubes = {filling.labware for filling in worklist.fillings if is_cell_tube(filling)} - came
    named, found = {item.nickname for item in worklist.deck if item.barcode}, came | tubes
    for step in worklist.steps:
        if step.action == "transfer" and step.labware in found:
            found.add(step.to_labware)
    return came | (found & named) - tubes


def _volumes_at_end(worklist: Worklist) -> dict[tuple[str, str], float]:
    """µL in each well of the deck when all steps are done."""
    volumes: dict[tuple[str, str], float] = defaultdict(float)
    for filling in worklist.fillings:
        volumes[filling.labware, filling.well] += filling.volume_ul
    kinds = {item.nickname: item.load_name for item in worklist.deck}
    for step in worklist.steps:
        if step.action == "transfer":
            for labware, well, sign in ((step.labware, step.well, -1), (step.to_labware, step.to_well, 1)):
                for one in reached(kinds.get(labware, ""), well, step.channels):
                    volumes[labware, one] += sign * step.volume_ul
    return volumes


def _taken_off(worklist: Worklist) -> set[str]:
    """Labware that a task takes off the deck after the robot has reached into it for the last time."""
    gone: set[str] = set()
    for step in worklist.steps:
        if step.operator is None:
            gone -= {step.labware, step.to_labware}
        elif step.operator.kind in _LEAVES:
            gone |= set(step.operator.labware)
        else:
            gone -= set(step.operator.labware)
    return gone
