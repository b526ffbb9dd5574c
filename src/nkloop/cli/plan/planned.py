"""What every plan command answers with, whatever it planned: worklists, composition, lots, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nkloop.drivers.bench_file import BenchFile
    from nkloop.labware import Catalogue
    from nkloop.runs.reservations import Reserved
    from nkloop.worklists.bag_plans import DoseLabel, DoseTubeFilling
    from nkloop.worklists.bench_deck import BenchDeck
    from nkloop.worklists.lots import LotUse
    from nkloop.worklists.models import Verdict, Worklist
    from nkloop.worklists.plans import CompositionRow
    from nkloop.workspace import Workspace


@dataclass(frozen=True)
class ProtocolFile:
    """The protocol that runs a worklist, as it lies in the workspace."""

    name: str
    sha256: str

    @classmethod
    def of(cls, protocols: Path, path: Path) -> ProtocolFile:
        """Read and hash a protocol file below `protocols`.

        Raises:
            WorkspaceError: it cannot be read.
        """
        from nkloop.worklists.protocol_files import protocol_name, sha256_of

        return cls(protocol_name(protocols, path), sha256_of(path))


@dataclass(frozen=True)
class Planned:
    """One plan: its worklists in the order they are run, and what they give."""

    title: str
    parts: tuple[Worklist, ...]
    """One worklist per robot run; a person works between two of them."""
    composition: tuple[CompositionRow, ...]
    lots: tuple[LotUse, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    """What a person should know of how it is made, one sentence each."""
    verdicts: tuple[Verdict, ...]
    """One per part."""
    protocol: ProtocolFile
    robot_minutes: tuple[float | None, ...]
    """Estimate per part; None when the bench does not say its speeds."""
    price_eur: float | None = None
    """Price of what leaves the lots; None when a lot has no price."""
    unpriced: tuple[str, ...] = ()
    """Lots without a price."""
    take_out: tuple[str, ...] = ()
    """Which containers a person takes out, one sentence per lot."""
    containers: tuple[Mapping[str, str], ...] = ()
    """The same for the run sheet of each part, by lot."""
    reserved: Reserved | None = None
    """What the plan holds of the stock; None when nothing was reserved."""
    deck: BenchDeck | None = None
    """Deck of the bench; gives the times on a run sheet."""
    simulated: bool = False
    """Whether the bench is simulated."""
    bench: str = ""
    """Name of the bench it is planned for."""
    tubes: tuple[DoseTubeFilling, ...] = ()
    """Dose tubes of a plan for bags."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When it was planned, by the clock of the bench."""
    is_spent: bool = False
    """Whether it fills a used vessel as a new one, so that `nkloop run` refuses it."""
    on_sheet: tuple[str, ...] = ()
    """Warnings and what people said to them that the run sheet tells, too."""
    vessel_labels: tuple[DoseLabel, ...] = ()
    """Labels of the vessels cultures are moved to."""
    more: dict[str, Any] = field(default_factory=dict)
    """What only this procedure tells, as plain data: positions, dose tubes."""

    @property
    def passed(self) -> bool:
        """True when every part passed every check."""
        return bool(self.verdicts) and all(verdict.passed for verdict in self.verdicts)


async def verified(
    parts: Iterable[Worklist], workspace: Workspace, catalogue: Catalogue, file: BenchFile
) -> tuple[Verdict, ...]:
    """The verdicts of the three independent checks, one per worklist."""
    from nkloop.runs.verification import Verifier
    from nkloop.vendor import VendorClient, answers_folder

    async with VendorClient(cache=answers_folder(workspace.state)) as vendor:
        verifier = Verifier(workspace, catalogue, file.deck, vendor)
        return tuple([await verifier.verify(part) for part in parts])


def protocol_of(parts: Iterable[Worklist], workspace: Workspace) -> ProtocolFile:
    """The protocol file that runs these worklists, which are of one procedure; unnamed for a robot that takes none.

    Raises:
        WorkspaceError: the workspace has none that can be read.
    """
    from nkloop.worklists.protocol_files import protocol_path, takes_protocol

    first = next(iter(parts))
    if not takes_protocol(first):
        return ProtocolFile("", "")
    return ProtocolFile.of(workspace.protocols, protocol_path(workspace.protocols, first))
