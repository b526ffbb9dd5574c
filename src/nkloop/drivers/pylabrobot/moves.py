"""One step of a worklist as the single operations a liquid handler is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nkloop.labware.models import LabwareType
from nkloop.labware.outlines import Outline
from nkloop.worklists.analysis_check import Operation, planned_operations
from nkloop.worklists.models import Step
from nkloop.worklists.robot_interpreter import FLOOR_MM, IMMERSION_MM, LEVEL_SHARE


class Move(NamedTuple):
    """An operation and whether it only mixes."""

    operation: Operation
    is_mix: bool = False


def moves_of(step: Step) -> tuple[Move, ...]:
    """Operations of a step in their order; the same that Opentrons' analysis is compared with."""
    operations = planned_operations(step)
    if step.action != "transfer":
        return tuple(Move(operation, is_mix=operation.kind != "pick_up") for operation in operations)
    first = (1 if step.tip else 0) + 2 * step.mix_before
    return tuple(
        Move(operation, is_mix=operation.kind != "pick_up" and number not in (first, first + 1))
        for number, operation in enumerate(operations)
    )


def height_mm(move: Move, levels_ul: Sequence[float], kind: LabwareType, outline: Outline, *, shared: int = 1) -> float:
    """Height over the inner bottom at which the tips work: the rule of the Opentrons protocols, so all devices agree.

    Args:
        move: what is done.
        levels_ul: what the wells under the channels hold before it.
        kind: labware type, for the volume a full well holds.
        outline: its geometry.
        shared: channels that stand in the same well.

    Returns:
        The rim for a dispense from the rim; the level for other dispenses; under the level for what is drawn, at least
        1 mm over the bottom.
    """
    operation = move.operation
    if operation.at_rim:
        return outline.depth
    drawn = operation.volume_ul * shared if move.is_mix else 0.0
    lowest = max(0.0, min(levels_ul) - drawn)
    level = max(FLOOR_MM, outline.depth * min(1.0, lowest / kind.well_volume_ul) * LEVEL_SHARE)
    if operation.kind == "dispense" and not move.is_mix:
        return level
    return max(FLOOR_MM, level - IMMERSION_MM)
