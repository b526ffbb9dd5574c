"""The lines above the numbers: instrument, time, settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nkloop.assays.readings.cells import Row
from nkloop.assays.unit_headers import other_unit

_NAMES = {
    "barcode": "barcode",
    "plate": "barcode",
    "plate barcode": "barcode",
    "plate id": "barcode",
    "instrument": "instrument",
    "reader": "instrument",
    "serial": "serial_number",
    "serial number": "serial_number",
    "instrument serial number": "serial_number",
    "read at": "read_at",
    "date": "read_at",
    "time of read": "read_at",
    "measured at": "read_at",
    "mode": "mode",
    "read mode": "mode",
    "detection mode": "mode",
    "wavelength": "wavelength_nm",
    "wavelength nm": "wavelength_nm",
    "reference wavelength": "reference_wavelength_nm",
    "reference wavelength nm": "reference_wavelength_nm",
    "excitation": "excitation_nm",
    "excitation nm": "excitation_nm",
    "emission": "emission_nm",
    "emission nm": "emission_nm",
}
_MODES = {
    "absorbance": "absorbance",
    "abs": "absorbance",
    "od": "absorbance",
    "fluorescence": "fluorescence",
    "fluorescence intensity": "fluorescence",
    "trf": "time-resolved fluorescence",
    "time resolved fluorescence": "time-resolved fluorescence",
    "luminescence": "luminescence",
    "lum": "luminescence",
    "cytometry": "cytometry",
    "flow cytometry": "cytometry",
    "impedance": "impedance",
}
FRAME_NAMES = {"quantity": "quantity", "minutes": "minutes", "time min": "minutes", "hours": "hours", "time h": "hours"}
"""Names that describe the next block of numbers alone."""
UNITS = {
    "time": ("minutes", "hours"),
    **dict.fromkeys(("wavelength", "reference wavelength", "excitation", "emission"), ("nm",)),
}
"""Units of what describes numbers."""
_NM = re.compile(r"^(\d{3,4})(?:\.0+)?\s*(?:nm)?$")


@dataclass
class Header:
    """Fields of a `PlateReading` gathered so far."""

    fields: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    frame: dict[str, str] = field(default_factory=dict)
    """What was said of the next block of numbers."""
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    """Line, message, remedy."""

    def take(self, row: Row) -> bool:
        """Keep a row when it is `name: value` (one or two cells); False when it is something else."""
        pair = _pair(row)
        if pair is None:
            return False
        name, value = _plain(pair[0]), pair[1]
        if name in FRAME_NAMES:
            self.frame[FRAME_NAMES[name]] = value
        elif name in _NAMES:
            self._known(row.line, _NAMES[name], value)
        elif (wrong := other_unit(pair[0], UNITS)) is not None:
            self.problems.append((row.line, *wrong))
        else:
            self.settings[pair[0].strip()] = value
        return True

    def _known(self, line: int, name: str, value: str) -> None:
        if not value:
            return
        if name == "mode":
            mode = _MODES.get(_plain(value))
            if mode is None:
                self.problems.append((line, f"mode '{value}' is not known", f"write one of: {', '.join(_listed())}"))
            else:
                self.fields[name] = mode
        elif name.endswith("_nm"):
            match = _NM.match(value)
            if match is None:
                self.problems.append((line, f"wavelength '{value}' is not in nm", "write a number, like 490 nm"))
            else:
                if name == "wavelength_nm":
                    self.frame["wavelength_nm"] = match[1]
                self.fields.setdefault(name, int(match[1]))
        elif name == "read_at":
            self._time(line, value)
        else:
            self.fields[name] = value

    def _time(self, line: int, value: str) -> None:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.problems.append((line, f"time '{value}' is not a time", "write it like 2026-11-25T14:30:00+01:00"))
            return
        if moment.tzinfo is None:
            self.notes.append(f"line {line}: the time {value} has no zone and is taken as UTC")
            moment = moment.replace(tzinfo=UTC)
        self.fields["read_at"] = moment


def _pair(row: Row) -> tuple[str, str] | None:
    """Name and value of a header row: `name: value` in one cell, or two cells."""
    if len(row.cells) == 1 and ":" in row.cells[0]:
        name, _, value = row.cells[0].partition(":")
        return name, value.strip()
    if len(row.cells) in {1, 2} and row.cells[0].endswith(":"):
        return row.cells[0][:-1], row.cell(1)
    if len(row.cells) == 2 and _plain(row.cells[0]) in (*_NAMES, *FRAME_NAMES):
        return row.cells[0], row.cells[1]
    if len(row.cells) > 2 and row.cells[0].endswith(":"):
        return row.cells[0][:-1], ", ".join(cell for cell in row.cells[1:] if cell)
    return None


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.lower()).split())


def _listed() -> list[str]:
    return list(dict.fromkeys(_MODES.values()))
