"""The units people write, what each measures, and its name in the pint registry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

from nkloop.errors import QuantityError


class Kind(Enum):
    """What an amount measures; the value is the canonical unit used inside the package."""

    VOLUME = "µL"
    MASS = "ng"
    MASS_CONCENTRATION = "ng/µL"
    ACTIVITY = "IU"
    ACTIVITY_CONCENTRATION = "IU/µL"
    SPECIFIC_ACTIVITY = "IU/mg"
    TRANSDUCING_UNITS = "TU"
    TITRE = "TU/µL"
    MULTIPLICITY = "TU/cell"
    MOLAR_CONCENTRATION = "µM"
    FRACTION = "v/v"
    CELLS = "cells"
    CELL_DENSITY = "cells/µL"
    TIME = "min"

    @property
    def words(self) -> str:
        """The kind in words, for messages."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Unit:
    """A written unit: how it is shown, its pint expression (IU stands for the substance's own unit) and its kind."""

    shown: str
    pint: str
    kind: Kind


_VOLUMES = {"nl": "nL", "ul": "µL", "ml": "mL", "dl": "dL", "l": "L"}
_MASSES = {"pg": "pg", "ng": "ng", "ug": "µg", "mcg": "µg", "mg": "mg", "g": "g"}
_ACTIVITIES = {"IU": "IU", "kIU": "kIU", "MIU": "MIU"}
_TRANSDUCING = {"TU": "TU"}
_CELLS = {"cell": "cells", "cells": "cells"}
_TOPS = {
    **{name: (shown, Kind.MASS, Kind.MASS_CONCENTRATION) for name, shown in _MASSES.items()},
    **{name: (shown, Kind.ACTIVITY, Kind.ACTIVITY_CONCENTRATION) for name, shown in _ACTIVITIES.items()},
    **{name: (shown, Kind.TRANSDUCING_UNITS, Kind.TITRE) for name, shown in _TRANSDUCING.items()},
    **{name: (shown, Kind.CELLS, Kind.CELL_DENSITY) for name, shown in _CELLS.items()},
}
_FIXED = {
    **{name: Unit("% v/v", "volume_percent", Kind.FRACTION) for name in ("%", "% v/v", "%v/v", "% (v/v)", "%(v/v)")},
    **{name: Unit("TU/cell", "TU/cells", Kind.MULTIPLICITY) for name in ("TU/cell", "TU/cells")},
    "nM": Unit("nM", "nmol/L", Kind.MOLAR_CONCENTRATION),
    "uM": Unit("µM", "umol/L", Kind.MOLAR_CONCENTRATION),
    "mM": Unit("mM", "mmol/L", Kind.MOLAR_CONCENTRATION),
    **{name: Unit("v/v", "dimensionless", Kind.FRACTION) for name in ("v/v", "mL/mL")},
    "s": Unit("s", "second", Kind.TIME),
    "min": Unit("min", "minute", Kind.TIME),
    "h": Unit("h", "hour", Kind.TIME),
    **{name: Unit("d", "day", Kind.TIME) for name in ("d", "day", "days")},
}
_VAGUE = {"u", "ku", "mu", "unit", "units"}


def _ascii(text: str) -> str:
    return text.replace("\u03bc", "u").replace("\u00b5", "u")


@cache
def unit_of(text: str) -> Unit:
    """Look a written unit up.

    Raises:
        QuantityError: the unit is not known, or is a bare `U` that does not say which activity it means.
    """
    written = _ascii(text.strip())
    if written in _FIXED:
        return _FIXED[written]
    top, _, bottom = (part.strip() for part in written.partition("/"))
    if top.lower() in _VAGUE:
        raise QuantityError(
            f"unit '{text}' does not say which unit of activity it is",
            remedy="write IU for international units; a vendor's own unit needs the lot's certificate value, or a mass",
        )
    if not bottom and top.lower() in _VOLUMES:
        return Unit(_VOLUMES[top.lower()], _ascii(_VOLUMES[top.lower()]), Kind.VOLUME)
    if top in _TOPS:
        shown, alone, dissolved = _TOPS[top]
        if not bottom:
            return Unit(shown, _ascii(shown), alone)
        if bottom.lower() in _VOLUMES:
            under = _VOLUMES[bottom.lower()]
            return Unit(f"{shown}/{under}", _ascii(f"{shown}/{under}"), dissolved)
        if top in _ACTIVITIES and bottom in _MASSES:
            return Unit(f"{shown}/{_MASSES[bottom]}", _ascii(f"{shown}/{_MASSES[bottom]}"), Kind.SPECIFIC_ACTIVITY)
    raise QuantityError(
        f"unit '{text}' is not known", remedy="use for example ng/mL, IU/mL, nM, % v/v, cells/mL, mL, h or d"
    )
