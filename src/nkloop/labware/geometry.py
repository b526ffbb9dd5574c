"""Geometry of a labware definition. The maker's own checks accept a well outside the plate; ours do not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import itemgetter
from typing import Any

from nkloop.errors import Problem
from nkloop.labware.models import LabwareType

SCHEMA_VERSION = 2
TOLERANCE_MM = 0.02
PROUD_TIPS_MM = 0.5
"""Tips of the maker's own racks stand up to 0.2 mm above the height stated for the rack."""
"""Rounding in definitions: coordinates are written with two decimals."""


@dataclass(frozen=True)
class _Well:
    """Outline and depth of a well, in mm from the front left bottom corner of the labware."""

    name: str
    x: float
    y: float
    z: float
    depth: float
    volume_ul: float
    half_x: float
    half_y: float
    is_round: bool

    @classmethod
    def read(cls, name: str, raw: dict[str, Any]) -> _Well:
        """A well of a definition; lengths in mm, volume in µL.

        Raises:
            KeyError: the definition leaves a number out.
            ValueError: one is no finite number.
        """
        is_round = raw["shape"] == "circular"
        half_x = float(raw["diameter"] if is_round else raw["xDimension"]) / 2
        half_y = float(raw["diameter"] if is_round else raw["yDimension"]) / 2
        x, y, z, depth, volume_ul = (float(raw[key]) for key in ("x", "y", "z", "depth", "totalLiquidVolume"))
        if not all(math.isfinite(value) for value in (x, y, z, depth, volume_ul, half_x, half_y)):
            raise ValueError("a number that is not finite")
        return cls(name, x, y, z, depth, volume_ul, half_x, half_y, is_round)

    def overlap_mm(self, other: _Well) -> float:
        """How far the two outlines reach into each other; negative is the wall between them."""
        dx, dy = abs(self.x - other.x), abs(self.y - other.y)
        if self.is_round and other.is_round:
            return self.half_x + other.half_x - math.hypot(dx, dy)
        if self.is_round or other.is_round:
            ball, box = (self, other) if self.is_round else (other, self)
            gap = math.hypot(max(0.0, dx - box.half_x), max(0.0, dy - box.half_y))
            return ball.half_x - gap
        return min(self.half_x + other.half_x - dx, self.half_y + other.half_y - dy)


def check_geometry(definition: dict[str, Any], entry: LabwareType | None = None) -> tuple[Problem, ...]:
    """Everything wrong with a labware definition (Opentrons schema 2), and with its agreement with its entry.

    Checked: schema version, namespace, A1, ordering, wells within the footprint, no two wells overlapping, depth
    within the height, volumes above 0; against the entry: names, version, rows and columns, nominal volume,
    catalogue number.
    """
    try:
        problems = list(_head(definition))
        wells = {}
        for name, raw in definition["wells"].items():
            try:
                wells[name] = _Well.read(name, raw)
            except (KeyError, TypeError, ValueError) as error:
                problems.append(
                    Problem(f"well {name} is incomplete ({error})", name, "give x, y, z, depth and outline")
                )
        problems += _ordering(definition, wells)
        size = {axis: float(definition["dimensions"][f"{axis}Dimension"]) for axis in "xyz"}
        above = PROUD_TIPS_MM if definition.get("parameters", {}).get("isTiprack") else TOLERANCE_MM
        problems += [problem for well in wells.values() for problem in _within(well, size, above)]
        problems += _overlaps(wells)
        if entry is not None:
            problems += _agreement(definition, wells, entry)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return (Problem(f"not a labware definition of schema {SCHEMA_VERSION} ({error!r})", "", "compare the schema"),)
    return tuple(problems)


def check_entry(definition: dict[str, Any], entry: LabwareType) -> tuple[Problem, ...]:
    """How a catalogue entry departs from the maker's own definition, whose geometry is the maker's affair.

    Compared: names, version, wells, nominal volume, height, catalogue number.

    Raises:
        KeyError: the definition is none of schema 2.
    """
    wells = {name: _Well.read(name, raw) for name, raw in definition["wells"].items()}
    return tuple(_agreement(definition, wells, entry))


def _head(definition: dict[str, Any]) -> Iterator[Problem]:
    if definition.get("schemaVersion") != SCHEMA_VERSION:
        yield Problem(
            f"schema version {definition.get('schemaVersion')} is not {SCHEMA_VERSION}",
            "schemaVersion",
            f"write the definition in schema {SCHEMA_VERSION}",
        )
    if not definition.get("namespace"):
        yield Problem("the namespace is missing", "namespace", "write nkloop for our own labware")


