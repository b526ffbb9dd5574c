"""The one pint registry of the package."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pint

_DEFINITIONS = (
    "femto- = 1e-15 = f-",
    "pico- = 1e-12 = p-",
    "nano- = 1e-9 = n-",
    "micro- = 1e-6 = u-",
    "milli- = 1e-3 = m-",
    "deci- = 1e-1 = d-",
    "meter = [length] = m",
    "gram = [mass] = g",
    "mole = [substance] = mol",
    "second = [time] = s",
    "minute = 60 * second = min",
    "hour = 60 * minute = h",
    "day = 24 * hour",
    "week = 7 * day",
    "liter = decimeter ** 3 = l = L",
    "cells = [cell_count]",
    "volume_percent = 0.01",
)
"""What `units` writes and no more: reading pint's own list of a thousand units takes every process half a second."""


@cache
def registry() -> pint.UnitRegistry[Any]:
    """Return the registry, built once; cells are a base unit, so they never convert to anything else."""
    import pint  # slow to import: only a conversion needs it

    units: pint.UnitRegistry[Any] = pint.UnitRegistry(None)
    for line in _DEFINITIONS:
        units.define(line)
    return units


@cache
def _define_activity(slug: str) -> None:
    units = registry()
    units.define(f"IU_{slug} = [activity_{slug}]")
    units.define(f"kIU_{slug} = 1e3 IU_{slug}")
    units.define(f"MIU_{slug} = 1e6 IU_{slug}")
    units.define(f"TU_{slug} = [transducing_units_{slug}]")


@cache
def factor(unit: str, target: str, substance: str | None) -> float:
    """Factor that turns a magnitude in one pint expression into another; IU and TU belong to the substance.

    Raises:
        pint.DimensionalityError: the two do not measure the same thing.
    """
    if substance is not None:
        slug = re.sub(r"\W", "_", substance)
        _define_activity(slug)
        unit, target = (re.sub(r"\b([kM]?IU|TU)\b", rf"\1_{slug}", text) for text in (unit, target))
    units = registry()
    # pint multiplies powers of ten one by one; 14 digits drop that rounding, so that 100 µg/mL is 100 ng/µL
    return float(f"{units.Quantity(1.0, unit).to(target).magnitude:.14g}")
