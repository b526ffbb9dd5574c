"""Tubes of cells that people bring during a run: told one by one, with where each goes and what its label says."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nkloop.quantities.display import number, volume_told
from nkloop.worklists.arrivals import brought_by, is_cell_tube
from nkloop.worklists.ledger_state import CELL_PREFIXES
from nkloop.worklists.models import Filling, Step, Worklist

_PARTING = re.compile(r"[\s,;]+")


def with_tubes_told(worklist: Worklist) -> Worklist:
    """The worklist, every step of which that brings cells names each tube: slot, well, cells, volume and density.

    Planners write what is done with the tubes; in which slots they stand is settled only when all of a run is laid out.
    """
    brought: dict[int, list[Filling]] = {}
    for filling in cell_tubes(worklist):
        if (step := brought_by(filling, worklist)) is not None:
            brought.setdefault(step.number, []).append(filling)
    steps = (_told(step, brought.get(step.number, []), worklist) for step in worklist.steps)
    return worklist.model_copy(update={"steps": tuple(steps)})


def cell_tubes(worklist: Worklist) -> tuple[Filling, ...]:
    """Living cells in tubes that are named by what they are; those of a plate go by its barcode."""
    plates = {item.nickname for item in worklist.deck if item.barcode is not None}
    return tuple(one for one in worklist.fillings if is_cell_tube(one) and one.labware not in plates)


def tube_codes(lot: str) -> tuple[str, str]:
    """What is scanned of a tube of cells: its name with its kind, as labels carry it, and the name alone.

    Scanners and people part codes by spaces and commas, so a name holds none here: `line:RPMI-8226`.
    """
    code = _PARTING.sub("-", lot)
    return code, code.partition(":")[2]


def _told(step: Step, tubes: list[Filling], worklist: Worklist) -> Step:
    if step.operator is None or not tubes:
        return step
    told = f"{step.operator.instruction.rstrip('.')}: {'; '.join(_places(tubes, worklist))}."
    task = step.operator.model_copy(update={"instruction": told})
    return step.model_copy(update={"operator": task, "comment": told})


def _places(tubes: list[Filling], worklist: Worklist) -> Iterator[str]:
    """`slot B3: B1 effectors arm-1/U1, 398 µL at 2e6 cells/mL`; the slot stands before its first tube."""
    last = ""
    for one in tubes:
        slot = worklist.item(one.labware).slot
        per_ml = 1000 * sum(n for name, n in one.liquid.per_ul.items() if name.startswith(CELL_PREFIXES))
        dense = f" at {number(per_ml)} cells/mL" if per_ml else ""
        place = f"slot {slot}: {one.well}" if slot != last else one.well
        yield f"{place} {one.liquid.name}, {volume_told(one.volume_ul)}{dense}"
        last = slot
