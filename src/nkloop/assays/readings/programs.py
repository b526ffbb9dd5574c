"""Which program wrote a file, told from its content and never from its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from nkloop.assays.readings.cells import Row

Recogniser = Callable[[Sequence[Row]], bool]


@dataclass(frozen=True)
class Program:
    """A program whose exports are read."""

    name: str
    measures: Literal["plate", "cell counts"]
    allotropy: str
    """Name of its parser in allotropy; empty for the files we read ourselves."""
    recognises: Recogniser
    extension: str
    """The only file ending allotropy takes for it."""


def _begins(*words: str, rows: int = 60) -> Recogniser:
    """Every word begins some cell of the first rows."""

    def recognise(found: Sequence[Row]) -> bool:
        cells = [cell for row in found[:rows] for cell in row.cells]
        return all(any(cell.startswith(word) for cell in cells) for word in words)

    return recognise


PROGRAMS: tuple[Program, ...] = (
    Program("SoftMax Pro", "plate", "MOLDEV_SOFTMAX_PRO", _begins("##BLOCKS=", rows=1), "txt"),
    Program("Gen5", "plate", "AGILENT_GEN5", _begins("Software Version", "Reader Type:", "Plate Number"), "txt"),
    Program("MARS", "plate", "BMG_MARS", _begins("User:", "Test run no.:", "Test name:", rows=4), "csv"),
    Program("EnVision", "plate", "PERKIN_ELMER_ENVISION", _begins("Plate information", "Measurement date"), "csv"),
    Program(
        "Magellan", "plate", "TECAN_MAGELLAN", _begins("Well positions", "Date of measurement:", rows=1000), "xlsx"
    ),
    Program("SkanIt", "plate", "THERMO_SKANIT", _begins("Wavelength:", "Abs", rows=40), "xlsx"),
    Program(
        "Opentrons plate reader",
        "plate",
        "",
        _begins("Sample Wavelength (nm)", "Measurement started at", rows=1000),
        "csv",
    ),
    Program(
        "Vi-CELL BLU", "cell counts", "BECKMAN_VI_CELL_BLU", _begins("Sample ID", "Viable (x10^6) cells/mL"), "csv"
    ),
    Program("Vi-CELL XR", "cell counts", "BECKMAN_VI_CELL_XR", _begins("Vi-CELL XR", rows=2), "txt"),
    Program("NucleoView", "cell counts", "CHEMOMETEC_NUCLEOVIEW", _begins("Viability (%)", "Instrument type"), "csv"),
)


def program_of(rows: Sequence[Row]) -> Program | None:
    """The program that wrote these rows, or None when it is none of those known."""
    return next((program for program in PROGRAMS if program.recognises(rows)), None)
