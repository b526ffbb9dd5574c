"""The plate in a reader as PyLabRobot wants to have it described."""

from __future__ import annotations

import string
from typing import Any

from nkloop.drivers.pylabrobot import adapter
from nkloop.errors import DeviceError, LabwareError
from nkloop.labware.outlines import Outline, known_outline
from nkloop.worklists.contents import LabwareLookup

FOOTPRINT_MM = (127.76, 85.48, 14.4)
"""Length, width and height of a microplate (ANSI/SLAS 1-2004 and 2-2004)."""
PITCH_MM = {96: 9.0, 384: 4.5, 48: 13.0, 24: 19.3, 12: 26.0, 6: 39.0}
"""Distance between well centres by number of wells (ANSI/SLAS 4-2004 for 96 and 384, makers' drawings below)."""


def well_names(rows: int, columns: int) -> list[str]:
    """Names column by column: A1, B1, ..."""
    return [f"{row}{column}" for column in range(1, columns + 1) for row in string.ascii_uppercase[:rows]]


def make_plate(barcode: str, load_name: str, catalogue: LabwareLookup | None) -> Any:
    """A plate named by its barcode, with the wells of its labware where the catalogue knows their places.

    Raises:
        DeviceError: the places are not known and no standard plate has this number of wells.
    """
    rows, columns, outline = 8, 12, None
    if catalogue is not None:
        kind = catalogue[load_name]
        rows, columns = kind.rows, kind.columns
        outline = _known(catalogue, kind)
    resources = adapter.part("resources")
    outline = outline or _standard(barcode, rows, columns)
    length, width, height = outline.size
    wells = {}
    for name in well_names(rows, columns):
        (x, y), (wide, deep) = outline.centre(name), outline.across
        well = resources.Well(
            adapter.child_name(barcode, name),
            size_x=wide,
            size_y=deep,
            size_z=outline.depth,
            max_volume=1e6,
            material_z_thickness=1.0,
        )
        well.location = resources.Coordinate(x - wide / 2, y - deep / 2, outline.bottom)
        wells[name] = well
    return resources.Plate(
        name=barcode, size_x=length, size_y=width, size_z=height, ordered_items=wells, model=load_name
    )


def _known(catalogue: LabwareLookup, kind: Any) -> Outline | None:
    try:
        return known_outline(catalogue, kind.load_name)
    except LabwareError:
        return None


def _standard(barcode: str, rows: int, columns: int) -> Outline:
    pitch = PITCH_MM.get(rows * columns)
    if pitch is None:
        raise DeviceError(
            f"a plate with {rows * columns} wells cannot be read",
            where=barcode,
            remedy=f"use a plate with {', '.join(str(n) for n in sorted(PITCH_MM))} wells",
        )
    length, width, height = FOOTPRINT_MM
    first = ((length - (columns - 1) * pitch) / 2, (width + (rows - 1) * pitch) / 2)
    return Outline(
        size=FOOTPRINT_MM,
        rows=rows,
        columns=columns,
        first=first,
        pitch=(pitch, pitch),
        bottom=1.0,
        depth=height - 1.0,
        shape="round",
        across=(0.75 * pitch, 0.75 * pitch),
    )
