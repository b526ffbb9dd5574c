"""Which reader of files understands which file."""

from __future__ import annotations

from pathlib import Path

from nkloop.assays.readings.generic import read_generic
from nkloop.assays.readings.models import PlateReading


def read_plate_file(path: Path) -> PlateReading:
    """Read the file of one plate, whatever program wrote it.

    Raises:
        ReadingError: the file is missing, or nothing in it can be understood; every line that is wrong is named.
    """
    return read_generic(path)
