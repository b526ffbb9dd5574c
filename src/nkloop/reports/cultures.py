"""Cultures of a plate on sheets and reports: they come together, with their plate, when a step asks for them."""

from __future__ import annotations

from nkloop.worklists.models import Filling, Worklist

CULTURES = "cultures"
"""What the cultures of a plate are called together, however many arms and donors they are of."""


def is_culture(filling: Filling, worklist: Worklist) -> bool:
    """Whether a well holds a culture that comes with its plate, not a liquid that is loaded."""
    return filling.labware in worklist.limits.cells_in and not filling.liquid.lot
