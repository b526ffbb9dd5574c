"""Amounts as people like to read them: a prefix that suits the size, and few digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nkloop.quantities.units import Kind

if TYPE_CHECKING:
    from nkloop.quantities.amount import Amount

_LADDERS: dict[Kind, tuple[str, ...]] = {
    Kind.VOLUME: ("nL", "µL", "mL", "L"),
    Kind.MASS: ("fg", "pg", "ng", "µg", "mg", "g"),
    Kind.MASS_CONCENTRATION: ("fg/mL", "pg/mL", "ng/mL", "µg/mL", "mg/mL"),
    Kind.ACTIVITY: ("IU",),
    Kind.ACTIVITY_CONCENTRATION: ("IU/mL",),
    Kind.SPECIFIC_ACTIVITY: ("IU/mg",),
    Kind.TRANSDUCING_UNITS: ("TU",),
    Kind.TITRE: ("TU/mL",),
    Kind.MULTIPLICITY: ("TU/cell",),
    Kind.MOLAR_CONCENTRATION: ("pM", "nM", "µM", "mM", "M"),
    Kind.FRACTION: ("% v/v",),
    Kind.CELLS: ("cells",),
    Kind.CELL_DENSITY: ("cells/mL",),
}
"""Units of each kind from small to large; activity and cells keep one unit, as papers write them."""

_VOLUMES = {"L": 1e6, "mL": 1e3, "µL": 1.0}
"""µL in what pipettes, tubes and bottles are marked in; nobody pipettes by nL."""


def shown(amount: Amount, digits: int = 3) -> str:
    """Text of an amount in the largest unit of its kind in which it is at least 1; times and zero keep theirs."""
    if amount.magnitude == 0:
        return f"0 {amount.unit}"
    ladder = _LADDERS.get(amount.kind, (amount.unit,))
    sizes = {unit: float(f"{amount.magnitude_in(unit):.{digits}g}") for unit in ladder}
    unit = next((unit for unit in reversed(ladder) if abs(sizes[unit]) >= 1), ladder[0])
    return f"{number(sizes[unit], digits)} {unit}"


def volume_told(microlitres: float, digits: int = 4) -> str:
    """A volume as people read it off a tube, a pipette or a bottle: `0.5 µL`, `35.2 µL`, `25 mL`, `19.9 L`.

    The unit is chosen after rounding: 999.99 µL are `1 mL`, never `1000 µL`. `Amount.parse` reads the text back.
    """
    sizes = {unit: float(f"{microlitres / size:.{digits}g}") for unit, size in _VOLUMES.items()}
    unit = next((unit for unit in _VOLUMES if abs(sizes[unit]) >= 1), "µL")
    return f"{number(sizes[unit], digits)} {unit}"


def number(value: float, digits: int = 3) -> str:
    """A number with few significant digits: `0.05`, `61.1`, `1000`, `1e5`."""
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0 or 1e-3 <= abs(rounded) < 1e5:
        return f"{rounded:.12g}"
    mantissa, _, exponent = f"{rounded:.{digits - 1}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def exact(value: float) -> str:
    """The shortest text that reads back as the same number: `25`, `0.1`, `1e5`, `1.64e7`."""
    texts = (f"{value:.12g}", number(value, 12), repr(value))
    return min((text for text in texts if float(text) == value), key=len)
