"""What stands in a file: the plates or samples of it, whatever program wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nkloop.assays.readings import PlateReading, SampleCount, read_counts, read_plates
from nkloop.assays.readings.cells import read_rows
from nkloop.assays.readings.files import InstrumentFiles
from nkloop.assays.readings.programs import program_of
from nkloop.errors import ReadingError
from nkloop.runs.inbox.fitting import Refusal

GENERIC = "generic"
"""What a plain grid or table is called among the programs of an inbox."""


@dataclass(frozen=True)
class Contents:
    """A file as it was read."""

    program: str
    plates: tuple[PlateReading, ...] = ()
    samples: tuple[SampleCount, ...] = ()


async def contents_of(
    path: Path, name: str, vendor: InstrumentFiles, programs: tuple[str, ...] = ()
) -> Contents | Refusal:
    """Read a file that is kept at `path` and was called `name`; `programs` are those taken, all when empty."""
    try:
        _, rows = read_rows(path)
        program = program_of(rows)
        wrote = program.name if program else GENERIC
        if programs and wrote not in programs:
            remedy = f"drop it where it belongs, or add '{wrote}' to `programs` of the inbox"
            return Refusal("wrong_program", f"it is a file of {wrote}, this inbox takes {', '.join(programs)}", remedy)
        if program is not None and program.measures == "cell counts":
            return Contents(wrote, samples=await read_counts(path, vendor))
        plates = await read_plates(path, vendor)
        return Contents(wrote, plates=tuple(plate.model_copy(update={"file": name}) for plate in plates))
    except ReadingError as error:
        told = error.problems[0]
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        return Refusal("not_readable", f"{told.message}{more}", told.remedy or "export it again")
