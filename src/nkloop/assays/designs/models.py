"""What a killing assay is designed from, and what a design is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nkloop.assays.models import AssayKind, EffectorSample, PlateLayout, Treatment
from nkloop.frozen import FrozenModel

Edge = Literal["ring", "all"]


class Dispensing(FrozenModel):
    """How effectors are given to the plate; the defaults are assumptions, not measurements."""

    channels: Literal[1, 8] = 8
    """Wells served at once: 8 from a source plate with the same map, or 1."""
    seconds: float = Field(default=10.0, gt=0)
    """Time of one stroke."""


class DoseSeries(FrozenModel):
    """A treatment and the doses it is given at."""

    treatment: Treatment
    doses: tuple[float, ...] = Field(min_length=1)


class DesignRequest(FrozenModel):
    """What is to be tested, and how the plates may be used."""

    kind: AssayKind = "killing"
    method: str = "ldh"
    plate_wells: Literal[96, 384] = 96
    samples: tuple[EffectorSample, ...]
    reference: EffectorSample | None = None
    lines: tuple[str, ...] = Field(min_length=1)
    ratios: tuple[float, ...] = Field(min_length=1)
    """Nominal E:T, highest first."""
    replicates: int = Field(default=3, ge=1)
    effector_replicates: int = Field(default=2, ge=1)
    control_replicates: int = Field(default=6, ge=2)
    """Spontaneous and maximum wells of every line on every plate; medium controls have half as many."""
    treatments: tuple[DoseSeries, ...] = ()
    antigen_negative: tuple[str, ...] = ()
    edge: Edge = "ring"
    arrangement: Literal["auto", "columns", "blocks"] = "auto"
    """`columns`: the map the robot planner knows; `blocks`: every replicate at random in a block of its own."""
    seed: int | None = None
    targets_per_well: float = Field(default=1e4, gt=0)
    contact_minutes: float = Field(default=240, gt=0)
    dispensing: Dispensing = Dispensing()
    name: str = Field(default="plate", min_length=1)
    """Plates are called NAME-1, NAME-2, …"""


class CellDemand(FrozenModel):
    """Cells one preparation must hold."""

    name: str
    role: Literal["effector", "target"]
    wells: int
    cells_in_wells: float
    cells_needed: float
    """With `beyond`; counts all cells of an effector preparation, viable or not, as nominal E:T does."""
    viable_needed: float
    """Of those, the viable ones at the viability of the sample; all of the targets, which are counted as viable."""
    beyond: str
    """What is counted beyond the cells in the wells, in words."""

    def with_needed(self, cells: float, beyond: str) -> CellDemand:
        """The same preparation with another count of what it must hold, and what that counts."""
        share = self.viable_needed / self.cells_needed
        return self.model_copy(update={"cells_needed": cells, "viable_needed": share * cells, "beyond": beyond})


class Design(FrozenModel):
    """Plates with all that must be prepared for them."""

    layouts: tuple[PlateLayout, ...]
    demand: tuple[CellDemand, ...]
    stagger_minutes: float
    """Estimated time between the first and the last well of a plate that gets effectors."""
    can_run_on_robot: bool
    robot: str
    """Why it can or cannot be planned on the robot."""
    warnings: tuple[str, ...]
