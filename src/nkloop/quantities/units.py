"""The units people write, what each measures, and its name in the pint registry."""

from __future__ import annotations

import re
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
    """Infectious particles of a vector, as a titration counts them."""
    TITRE = "TU/µL"
    MULTIPLICITY = "TU/cell"
    """Transducing units per cell (MOI)."""
    MOLAR_CONCENTRATION = "µM"
    FRACTION = "v/v"
    """Share of a volume; `50 % v/v` is 0.5."""
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
    """As it is shown to people."""
    pint: str
    """Expression pint reads."""
    kind: Kind
    """What it measures."""


_VOLUMES = {"nl": "nL", "ul": "µL", "ml": "mL", "dl": "dL", "l": "L"}
_MASSES = {"fg": "fg", "pg": "pg", "ng": "ng", "ug": "µg", "mcg": "µg", "mg": "mg", "g": "g"}
_ACTIVITIES = {"IU": "IU", "iu": "IU", "kIU": "kIU", "MIU": "MIU"}
_TRANSDUCING = {"TU": "TU"}
_CELLS = {"cell": "cells", "cells": "cells"}
_MOLES = {"pmol": "pM", "nmol": "nM", "umol": "µM", "mmol": "mM", "mol": "M"}
_TIMES = {
    ("s", "second"): ("s", "sec", "second", "seconds"),
    ("min", "minute"): ("min", "mins", "minute", "minutes"),
    ("h", "hour"): ("h", "hr", "hrs", "hour", "hours"),
    ("d", "day"): ("d", "day", "days"),
    ("wk", "week"): ("wk", "week", "weeks"),
}


def _ascii(text: str) -> str:
    return text.replace("\u03bc", "u").replace("\u00b5", "u")


def _table() -> dict[str, Unit]:
    """Every spelling, its top as written and its bottom in small letters, without spaces around the slash."""
    table: dict[str, Unit] = {}
    for name, shown in _VOLUMES.items():
        for spelled in (name, shown, name.upper()):
            table[_ascii(spelled)] = Unit(shown, _ascii(shown), Kind.VOLUME)
    tops = (
        (_MASSES, Kind.MASS, Kind.MASS_CONCENTRATION),
        (_ACTIVITIES, Kind.ACTIVITY, Kind.ACTIVITY_CONCENTRATION),
        (_TRANSDUCING, Kind.TRANSDUCING_UNITS, Kind.TITRE),
        (_CELLS, Kind.CELLS, Kind.CELL_DENSITY),
    )
    for names, alone, dissolved in tops:
        for name, shown in names.items():
            table[name] = Unit(shown, _ascii(shown), alone)
            for bottom, under in _VOLUMES.items():
                table[f"{name}/{bottom}"] = Unit(f"{shown}/{under}", _ascii(f"{shown}/{under}"), dissolved)
    for name, shown in _ACTIVITIES.items():
        for mass, under in _MASSES.items():
            table[f"{name}/{mass}"] = Unit(f"{shown}/{under}", _ascii(f"{shown}/{under}"), Kind.SPECIFIC_ACTIVITY)
    for name, shown in _MOLES.items():
        molar = Unit(shown, f"{name}/L", Kind.MOLAR_CONCENTRATION)
        table[_ascii(shown)] = table[f"{name}/l"] = molar
    for (shown, pint), names_of_time in _TIMES.items():
        table.update(dict.fromkeys(names_of_time, Unit(shown, pint, Kind.TIME)))
    percent = Unit("% v/v", "volume_percent", Kind.FRACTION)
    table.update(dict.fromkeys(("%v/v", "%(v/v)", "vol%", "%vol"), percent))
    table.update(dict.fromkeys(("v/v", "ml/ml", "mL/ml"), Unit("v/v", "dimensionless", Kind.FRACTION)))
    table.update(dict.fromkeys(("TU/cell", "TU/cells"), Unit("TU/cell", "TU/cells", Kind.MULTIPLICITY)))
    return table


