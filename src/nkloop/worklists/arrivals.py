"""When each liquid of a worklist comes onto the deck: with the rest of it, at a step of a person, or it is there."""

from __future__ import annotations

from collections.abc import Collection

from nkloop.worklists.light_rules import BRINGS, is_about
from nkloop.worklists.models import Filling, Step, Worklist
from nkloop.worklists.operator_tasks import thawed_in_run

CELLS = frozenset({"donor", "line", "reference", "harvest", "sample"})
"""Kinds of lots (`kind:name`) that are living cells."""
LEFT = "left"
"""Kind of a lot that an interrupted run has left on the deck: `left:run-0004:stocks A1`."""


def brought_by(filling: Filling, worklist: Worklist) -> Step | None:
    """The step at which a person sets a liquid on the deck; None for what is there from the start."""
    if _is_cells(filling, worklist) and (step := _confirmed(filling.labware, worklist)) is not None:
        return step
    return next((step for step in worklist.steps if _brings(step, filling, worklist)), None)


def brought_in(numbers: Collection[int], worklist: Worklist) -> tuple[Filling, ...]:
    """Liquids that people set on the deck at one of these steps; until then they are where they are stored."""
    steps = ((filling, brought_by(filling, worklist)) for filling in worklist.fillings)
    return tuple(filling for filling, step in steps if step is not None and step.number in numbers)


def brought_at(labware: str, worklist: Worklist) -> int | None:
    """Number of the step that brings cultures to the deck; None when they stand there from the start."""
    step = _confirmed(labware, worklist)
    return None if step is None else step.number


def labware_brought_later(worklist: Worklist) -> dict[str, int]:
    """Labware with a barcode that people bring at a later step, where it is scanned, with the number of that step."""
    found: dict[str, int] = {}
    for item in worklist.deck:
        steps = [brought_by(filling, worklist) for filling in worklist.fillings if filling.labware == item.nickname]
        asked = [s.number for s in steps if s is not None and s.operator and item.nickname in s.operator.labware]
        if item.barcode and asked and len(asked) == len(steps):
            found[item.nickname] = min(asked)
    return found


def arrival_told(filling: Filling, worklist: Worklist) -> str:
    """What is said of a liquid in a list of what is loaded; empty where it is loaded with the rest."""
    if (step := brought_by(filling, worklist)) is not None:
        return f"not yet: step {step.number}"
    return f"leave it on the deck, {run} has left it there" if (run := left_by(filling)) else ""


def left_by(filling: Filling) -> str:
    """Id of the interrupted run that left a liquid on the deck; empty for every other liquid."""
    kind, _, rest = (filling.liquid.lot or "").partition(":")
    return rest.partition(":")[0] if kind == LEFT else ""


def runs_left_by(worklist: Worklist) -> tuple[str, ...]:
    """Ids of the interrupted runs that left liquids of a worklist on the deck, each once; none in a run of its own."""
    return tuple(dict.fromkeys(filter(None, map(left_by, worklist.fillings))))


def is_left_unnamed(filling: Filling) -> bool:
    """Whether a well holds what an interrupted run made in it, which has no other name than the well's."""
    return bool(left_by(filling)) and filling.liquid.name == f"{filling.labware} {filling.well}"


def is_cell_tube(filling: Filling) -> bool:
    """Whether a liquid is living cells that come in a tube of their own, named by what they are."""
    kind, found, _ = (filling.liquid.lot or "").partition(":")
    return bool(found) and kind in CELLS


def _is_cells(filling: Filling, worklist: Worklist) -> bool:
    return filling.labware in worklist.limits.cells_in or is_cell_tube(filling)


def _confirmed(labware: str, worklist: Worklist) -> Step | None:
    """The step that has a labware set on the deck before the robot reaches into it."""
    for step in worklist.steps:
        if labware in {step.labware, step.to_labware}:
            return None
        if step.operator is not None and step.operator.kind == "confirm" and labware in step.operator.labware:
            return step
    return None


def _brings(step: Step, filling: Filling, worklist: Worklist) -> bool:
    task = step.operator
    if task is None or task.kind not in BRINGS or not is_about(task, (filling.labware, filling.well)):
        return False
    # a thaw without wells names the stocks it thaws, not all that stands beside them
    is_told_by_lot = task.kind == "thaw" and not task.wells and not left_by(filling)
    return not is_told_by_lot or filling.liquid.lot in thawed_in_run(worklist)
