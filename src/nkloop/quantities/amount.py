"""`Amount`: a finite number with its unit, read from and written as the text people use."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from nkloop.errors import QuantityError
from nkloop.quantities.display import exact, shown
from nkloop.quantities.registry import factor
from nkloop.quantities.units import Kind, Unit, unit_of

_TEXT = re.compile(r"^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s].*?)\s*$")
_NOT_FINITE = re.compile(r"^\s*[+-]?\.?(nan|inf)", re.IGNORECASE)
_HOW = "write a number and a unit, like 25 ng/mL"
_ACTIVITY_KINDS = {
    Kind.ACTIVITY,
    Kind.ACTIVITY_CONCENTRATION,
    Kind.SPECIFIC_ACTIVITY,
    Kind.TRANSDUCING_UNITS,
    Kind.TITRE,
    Kind.MULTIPLICITY,
}


class Amount:
    """A finite quantity with its unit; activity belongs to one substance. Immutable and comparable."""

    __slots__ = ("_unit", "magnitude", "substance")

    magnitude: float
    substance: str | None

    def __init__(self, magnitude: float, unit: str, *, substance: str | None = None) -> None:
        """Build from a number and a written unit; `substance` names whose activity an IU counts.

        Raises:
            QuantityError: the unit is unknown or vague, or the number is not finite.
        """
        if not math.isfinite(magnitude):
            raise QuantityError(f"'{magnitude} {unit}' is not a finite amount", remedy="write a number and a unit")
        known = unit_of(unit)
        object.__setattr__(self, "magnitude", float(magnitude))
        object.__setattr__(self, "_unit", known)
        object.__setattr__(self, "substance", substance if known.kind in _ACTIVITY_KINDS else None)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an amount never changes")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.magnitude, self.unit, self.substance)

    @classmethod
    def parse(cls, text: str, *, substance: str | None = None) -> Amount:
        """Read for example `25 ng/mL`, `1000 IU/mL` (with its substance), `10 % v/v`, `1e5 cells/mL`.

        Raises:
            QuantityError: the text is ambiguous (decimal comma, no unit, vague unit) or not finite.
        """
        if not isinstance(text, str):
            told = "nothing (null)" if text is None else str(text)
            reason = "is not finite" if told in {"nan", "inf", "-inf"} else "has no unit"
            raise QuantityError(f"{told} is not an amount, it {reason}", remedy=_HOW)
        if re.search(r"\d,\d", text):
            raise QuantityError(f"'{text}' has a comma between digits", remedy="write a decimal point, no separators")
        match = _TEXT.match(text)
        if match is None and _NOT_FINITE.match(text):
            raise QuantityError(f"'{text}' is not a finite amount", remedy=_HOW)
        if match is None:
            raise QuantityError(f"'{text}' is not a number with a unit", remedy=_HOW)
        return cls(float(match[1]), match[2], substance=substance)

    @property
    def unit(self) -> str:
        """The unit as people write it."""
        return self._written.shown

    @property
    def kind(self) -> Kind:
        """What the amount measures."""
        return self._written.kind

    @property
    def _written(self) -> Unit:
        unit: Unit = object.__getattribute__(self, "_unit")
        return unit

    def of(self, substance: str) -> Amount:
        """The same amount as activity of one substance (no change for mass, volume, cells)."""
        return Amount(self.magnitude, self.unit, substance=substance)

    def to(self, unit: str) -> float:
        """Magnitude in another written unit of the same kind.

        Raises:
            QuantityError: the unit measures something else, or an activity has no substance.
        """
        target = unit_of(unit)
        if target.kind is not self.kind:
            raise QuantityError(f"{self} measures {self.kind.words}, but {unit} measures {target.kind.words}")
        if self.kind in _ACTIVITY_KINDS and self.substance is None:
            raise QuantityError(f"{self} does not say of which substance", remedy="name the substance of the IU")
        return self.magnitude * factor(self._written.pint, target.pint, self.substance)

    @property
    def canonical(self) -> float:
        """Magnitude in the canonical unit of its kind, `Kind.value`: µL, ng, ng/µL, IU, IU/µL, µM, cells/µL, min."""
        return self.to(self.kind.value)

    def scaled(self, by: float) -> Amount:
        """The same amount times a dimensionless number."""
        return Amount(self.magnitude * by, self.unit, substance=self.substance)

    def display(self, digits: int = 3) -> str:
        """Text for people: a prefix that suits the size and few digits; `str` is the exact text."""
        return shown(self, digits)

    def __str__(self) -> str:
        return f"{exact(self.magnitude)} {self.unit}"

    def __repr__(self) -> str:
        return f"Amount({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Amount) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Kind, str | None, str]:
        # Ten digits: 25 ng/mL and 0.025 µg/mL are one amount although their floats differ in the last bit.
        return self.kind, self.substance, f"{self.magnitude_in(self.kind.value) + 0.0:.10g}"

    def magnitude_in(self, unit: str) -> float:
        """Magnitude in a unit of the same kind, for showing and comparing: an activity may lack its substance.

        Raises:
            QuantityError: the unit measures something else.
        """
        return (self.of("unnamed") if self.substance is None else self).to(unit)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _validated, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "examples": ["25 ng/mL"], "description": "A number and a unit, like 25 ng/mL"}


def _rebuild(magnitude: float, unit: str, substance: str | None) -> Amount:
    return Amount(magnitude, unit, substance=substance)


def _validated(value: Any) -> Amount:
    if isinstance(value, Amount):
        return value
    try:
        return Amount.parse(value)
    except QuantityError as error:
        raise _refusal(str(error)) from error


def _refusal(message: str) -> PydanticCustomError:
    return PydanticCustomError("amount", "{message}", {"message": message})


def _restricted(*kinds: Kind, minimum: float | None, exclusive: bool = True) -> AfterValidator:
    def check(amount: Amount) -> Amount:
        if amount.kind not in kinds:
            wanted = " or ".join(kind.words for kind in kinds)
            examples = " or ".join(_EXAMPLES[kind] for kind in kinds)
            raise _refusal(f"{amount} measures {amount.kind.words}, not {wanted}. Remedy: write for example {examples}")
        too_low = minimum is not None and (amount.magnitude <= minimum if exclusive else amount.magnitude < minimum)
        if too_low:
            bound = "above" if exclusive else "at least"
            raise _refusal(f"{amount} must be {bound} {minimum:g} {amount.unit}. Remedy: correct the amount")
        return amount

    return AfterValidator(check)


_EXAMPLES = {
    Kind.VOLUME: "10 mL",
    Kind.MASS_CONCENTRATION: "25 ng/mL",
    Kind.ACTIVITY_CONCENTRATION: "1000 IU/mL",
    Kind.SPECIFIC_ACTIVITY: "1.64e7 IU/mg",
    Kind.MOLAR_CONCENTRATION: "750 nM",
    Kind.TITRE: "1e8 TU/mL",
    Kind.MULTIPLICITY: "5 TU/cell",
    Kind.FRACTION: "10 % v/v",
    Kind.CELL_DENSITY: "1e5 cells/mL",
    Kind.TIME: "3 d",
}
_DISSOLVED = (
    Kind.MASS_CONCENTRATION,
    Kind.ACTIVITY_CONCENTRATION,
    Kind.MOLAR_CONCENTRATION,
    Kind.TITRE,
    Kind.FRACTION,
)
Volume = Annotated[Amount, _restricted(Kind.VOLUME, minimum=0)]
RemainingVolume = Annotated[Amount, _restricted(Kind.VOLUME, minimum=0, exclusive=False)]
"""A volume that may be used up."""
Concentration = Annotated[Amount, _restricted(*_DISSOLVED, minimum=0)]
Dose = Annotated[Amount, _restricted(*_DISSOLVED, Kind.MULTIPLICITY, minimum=0)]
"""A final concentration, or transducing units per cell for a vector."""
Fraction = Annotated[Amount, _restricted(Kind.FRACTION, minimum=0)]
CellDensity = Annotated[Amount, _restricted(Kind.CELL_DENSITY, minimum=0)]
Duration = Annotated[Amount, _restricted(Kind.TIME, minimum=0)]
SpecificActivity = Annotated[Amount, _restricted(Kind.SPECIFIC_ACTIVITY, minimum=0)]
