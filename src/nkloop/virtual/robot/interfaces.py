"""What the robot server needs from the physical world and from protocol analysis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

Command = dict[str, Any]
"""A command in Opentrons shape: `id`, `key`, `commandType`, `params`, `status`, `result`, `error`."""


class BenchClock(Protocol):
    """Time of the bench; it passes as fast as the robot works, not as fast as the wall clock."""

    def now(self) -> datetime:
        """Current time of the bench, UTC."""

    def advance(self, seconds: float) -> Any:
        """Let `seconds` of bench time pass."""


class Execution(Protocol):
    """One run as it happens physically."""

    def apply(self, command: Command) -> None:
        """Do physically what the command says."""


class PhysicalWorld(Protocol):
    """Where liquids really are."""

    @property
    def clock(self) -> BenchClock:
        """The clock everything on the bench shares."""

    def begin_run(self, analysis: Any) -> Execution:
        """Start to execute the commands of an analysis; `Any` because each world names its own analysis type."""


@runtime_checkable
class MeasuresPlates(Protocol):
    """A world whose plate reader can be read."""

    def measure(self, wavelengths_nm: Sequence[int]) -> dict[str, dict[str, float]]:
        """Wavelength, as text, to well to optical density of the plate in the reader.

        Raises:
            DeviceError: the reader is empty.
        """


class Analysis(Protocol):
    """Outcome of analysing a protocol with its parameters (`nkloop.vendor.Analysis` has this shape)."""

    @property
    def result(self) -> str:
        """`ok`, `not-ok` or `parameter-value-required`."""

    @property
    def errors(self) -> Sequence[dict[str, Any]]:
        """Error occurrences in Opentrons shape, or problems with `message`."""

    @property
    def commands(self) -> Sequence[Command]:
        """Every command the protocol issues, in order."""

    @property
    def labware(self) -> Sequence[dict[str, Any]]:
        """Loaded labware in Opentrons shape."""

    @property
    def pipettes(self) -> Sequence[dict[str, Any]]:
        """Loaded pipettes in Opentrons shape."""

    @property
    def modules(self) -> Sequence[dict[str, Any]]:
        """Loaded modules in Opentrons shape."""

    @property
    def liquids(self) -> Sequence[dict[str, Any]]:
        """Defined liquids in Opentrons shape."""


class Analyse(Protocol):
    """Analyses a protocol file (`nkloop.vendor.VendorClient.analyse`)."""

    async def __call__(
        self, protocol: Path, *, csv: str, labware: Sequence[dict[str, Any]], values: dict[str, Any]
    ) -> Analysis:
        """Analyse with the text of the CSV parameter, custom labware definitions and parameter values.

        Raises:
            VendorError: the analysis could not be made at all.
        """
