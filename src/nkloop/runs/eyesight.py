"""What can be judged by eye: by how much a step changes the level of a liquid."""

from __future__ import annotations

from collections.abc import Mapping

from nkloop.errors import LabwareError
from nkloop.labware.outlines import Outline, known_outline
from nkloop.runs.typed_steps import spans
from nkloop.runs.ways import LIQUID
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Step, Worklist

SEEN_MM = 1.0
"""Smallest change of a level that people are asked to judge; an estimate, not measured: the surface in a well is curved
by about as much, and nobody knows from where the level before was seen."""


def level_change_mm(step: Step, worklist: Worklist, catalogue: LabwareLookup) -> float | None:
    """Largest change of a level that a step makes in one well, in mm; None where it moves nothing or nobody can tell.

    Counted with the cross-section at the rim; further down in a tapered tube it is more.
    """
    if step.action not in LIQUID:
        return None
    spots = [(step.labware, step.channels)] + ([(step.to_labware, step.channels)] if step.to_labware else [])
    kinds = {item.nickname: item.load_name for item in worklist.deck}
    try:
        outlines: Mapping[str, Outline] = {name: known_outline(catalogue, kinds[name]) for name, _ in spots}
    except (LabwareError, KeyError):
        return None
    return max(
        step.volume_ul * (channels if _is_trough(outlines[name]) else 1) / outlines[name].area_mm2
        for name, channels in spots
    )


def _is_trough(outline: Outline) -> bool:
    """Whether every channel is in the same well."""
    return outline.rows == 1


def too_small(levels_mm: Mapping[int, float | None]) -> str:
    """Which steps cannot be judged by a level, with the bound, its reason and what to do; empty when all can.

    Args:
        levels_mm: step number to the change of a level it makes, None where that is not known.
    """
    blind = {number: level for number, level in levels_mm.items() if level is not None and level < SEEN_MM}
    if not blind:
        return ""
    return (
        f"Too little to be judged by eye: step {spans(sorted(blind))} changes a level by {max(blind.values()):.1g} mm "
        f"at most; below about {SEEN_MM:g} mm the curve of the surface hides it. Look at the tips; if they tell "
        "nothing: repair or discard."
    )
