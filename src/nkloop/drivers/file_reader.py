"""Readers and counters without a driver: people measure with the maker's software, and the inbox delivers its file."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Protocol

from nkloop.assays.measurements import CellCount, Reading, ReadRequest
from nkloop.drivers.interfaces import Finding
from nkloop.drivers.operators import ATTEMPTS, LONGEST_WAIT_S, Ask, ask_in_prefect
from nkloop.errors import BenchError, DeviceError, OperatorRefusedError
from nkloop.frozen import content_hash
from nkloop.quantities.display import number

LOOK_SECONDS = 1.0
"""Pause between two looks."""
PHENOTYPE = ("purity_percent", "cd34_percent", "volume_ml")
"""What a counter's file does not tell."""


class Deliveries(Protocol):
    """The inbox of a bench, as its readers see it."""

    def ask_plate(self, request: ReadRequest) -> int:
        """Say that a plate is waited for; the same request of the same run gets the same number."""

    def ask_counts(self, barcode: str, wells: tuple[str, ...]) -> int:
        """Say that counts are waited for."""

    async def delivered(self, number: int) -> str:
        """Take in what lies in the folder; what was delivered, as JSON, empty while nothing was."""

    def used(self, number: int) -> None:
        """Say that what was delivered has arrived for good; until then the same question finds it again."""

    def withdraw(self, number: int, why: str) -> None:
        """Say that nobody waits any longer."""

    def put_aside(self, number: int) -> tuple[str, ...]:
        """Files put aside since then, each with its reason."""

    def look(self) -> tuple[Finding, ...]:
        """Whether the folder is there and may be used."""


class FileReader:
    """A plate reader whose reading arrives as a file."""

    def __init__(
        self,
        name: str,
        *,
        program: str = "",
        how: str = "",
        wait_minutes: float = 240.0,
        deliveries: Deliveries | None = None,
    ) -> None:
        """Wait for nothing yet.

        Args:
            name: how people call the reader.
            program: software that writes the file, for the instruction.
            how: what people do at the reader's computer, in their words.
            wait_minutes: longest wait for one file.
            deliveries: the inbox of the bench; nkloop gives it where there is a database.
        """
        self.name = name
        self._program = program
        self._how = how
        self._wait_s = 60 * wait_minutes
        self._deliveries = deliveries

    async def inspect(self) -> tuple[Finding, ...]:
        """Whether the folder is there; the reader itself cannot be asked."""
        told = f"read by people{f' with {self._program}' if self._program else ''}; its files come through the inbox"
        found = self._deliveries.look() if self._deliveries is not None else ()
        return (Finding(subject="reader", found=told, ok=True), *found)

    def instruction(self, request: ReadRequest) -> str:
        """What a person does to have this plate read."""
        optics = [f"{request.wavelength_nm} nm"] if request.wavelength_nm else []
        optics += [f"reference {request.reference_wavelength_nm} nm"] if request.reference_wavelength_nm else []
        optics += [f"{request.excitation_nm}/{request.emission_nm} nm"] if request.excitation_nm else []
        with_what = f" with {self._program}" if self._program else ""
        what = f"Then read it{with_what}: {', '.join([request.mode, *optics])}; name the plate {request.barcode}."
        return f"{what} {self._how}".strip()

    def expect(self, request: ReadRequest) -> None:
        """Say already now that the plate is waited for, so that a file that comes early is not put aside.

        Raises:
            BenchError: the bench has no inbox.
        """
        _required(self._deliveries, self.name).ask_plate(request)

    async def read(self, request: ReadRequest) -> Reading:
        """Wait for the file of this plate.

        Raises:
            BenchError: the bench has no inbox.
            DeviceError: no fitting file came in time; what was put aside meanwhile is named.
        """
        inbox = _required(self._deliveries, self.name)
        number = inbox.ask_plate(request)
        answer = await _waited(inbox, number, self._wait_s, f"{self.name}, plate {request.barcode}")
        reading = Reading.model_validate_json(answer)
        inbox.used(number)
        return reading

    async def close(self) -> None:
        """Nothing is held."""


