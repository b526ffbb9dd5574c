"""The CSV files a plate reader module leaves on the robot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

ROWS, COLUMNS = "ABCDEFGH", range(1, 13)


_GAP = ("", "", "")
_TEMPLATE = (
    ",ID,Well,Absorbance (OD),Mean Absorbance (OD),Absorbance %CV",
    *_GAP,
    ",ID,Well,Absorbance (OD),Mean Absorbance (OD),Dilution Factor,Absorbance %CV",
    "1,Sample 1,,,,1,,,,,,",
    *_GAP,
    "Protocol",
    "Assay",
)


def reader_csv(values: Mapping[str, float], wavelength_nm: int, serial: str, at: datetime) -> str:
    """One wavelength of a 96-well plate, measured at `at`, in the layout recorded from robot software 8.2."""
    head = "," + ",".join(str(column) for column in COLUMNS)
    measured = (f"{row}," + ",".join(str(values.get(f"{row}{c}", 0.0)) for c in COLUMNS) for row in ROWS)
    when = at.strftime("%m %d %H:%M:%S %Y")
    lines = [
        *(head, *measured, *_GAP),
        *(head, *(f"{row}," + "," * 11 for row in ROWS), *_GAP),
        *_TEMPLATE,
        f"Sample Wavelength (nm),{wavelength_nm}",
        f"Serial No.,{serial}",
        f"Measurement started at,{when}",
        f"Measurement finished at,{when}",
    ]
    return "".join(f"{line}\r\n" for line in lines)
