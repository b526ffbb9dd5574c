"""The one pint registry of the package."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pint


@cache
def registry() -> pint.UnitRegistry[Any]:
    """Return the registry, built once; cells are a base unit, so they never convert to anything else."""
    import pint  # slow to import: only a conversion needs it

    units: pint.UnitRegistry[Any] = pint.UnitRegistry()
    units.define("cells = [cell_count]")
    units.define("volume_percent = 0.01")
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
