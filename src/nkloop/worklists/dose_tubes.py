"""The tubes the robot fills for closed vessels: which kind, where they stand, and what stays behind in them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from nkloop.errors import PlanError, Problem
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


class Overfull(NamedTuple):
    """A dose tube that cannot take a component even undiluted; concentrations are canonical, per µL."""

    bag: str
    component: str
    stock_ul: float
    """Of its stock in the tube."""
    most_ul: float
    """Of it that may be."""
    brought: float
    """Concentration in the tube."""
    target: float
    """Concentration in the vessel."""


def small_dose_problems(overfull: Sequence[Overfull], delivered_ul: float, where: str) -> list[Problem]:
    """Doses too small for what they have to bring, with the least that is large enough; none when no dose is.

    A larger dose brings the same amount, and what its own volume takes to reach the target.

    Args:
        overfull: of one plan.
        delivered_ul: what reaches the vessel out of a tube.
        where: the plan, for messages.
    """
    least_ul = 0.0
    for one in overfull:
        strongest = one.brought * one.most_ul / one.stock_ul
        if strongest <= one.target:
            return []
        least_ul = max(least_ul, delivered_ul * (one.brought - one.target) / (strongest - one.target))
    remedy = f"--dose of at least {ceil(least_ul / 50) / 20:g} mL, a stronger stock or a lower concentration"
    return [
        Problem(
            f"{one.stock_ul:.4g} µL of {one.component} would go into its dose tube, at most {one.most_ul:.4g} µL may",
            f"{where}, bag {one.bag}",
            remedy,
        )
        for one in overfull
    ]
