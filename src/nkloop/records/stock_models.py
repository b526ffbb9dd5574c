"""What the stock tables give back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from pydantic import Field

from nkloop.frozen import FrozenModel
from nkloop.inventory.containers import ContainerKind

PostingKind = Literal["imported", "taken", "discarded", "corrected", "opened", "thawed", "refrozen"]
Outcome = Literal["released", "posted", "taken over"]


class ContainerDetail(FrozenModel):
    """What a posting sets on a container beside its volume; None leaves it as it was."""

    kind: ContainerKind | None = None
    dead_volume: str | None = None
    opened: date | None = None
    thawed: date | None = None


class Posting(FrozenModel):
    """One thing that happened to a container."""

    lot: str
    container: str
    kind: PostingKind
    volume_ul: float
    """Change of what it holds, in µL; negative when something left it."""
    thaws: int = 0
    detail: ContainerDetail = Field(default_factory=ContainerDetail)
    run_id: str | None = None
    at: datetime
    by: str
    why: str


class LotChange(FrozenModel):
    """One version of what a lot is."""

    at: datetime
    by: str
    reason: str


class ReservedPart(FrozenModel):
    """One robot run that a reservation was made for."""

    part: int = Field(ge=1)
    """Its place among the runs of the plan."""
    worklist_hash: str
    """Content hash of the worklist, which is kept with the records."""
    csv_sha256: str
    """SHA-256 of the table the robot gets: the same work has the same, whatever it is called and on whatever day."""
    volumes: Mapping[str, float]
    """µL it puts on the deck, per lot."""


class Reservation(FrozenModel):
    """What a plan or run has reserved and not yet given back."""

    number: int
    name: str
    until: datetime
    at: datetime
    by: str
    volumes: Mapping[str, float]
    """µL per container."""
    parts: tuple[ReservedPart, ...] = ()
    """Runs it was made for that have not taken their share; none when it was not made for a plan."""
    origin: int | None = None
    """Number of the reservation it was split off from, when a run took its share over."""


class HoldEvent(FrozenModel):
    """One thing that happened to a reservation of a lot."""

    at: datetime
    by: str
    name: str
    """Plan or run that holds it."""
    what: Literal["reserved", "released", "posted", "taken over"]
    volume_ul: float
    """Of this lot, over all its containers."""
    why: str = ""


class Taken(FrozenModel):
    """What a run took of one lot."""

    loaded_ul: float = Field(ge=0)
    """Put on the deck; all of it has left the lot."""
    drawn_ul: float = Field(ge=0)
    """Drawn by the steps that were done; the rest was discarded with the deck."""


class ContainerUse(FrozenModel):
    """What a run took of one container, and what was left in it then."""

    lot: str
    component: str
    container: str
    expires: date
    taken_ul: float
    """Drawn by the steps."""
    discarded_ul: float
    """Left over on the deck, and the dead volume of an emptied container."""
    left_ul: float
    thaws: int
    """Thaws it cost."""


class LotImport(FrozenModel):
    """What an import does, or would do, with one lot."""

    lot: str
    action: Literal["new", "changed", "containers added", "unchanged", "conflict"]
    details: tuple[str, ...] = ()
    """One sentence per field or container."""


class ImportReport(FrozenModel):
    """What an import does, or would do."""

    lots: tuple[LotImport, ...]

    @property
    def conflicts(self) -> tuple[LotImport, ...]:
        """Lots whose list contradicts the stock."""
        return tuple(one for one in self.lots if one.action == "conflict")

    @property
    def n_changes(self) -> int:
        """Lots that are written."""
        return sum(1 for one in self.lots if one.action not in {"unchanged", "conflict"})
