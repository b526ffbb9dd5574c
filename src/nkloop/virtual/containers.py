"""Containers and wells as they physically are: volume, amounts, and whether the cells have settled."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from nkloop.frozen import FrozenModel
from nkloop.labware.models import LabwareType
from nkloop.virtual.components import is_cell

Place = Literal["deck", "incubator", "fridge", "reader", "centrifuge", "discarded"]
PLACE_TEMPERATURE: dict[Place, float] = {
    "deck": 22.0, "incubator": 37.0, "fridge": 5.0, "reader": 22.0, "centrifuge": 22.0, "discarded": 22.0,
}  # fmt: skip

STAYS_SUSPENDED_S = 120.0
"""Cells stay evenly suspended this long after mixing; effector and target suspensions are re-mixed every 2 min."""
SETTLING_TIME_S = 600.0
"""Time constant of sedimentation after that (10 µm cells through 3 to 5 mm of medium)."""
SETTLED_SHARE = 0.03
"""Cell density of the supernatant above settled cells, as a share of the even density."""
PELLETED_SHARE = 0.004
"""The same above a centrifuged pellet."""


class Incident(FrozenModel):
    """Something physical that nobody planned: air drawn, a spill, a plate left in the cold."""

    at: str
    kind: Literal["air_drawn", "spill", "no_tip", "wrong_labware", "plan_differs", "short_supply", "out_of_incubator"]
    where: str
    message: str
    step: int | None = None
    volume_ul: float = 0.0


@dataclass
class Contents:
    """A volume (µL) with the amount of each component (ng, IU, µL, cells)."""

    volume_ul: float = 0.0
    amounts: dict[str, float] = field(default_factory=dict)

    def add(self, other: Contents) -> None:
        """Pour another volume in."""
        self.volume_ul += other.volume_ul
        for key, amount in other.amounts.items():
            self.amounts[key] = self.amounts.get(key, 0.0) + amount

    def take(self, volume_ul: float, *, cell_share: float = 1.0) -> Contents:
        """Take a volume out; cells come at `cell_share` of their mean density, everything dissolved evenly."""
        volume = min(volume_ul, self.volume_ul)
        if volume <= 0:
            return Contents()
        part = volume / self.volume_ul
        taken: dict[str, float] = {}
        for key, amount in self.amounts.items():
            moved = amount * (min(1.0, part * cell_share) if is_cell(key) else part)
            taken[key] = moved
            self.amounts[key] = amount - moved
        self.volume_ul -= volume
        return Contents(volume, taken)

    def empty(self) -> Contents:
        """Take everything out."""
        gone = Contents(self.volume_ul, self.amounts)
        self.volume_ul, self.amounts = 0.0, {}
        return gone

    def cells(self, *kinds: str) -> float:
        """Number of cells of some kinds, of every donor or line."""
        starts = tuple(f"{kind}:" for kind in kinds)
        return sum(amount for key, amount in self.amounts.items() if key.startswith(starts))


@dataclass
class Well(Contents):
    """One well; `lived_until` is the world time (s) up to which its biology and chemistry have been worked out."""

    lived_until: float = 0.0
    mixed_at: float = -math.inf
    pelleted: bool = False
    vigour: float | None = None
    """Growth factor of the culture in this very well; drawn when it is first needed."""

    def stir(self, now: float) -> None:
        """Suspend the cells evenly."""
        self.mixed_at, self.pelleted = now, False

    def pellet(self) -> None:
        """Spin the cells down."""
        self.mixed_at, self.pelleted = -math.inf, True

    def cell_share(self, now: float) -> float:
        """Density of cells where a tip draws, as a share of the mean density."""
        if self.pelleted:
            return PELLETED_SHARE
        still = now - self.mixed_at - STAYS_SUSPENDED_S
        if still <= 0:
            return 1.0
        return SETTLED_SHARE + (1 - SETTLED_SHARE) * math.exp(-still / SETTLING_TIME_S)


@dataclass
class Container:
    """A labware with what is in it. `identity` is its barcode, or slot and load number for a consumable."""

    identity: str
    labware: LabwareType
    barcode: str | None = None
    place: Place = "deck"
    temperature_c: float = PLACE_TEMPERATURE["deck"]
    wells: dict[str, Well] = field(default_factory=dict)
    used_tips: set[str] = field(default_factory=set)

    def well(self, name: str, now: float) -> Well:
        """The well, made empty at first use."""
        if name not in self.wells:
            self.wells[name] = Well(lived_until=now)
        return self.wells[name]

    def move(self, place: Place, temperature_c: float | None = None) -> None:
        """Put it somewhere else; the caller brings the wells up to date first."""
        self.place = place
        self.temperature_c = PLACE_TEMPERATURE[place] if temperature_c is None else temperature_c

    @property
    def capacity_ul(self) -> float:
        """Volume at which a well overflows."""
        return self.labware.well_volume_ul

    @property
    def residual_ul(self) -> float:
        """Volume no tip can draw: the physical part of the dead volume a plan keeps as reserve."""
        return 0.3 * self.labware.dead_volume_ul


def total(parts: Iterable[Contents]) -> Contents:
    """Everything poured together (a copy)."""
    whole = Contents()
    for part in parts:
        whole.add(part)
    return whole