class FileCounter:
    """A cell counter whose densities arrive as a file; a person adds phenotype and volume, which no counter tells."""

    def __init__(
        self,
        name: str,
        *,
        program: str = "",
        how: str = "",
        wait_minutes: float = 240.0,
        deliveries: Deliveries | None = None,
        ask: Ask | None = None,
    ) -> None:
        """Wait for nothing yet; as `FileReader`. `ask` replaces Prefect in tests."""
        self.name = name
        self._program = program
        self._how = how
        self._wait_s = 60 * wait_minutes
        self._deliveries = deliveries
        self._ask = ask or ask_in_prefect

    async def inspect(self) -> tuple[Finding, ...]:
        """Whether the folder is there; the counter itself cannot be asked."""
        told = f"counted by people{f' with {self._program}' if self._program else ''}; its files come through the inbox"
        found = self._deliveries.look() if self._deliveries is not None else ()
        return (Finding(subject="counter", found=told, ok=True), *found)

    async def count(self, barcode: str, wells: tuple[str, ...], *, occurrence: int = 0) -> tuple[CellCount, ...]:
        """Wait for the counts of the wells named, then ask for purity, CD34 and volume of each.

        Args:
            barcode: of the plate.
            wells: of it.
            occurrence: as for every counter; not needed here, as each file that was used is waited for but once.

        Raises:
            BenchError: the bench has no inbox.
            DeviceError: no fitting file came in time.
            OperatorRefusedError: the lines typed in were wrong three times.
        """
        inbox = _required(self._deliveries, self.name)
        number = inbox.ask_counts(barcode, wells)
        counted = json.loads(await _waited(inbox, number, self._wait_s, f"{self.name}, plate {barcode}"))
        typed = await self._typed(number, barcode, wells, counted)
        inbox.used(number)
        return tuple(
            CellCount(
                barcode=barcode,
                well=well,
                viable_per_ml=counted[well]["viable_per_ml"],
                viability_percent=counted[well]["viability_percent"],
                counted_at=counted[well]["counted_at"],
                **typed[well],
            )
            for well in wells
        )

    async def _typed(
        self, number: int, barcode: str, wells: tuple[str, ...], counted: dict[str, Any]
    ) -> dict[str, dict[str, float]]:
        problem = ""
        for attempt in range(1, ATTEMPTS + 1):
            key = f"phenotype-{content_hash([self.name, barcode, wells, number])[:16]}-{attempt}"
            answer = await self._ask(_form(), _described(barcode, wells, counted, problem), key, LONGEST_WAIT_S)
            try:
                return parse_phenotype(answer.phenotype, wells)
            except ValueError as error:
                problem = str(error)
        raise OperatorRefusedError(problem, where=f"{self.name}, plate {barcode}", remedy="measure again, start again")


def parse_phenotype(text: str, wells: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Read lines `A1 88 0.5 1.5`: well, CD56+CD3- %, CD34+ %, volume mL.

    Raises:
        ValueError: a line is malformed or out of bounds, or a well is missing, doubled or not asked for.
    """
    found: dict[str, dict[str, float]] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        well, *numbers = line.replace(";", " ").split()
        if well not in wells or well in found:
            raise ValueError(f"well {well} {'stands twice' if well in found else 'was not asked for'}")
        if len(numbers) != len(PHENOTYPE):
            raise ValueError(
                f"line '{line}' has {len(numbers)} numbers, must be {len(PHENOTYPE)}: {', '.join(PHENOTYPE)}"
            )
        try:
            purity, cd34, volume = map(float, numbers)
        except ValueError as error:
            raise ValueError(f"line '{line}' holds something that is no number") from error
        if not (0 <= purity <= 100 and 0 <= cd34 <= 100 and 0 <= volume < 1e5):
            raise ValueError(f"line '{line}' is out of bounds: percentages are 0 to 100, the volume 0 or more mL")
        found[well] = {"purity_percent": purity, "cd34_percent": cd34, "volume_ml": volume}
    missing = [well for well in wells if well not in found]
    if missing:
        raise ValueError(f"no line for {', '.join(missing)}")
    return found


async def _waited(inbox: Deliveries, number: int, seconds: float, where: str) -> str:
    last = time.monotonic() + seconds
    try:
        while True:
            if answer := await inbox.delivered(number):
                return answer
            if time.monotonic() >= last:
                aside = inbox.put_aside(number)
                told = f"; put aside meanwhile: {'; '.join(aside)}" if aside else ""
                raise DeviceError(
                    f"no fitting file came within {seconds / 60:g} min{told}",
                    where=where,
                    remedy="export the file into the inbox, or assign one in quarantine: nkloop inbox list",
                )
            await asyncio.sleep(LOOK_SECONDS)
    except (DeviceError, asyncio.CancelledError) as error:
        inbox.withdraw(number, "gave up" if isinstance(error, DeviceError) else "cancelled")
        raise


def _required(deliveries: Deliveries | None, name: str) -> Deliveries:
    if deliveries is None:
        raise BenchError(
            "there is no inbox that could deliver files",
            where=name,
            remedy="add an `inbox:` block with a folder to the bench file",
        )
    return deliveries


def _form() -> type[Any]:
    from prefect.input import RunInput
    from pydantic import Field

    class Phenotype(RunInput):
        """What the counter's file does not tell."""

        operator: str = Field(min_length=1, max_length=80, title="Your name")
        phenotype: str = Field(min_length=1, title="Phenotype and volume", description="One line per well")

    return Phenotype


def _described(barcode: str, wells: tuple[str, ...], counted: dict[str, Any], problem: str) -> str:
    told = f"**{problem}**\n\n" if problem else ""
    rows = [
        f"| {well} | {number(counted[well]['viable_per_ml'])} | {counted[well]['viability_percent']:.1f} |"
        for well in wells
    ]
    table = "\n".join(["| Well | Viable cells/mL | Viability % |", "|---|---|---|", *rows])
    return (
        f"## Plate `{barcode}` was counted\n\n{told}{table}\n\n"
        "One line per well: well, CD56+CD3- %, CD34+ %, volume mL. Example: `A1 88 0.5 1.5`"
    )
