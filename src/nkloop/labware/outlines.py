"""Where the wells of a labware are: what a liquid handler needs that does not know Opentrons' definitions.

The maker's own labware is reduced to `maker_outlines.json` beside this module (Opentrons shared data 9.0.0, labware
schema 2, by `tests/labware/make_outlines.py`), so that nothing has to be fetched from the network; labware of our own
is read from its definition.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from nkloop.errors import LabwareError
from nkloop.frozen import FrozenModel

MAKER_FILE = Path(__file__).with_name("maker_outlines.json")
_GRID_MM = 0.06
"""How far a well of the maker's may stand off an even grid."""


class Outline(FrozenModel):
    """Geometry of a labware with an even grid of equal wells, in mm from its front left bottom corner."""

    size: tuple[float, float, float]
    """Length (x), width (y), height (z) of the labware."""
    rows: int = Field(ge=1)
    columns: int = Field(ge=1)
    first: tuple[float, float]
    """Centre of A1, the well at the back left."""
    pitch: tuple[float, float]
    """Distance between columns (x) and between rows (y); 0 where there is only one."""
    bottom: float = Field(ge=0)
    """Height of the inner bottom of a well, or of the end of a tip."""
    depth: float = Field(gt=0)
    """Inner depth of a well, or length of a tip."""
    shape: Literal["round", "square"]
    across: tuple[float, float]
    """Inner width of a well in x and y at its rim."""
    tip_overlap: float | None = Field(default=None, ge=0)
    """How far a nozzle dips into the tip; None for what holds liquid."""

    @model_validator(mode="after")
    def _is_within(self) -> Self:
        if not all(math.isfinite(v) and v > 0 for v in (*self.size, *self.across)):
            raise ValueError("sizes must be finite and above 0")
        return self

    @property
    def area_mm2(self) -> float:
        """Inner cross-section of a well at its rim; a well that narrows has less further down."""
        return math.prod(self.across) * (math.pi / 4 if self.shape == "round" else 1.0)

    def centre(self, well: str) -> tuple[float, float]:
        """Centre of a well by its name, `A1` at the back left."""
        row, column = ord(well[0]) - ord("A"), int(well[1:]) - 1
        return self.first[0] + column * self.pitch[0], self.first[1] - row * self.pitch[1]


def outline_of(definition: Mapping[str, Any]) -> Outline:
    """Reduce an Opentrons definition (schema 2) to its outline.

    Raises:
        LabwareError: its wells differ or do not stand on an even grid.
    """
    name, wells, ordering = definition["parameters"]["loadName"], definition["wells"], definition["ordering"]
    first = wells["A1"]
    rows, columns = len(ordering[0]), len(ordering)
    pitch_x = wells[ordering[1][0]]["x"] - first["x"] if columns > 1 else 0.0
    pitch_y = first["y"] - wells[ordering[0][1]]["y"] if rows > 1 else 0.0
    is_round = first["shape"] == "circular"
    size = definition["dimensions"]
    parameters = definition["parameters"]
    outline = Outline(
        size=(size["xDimension"], size["yDimension"], size["zDimension"]),
        rows=rows,
        columns=columns,
        first=(first["x"], first["y"]),
        pitch=(round(pitch_x, 3), round(pitch_y, 3)),
        bottom=first["z"],
        depth=parameters["tipLength"] if parameters.get("isTiprack") else first["depth"],
        shape="round" if is_round else "square",
        across=(first["diameter"],) * 2 if is_round else (first["xDimension"], first["yDimension"]),
        tip_overlap=parameters.get("tipOverlap") if parameters.get("isTiprack") else None,
    )
    for well, place in wells.items():
        x, y = outline.centre(well)
        if max(abs(place["x"] - x), abs(place["y"] - y)) > _GRID_MM or place["depth"] != first["depth"]:
            raise LabwareError(
                f"{name}: well {well} is not one of an even grid of equal wells",
                where=name,
                remedy="use a labware whose wells are all alike on robots that PyLabRobot drives",
            )
    return outline


@cache
def maker_outlines() -> dict[str, Outline]:
    """Outlines of the maker's labware by load name."""
    raw = json.loads(MAKER_FILE.read_text(encoding="utf-8"))
    return {name: Outline.model_validate(one) for name, one in raw.items()}


def known_outline(catalogue: object, load_name: str) -> Outline:
    """Geometry of a labware: of our own definition, where the catalogue has one, or of the maker's as it was copied.

    Raises:
        LabwareError: there is none, or its wells are not all alike.
    """
    definition = getattr(catalogue, "definition", lambda _: None)(load_name)
    if definition is not None:
        return outline_of(definition)
    found = maker_outlines().get(load_name)
    if found is None:
        raise LabwareError(
            f"the geometry of {load_name} is not known here",
            where=load_name,
            remedy="save its definition (labware schema 2) as labware of your own, with namespace nkloop",
        )
    return found
