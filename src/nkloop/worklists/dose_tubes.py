"""The tubes the robot fills for closed vessels: which kind, where they stand, and what stays behind in them."""

from __future__ import annotations

from nkloop.errors import PlanError
from nkloop.labware.bags import BagCatalogue, DoseTube
from nkloop.worklists.contents import LabwareLookup

DOSES = "doses"
"""Nickname of their rack on the deck."""


def dose_tube(known: BagCatalogue, name: str, where: str) -> DoseTube:
    """The kind of tube a request names.

    Raises:
        PlanError: there is none of this name.
    """
    found = next((tube for tube in known.dose_tubes if tube.name == name), None)
    if found is None:
        names = ", ".join(tube.name for tube in known.dose_tubes)
        raise PlanError(f"there is no dose tube '{name}'", where=where, remedy=f"use one of: {names}")
    return found


def lost_ul(tube: DoseTube, catalogue: LabwareLookup) -> float:
    """What stays in a tube and in its line."""
    return catalogue[tube.rack].dead_volume_ul + tube.line_dead_ul
