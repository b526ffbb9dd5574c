"""`Amount`: a finite number with its unit, read from and written as the text people use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from nkloop.errors import QuantityError
from nkloop.quantities.display import exact, shown
from nkloop.quantities.pattern import BARE_PERCENT, pattern
from nkloop.quantities.reading import HOW, take_apart
from nkloop.quantities.registry import factor
from nkloop.quantities.units import Kind, Unit, unit_of

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

    __slots__ = ("_canonical", "_unit", "magnitude", "substance")

    magnitude: float
    """The number as it was written, in the unit it was written in."""
    substance: str | None
    """Whose activity an IU counts; None for every other unit. IU of two substances never compare."""

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
            raise QuantityError(f"{told} is not an amount, it {reason}", remedy=HOW)
        magnitude, unit = take_apart(text)
        return cls(magnitude, unit, substance=substance)

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
        try:
            known: float = object.__getattribute__(self, "_canonical")
        except AttributeError:  # first asked; a stock of a thousand containers asks again at every look
            known = self.to(self.kind.value)
            object.__setattr__(self, "_canonical", known)
        return known

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


@dataclass(frozen=True)
class _Restricted:
    """Annotation of an amount that must be of some kinds and above (or at least) zero; tells editors the form."""

    kinds: tuple[Kind, ...]
    may_be_zero: bool = False

    def check(self, amount: Amount) -> Amount:
        """Return the amount when it fits, else refuse it with the remedy."""
        if amount.kind not in self.kinds:
            wanted = " or ".join(kind.words for kind in self.kinds)
            told = f"{amount} measures {amount.kind.words}, not {wanted}"
            raise _refusal(f"{told}. Remedy: write for example {self._examples}")
        if amount.magnitude < 0 or (amount.magnitude == 0 and not self.may_be_zero):
            bound = "at least" if self.may_be_zero else "above"
            raise _refusal(f"{amount} must be {bound} 0 {amount.unit}. Remedy: correct the amount")
        return amount

    @property
    def _examples(self) -> str:
        return " or ".join(_EXAMPLES[kind] for kind in self.kinds)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": pattern(*self.kinds),
            "examples": [_EXAMPLES[kind] for kind in self.kinds],
            "description": f"A number and a unit, like {self._examples}",
        }


class _Share(_Restricted):
    """A fraction of one liquid by that liquid: a percent without more is volume per volume."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        inner = super().__get_pydantic_core_schema__(source, handler)
        return core_schema.no_info_before_validator_function(_of_volume, inner)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        told = super().__get_pydantic_json_schema__(schema, handler)
        return {**told, "pattern": f"{told['pattern']}|{BARE_PERCENT.pattern}"}


def _of_volume(value: Any) -> Any:
    return f"{value} v/v" if isinstance(value, str) and BARE_PERCENT.match(value) else value


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
Volume = Annotated[Amount, _Restricted((Kind.VOLUME,))]
"""A volume above zero."""
RemainingVolume = Annotated[Amount, _Restricted((Kind.VOLUME,), may_be_zero=True)]
"""A volume that may be used up."""
Concentration = Annotated[Amount, _Restricted((*_DISSOLVED,))]
"""Mass, activity, moles, transducing units or share of a volume, per volume."""
Dose = Annotated[
    Amount,
    _Restricted(
        (
            *_DISSOLVED,
            Kind.MULTIPLICITY,
        )
    ),
]
"""A final concentration, or transducing units per cell for a vector."""
Share = Annotated[Amount, _Share((Kind.FRACTION,))]
"""A share of a culture's own volume, which a percent cannot mistake: `50 %` is read as `50 % v/v`."""
CellDensity = Annotated[Amount, _Restricted((Kind.CELL_DENSITY,))]
"""Cells per volume."""
Duration = Annotated[Amount, _Restricted((Kind.TIME,))]
"""A stretch of time above zero."""
SpecificActivity = Annotated[Amount, _Restricted((Kind.SPECIFIC_ACTIVITY,))]
"""Activity per mass, the only way from one to the other."""