def _ordering(definition: dict[str, Any], wells: dict[str, _Well]) -> Iterator[Problem]:
    """Wells and ordering name the same, A1 is there, and the order runs from the back left."""
    is_adapter = definition["metadata"]["displayCategory"] == "adapter"
    ordered = [name for column in definition["ordering"] for name in column]
    if not is_adapter and "A1" not in definition["wells"]:
        yield Problem("there is no well A1", "wells", "name the back left well A1")
    for name in ordered:
        if name not in definition["wells"]:
            yield Problem(f"the ordering names {name}, which is no well", "ordering", "name existing wells only")
    for name in sorted(set(definition["wells"]) - set(ordered)):
        yield Problem(f"well {name} is not in the ordering", "ordering", "name every well once")
    if len(ordered) != len(set(ordered)):
        yield Problem("the ordering names a well twice", "ordering", "name every well once")
    for column in definition["ordering"]:
        for upper, lower in pairwise(wells[name] for name in column if name in wells):
            if not upper.y > lower.y:
                yield Problem(
                    f"{lower.name} lies behind {upper.name}", "ordering", "order each column from the back to the front"
                )


def _within(well: _Well, size: dict[str, float], above: float) -> Iterator[Problem]:
    """The well lies inside the labware, or stands above it by no more than is allowed."""
    for axis, middle, half in (("x", well.x, well.half_x), ("y", well.y, well.half_y)):
        low, high = middle - half, middle + half
        if half <= 0 or low < -TOLERANCE_MM or high > size[axis] + TOLERANCE_MM:
            yield Problem(
                f"well {well.name} reaches from {low:.2f} to {high:.2f} mm in {axis}, outside 0 to {size[axis]:g} mm",
                well.name,
                "correct its place or outline",
            )
    top = well.z + well.depth
    if well.z < 0 or well.depth <= 0 or top > size["z"] + above:
        yield Problem(
            f"well {well.name} reaches from {well.z:.2f} to {top:.2f} mm in height, outside 0 to {size['z']:g} mm",
            well.name,
            "correct its z or depth",
        )
    if well.volume_ul <= 0:
        yield Problem(f"well {well.name} holds {well.volume_ul:g} µL, must be above 0", well.name, "give its volume")


def _overlaps(wells: dict[str, _Well]) -> Iterator[Problem]:
    """The worst pair, with how many others overlap too: one wrong diameter makes hundreds."""
    pairs = [(one.overlap_mm(other), one, other) for one, other in _side_by_side(wells.values())]
    overlapping = [pair for pair in pairs if pair[0] > TOLERANCE_MM]
    if overlapping:
        overlap, one, other = max(overlapping, key=lambda pair: pair[0])
        more = f", as do {len(overlapping) - 1} other pairs" if len(overlapping) > 1 else ""
        yield Problem(
            f"wells {one.name} and {other.name} overlap by {overlap:.2f} mm{more}",
            one.name,
            "correct their places or outlines",
        )


def _side_by_side(wells: Iterable[_Well]) -> list[tuple[_Well, _Well]]:
    """The pairs that share a stretch of x, in the order of the definition: no other pair can overlap.

    A plate of 384 wells has 73 536 pairs, and a catalogue is read by every command.
    """
    from_left = sorted(enumerate(wells), key=lambda numbered: numbered[1].x - numbered[1].half_x)
    found = []
    for place, one in enumerate(from_left):
        for other in islice(from_left, place + 1, None):
            if other[1].x - other[1].half_x > one[1].x + one[1].half_x:
                break
            found.append(tuple(sorted((one, other), key=itemgetter(0))))
    return [(one, other) for (_, one), (_, other) in sorted(found, key=lambda pair: (pair[0][0], pair[1][0]))]


def _agreement(definition: dict[str, Any], wells: dict[str, _Well], entry: LabwareType) -> Iterator[Problem]:
    """The definition is the one its catalogue entry describes."""
    remedy = "correct the catalogue entry or the definition"
    for where, found, wanted in (
        ("loadName", definition["parameters"]["loadName"], entry.load_name),
        ("namespace", definition["namespace"], entry.namespace),
        ("version", definition["version"], entry.version),
    ):
        if found != wanted:
            yield Problem(f"the definition says {found}, the catalogue {wanted}", where, remedy)
    if entry.kind != "adapter" and set(wells) != set(entry.wells):
        has = f"{len({name[:1] for name in wells})} rows and {len({name[1:] for name in wells})} columns"
        shape = f"{entry.rows} rows and {entry.columns} columns"
        yield Problem(f"the wells are not the {shape} of the catalogue, the definition has {has}", "wells", remedy)
    for well in wells.values():
        if well.volume_ul != entry.well_volume_ul:
            volumes = f"{well.volume_ul:g} µL, the catalogue {entry.well_volume_ul:g} µL"
            yield Problem(f"well {well.name} holds {volumes}", well.name, remedy)
            break
    height = float(definition["dimensions"]["zDimension"])
    if entry.height_mm and abs(entry.height_mm - height) > TOLERANCE_MM:
        yield Problem(
            f"the labware is {height:g} mm high, the catalogue says {entry.height_mm:g} mm", "zDimension", remedy
        )
    numbers = definition["brand"].get("brandId") or []
    if numbers and entry.catalogue_number not in numbers:
        told = f"catalogue number {entry.catalogue_number} is not among those of the brand"
        yield Problem(f"{told}: {', '.join(map(str, numbers))}", "brand.brandId", remedy)