_UNITS = _table()
_EXAMPLES = "ng/mL, IU/mL, nM, % v/v, cells/mL, mL, h or d"
_REFUSED = (
    (
        re.compile(r"^(milli|kilo|mega|[kKmM])?(u|U|units?|Units?)$"),
        "does not say which unit of activity it is",
        "write IU for international units; a vendor's own unit needs the lot's certificate value, or a mass",
    ),
    (
        re.compile(r"^(UI|I\.?E\.?|I\.U\.?)$"),
        "is not how international units are written here",
        "write IU, if international units are meant",
    ),
    (
        re.compile(r"^(mIU|KIU|Miu|miu|kiu)$"),
        "may mean milli, kilo or mega",
        "write the number in IU, like 1000 IU/mL, or use kIU or MIU",
    ),
    (
        re.compile(r"^(NG|PG|UG|MG|Mg|Ng|Pg|Ug|G|MCG)$"),
        "mixes up large and small letters, which tell milli from mega",
        "write pg, ng, µg, mg or g in small letters",
    ),
)
_PERCENT_OF_MASS = re.compile(r"^%\(?(w|m|wt)/(v|vol)\)?$")
_MASS_IN_MASS = re.compile(r"^%\(?(w|m|wt)/(w|m|wt)\)?$")
_BARE_PERCENT = re.compile(r"^(%|percent|pct|per cent)$", re.IGNORECASE)
_NO_TOP = re.compile(r"^/(.+)$")


@cache
def unit_of(text: str) -> Unit:
    """Look a written unit up.

    Raises:
        QuantityError: the unit is not known, or is a bare `U` that does not say which activity it means.
    """
    written = _spelled(text)
    if written in _UNITS:
        return _UNITS[written]
    top = written.partition("/")[0]
    for pattern, reason, remedy in _REFUSED:
        if pattern.match(top):
            raise QuantityError(f"unit '{text}' {reason}", remedy=remedy)
    if _BARE_PERCENT.match(written):
        raise QuantityError(
            f"unit '{text}' does not say of what: volume per volume, mass per volume or mass per mass",
            remedy="write % v/v; or, for % w/v or % w/w, the concentration: 1 % w/v is 10 mg/mL",
        )
    if _MASS_IN_MASS.match(written.lower()):
        raise QuantityError(
            f"unit '{text}' is mass per mass", remedy="write it as mg/mL, with the density of the liquid"
        )
    if _PERCENT_OF_MASS.match(written.lower()):
        raise QuantityError(f"unit '{text}' is mass per volume", remedy="write it as mg/mL: 1 % w/v is 10 mg/mL")
    if _NO_TOP.match(written):
        raise QuantityError(f"unit '{text}' does not say what is counted", remedy=f"write for example cells{text}")
    raise QuantityError(f"unit '{text}' is not known", remedy=f"use for example {_EXAMPLES}")


def spellings(kind: Kind) -> tuple[str, ...]:
    """Every spelling of the units of a kind, bottoms in small letters; `u` stands for the prefix micro."""
    return tuple(name for name, unit in _UNITS.items() if unit.kind is kind)


def _spelled(text: str) -> str:
    """`ng per mL`, `ng mL-1`, `ng·mL⁻¹` and `ng / ML` all become `ng/ml`."""
    written = _ascii(text.strip()).replace("⁻¹", "-1").replace("^-1", "-1")
    written = re.sub(r"^([A-Za-z]+)\s*[·.*\s]\s*([A-Za-z]+)\s*-1$", r"\1/\2", written)
    written = re.sub(r"\s+per\s+", "/", written)
    top, slash, bottom = re.sub(r"\s*([/%()])\s*", r"\1", written).partition("/")
    if top in _CELL_WORDS:
        top = "cells"
    bottom = bottom if bottom in _KEEP_BOTTOM else bottom.lower()
    return f"{top}{slash}{bottom}"


_CELL_WORDS = {"Cells", "Cell", "viablecells"}
_KEEP_BOTTOM = {"cell", "cells"}
