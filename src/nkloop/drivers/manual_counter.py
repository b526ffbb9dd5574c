"""Cell counts that a person types in after counting: for benches whose counter has no driver."""

from __future__ import annotations

from typing import Any

from nkloop.assays.measurements import CellCount
from nkloop.drivers.interfaces import Finding
from nkloop.drivers.operators import ATTEMPTS, LONGEST_WAIT_S, Ask, ask_in_prefect
from nkloop.errors import OperatorRefusedError
from nkloop.frozen import content_hash

COLUMNS = ("viable_per_ml", "viability_percent", "purity_percent", "cd34_percent", "volume_ml")


class ManualCounter:
    """Asks for the counts on the page of the flow run under way."""

    def __init__(self, name: str, *, wait_seconds: float = LONGEST_WAIT_S, ask: Ask | None = None) -> None:
        self.name = name
        self._wait_seconds = wait_seconds
        self._ask = ask or ask_in_prefect

    async def inspect(self) -> tuple[Finding, ...]:
        """A person counts; nothing is there that could answer."""
        return (Finding(subject="counter", found="a person types the counts into the page of the flow run", ok=True),)

    async def count(self, barcode: str, wells: tuple[str, ...], *, occurrence: int = 0) -> tuple[CellCount, ...]:
        """Ask for one line per well; asked again, with what is wrong, up to three times.

        Args:
            barcode: of the plate.
            wells: of it.
            occurrence: as for every counter; with the same one a flow run gets the lines typed in before.

        Raises:
            OperatorRefusedError: the lines were wrong three times.
        """
        problem = ""
        for attempt in range(1, ATTEMPTS + 1):
            key = f"count-{content_hash([self.name, barcode, wells, occurrence])[:16]}-{attempt}"
            answer = await self._ask(_form(), _description(barcode, wells, problem), key, self._wait_seconds)
            try:
                return parse_counts(answer.counts, barcode, wells)
            except ValueError as error:
                problem = str(error)
        raise OperatorRefusedError(problem, where=f"{self.name}, plate {barcode}", remedy="count again and start again")


def parse_counts(text: str, barcode: str, wells: tuple[str, ...]) -> tuple[CellCount, ...]:
    """Read lines `A1 1.2e6 93 88 0.5 1.5`: well, viable cells/mL, viability %, CD56+CD3- %, CD34+ %, volume mL.

    Raises:
        ValueError: a line is malformed or out of bounds, or a well is missing, doubled or not asked for.
    """
    found: dict[str, CellCount] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        well, *numbers = line.replace(",", " ").replace(";", " ").split()
        if len(numbers) != len(COLUMNS):
            raise ValueError(f"line '{line}' has {len(numbers)} numbers, must be {len(COLUMNS)}: {', '.join(COLUMNS)}")
        if well not in wells or well in found:
            raise ValueError(f"well {well} {'stands twice' if well in found else 'was not asked for'}")
        fields = dict(zip(COLUMNS, numbers, strict=True))
        try:
            found[well] = CellCount.model_validate({"barcode": barcode, "well": well, **fields})
        except ValueError as error:
            raise ValueError(f"line '{line}' has a number that is malformed or out of bounds") from error
    missing = [well for well in wells if well not in found]
    if missing:
        raise ValueError(f"no line for {', '.join(missing)}")
    return tuple(found[well] for well in wells)


def _form() -> type[Any]:
    from prefect.input import RunInput
    from pydantic import Field

    class Counts(RunInput):
        """What was counted."""

        operator: str = Field(min_length=1, max_length=80, title="Your name")
        counts: str = Field(min_length=1, title="Counts", description="One line per well")

    return Counts


def _description(barcode: str, wells: tuple[str, ...], problem: str) -> str:
    told = f"**{problem}**\n\n" if problem else ""
    return (
        f"## Count plate `{barcode}`\n\n{told}Wells: {', '.join(wells)}\n\n"
        "One line per well: well, viable cells/mL, viability %, CD56+CD3- %, CD34+ %, volume mL. "
        "Example: `A1 1.2e6 93 88 0.5 1.5`"
    )
