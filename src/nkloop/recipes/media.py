"""Media: components, ingredients at their final concentration, and how the complete medium is made and kept."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from nkloop.errors import QuantityError
from nkloop.frozen import FrozenModel
from nkloop.quantities import Amount, Concentration, Dose, Duration, Kind
from nkloop.recipes.provenance import ComponentName, Provenance, Sourced

SUM_TOLERANCE_PERCENT = 0.2
"""Published blends sum to 99.9-100.1 % by rounding; more than 0.2 % off is an entry error."""
SHELF_LIFE = Amount(7, "d")
"""Complete medium is used within a week at 4 °C unless a recipe says otherwise."""
LONGEST_SHELF_LIFE = Amount(14, "d")
"""No complete medium with cytokines is kept longer than two weeks."""


class Component(Sourced):
    """A substance or liquid a medium is made of; `source` is where its plausible range and half-life are from."""

    name: ComponentName
    title: str
    role: Literal["base", "serum", "cytokine", "anticoagulant", "small_molecule", "supplement", "vector", "coating"]
    plausible: tuple[Dose, Dose]
    """Lowest and highest final concentration that makes sense; outside is refused as a likely unit slip."""
    light_sensitive: bool = False
    """True when stock and medium are kept in the dark."""
    half_life: Duration | None = None
    """Half-life in culture at 37 °C; null when nobody gave one, then nothing is taken to decay."""

    @model_validator(mode="before")
    @classmethod
    def _activity_is_its_own(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("plausible"), list | tuple):
            name = data.get("name", "")
            data = {**data, "plausible": [activity_of(value, name) for value in data["plausible"]]}
        return data

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        low, high = self.plausible
        if low.kind is not high.kind or low.canonical > high.canonical:
            raise ValueError(
                f"plausible range {low} to {high} is not ordered or mixes kinds. Remedy: write the lowest first"
            )
        return self

    @model_validator(mode="after")
    def _half_life_is_from_somewhere(self) -> Self:
        if self.half_life is not None and self.source is None:
            raise ValueError(
                f"half_life {self.half_life} of {self.name} names no source. Remedy: add `source`, a key of `sources`"
            )
        return self


class Ingredient(Provenance):
    """A component at its final concentration in a medium."""

    component: ComponentName
    """Name of one of the recipe's components."""
    amount: Concentration
    """Final concentration in the complete medium."""

    @model_validator(mode="before")
    @classmethod
    def _activity_is_its_own(cls, data: Any) -> Any:
        if isinstance(data, dict) and "amount" in data:
            data = {**data, "amount": activity_of(data["amount"], data.get("component", ""))}
        return data


class CarryOverLimit(Provenance):
    """The most that may come into a complete medium with the buffers of its stocks."""

    substance: ComponentName
    """Name as lots write it in their `buffer`, for example DMSO or acetate."""
    limit: Concentration
    """Of the substance in the complete medium."""


class Mixing(FrozenModel):
    """How the complete medium is mixed; never on a vortex, which denatures cytokines."""

    method: Literal["invert", "swirl", "pipette"] = "invert"
    """`invert` a closed tube, `swirl` a bottle, or stroke with a `pipette`."""
    times: int = Field(default=10, ge=1, le=20)
    """Inversions, turns or strokes; a robot gives as many strokes of the pipette."""

    @property
    def words(self) -> str:
        """What a person does, as the end of a sentence."""
        done = {"invert": "invert gently", "swirl": "swirl gently", "pipette": "pipette up and down gently"}
        return f"{done[self.method]} {self.times} times, no vortex"


class Medium(Sourced):
    """A complete medium; liquids given in % v/v (base, serum) sum to 100 %, cytokine volumes come out of the base.

    Its own `source` is where shelf life, storage and mixing are from.
    """

    base: Ingredient
    """The liquid that makes up the volume."""
    additives: tuple[Ingredient, ...]
    """What is added to the base: serum, cytokines, small molecules."""
    # a factory, because pydantic hashes a plain default at import, and hashing an amount loads pint
    shelf_life: Duration = Field(default_factory=lambda: SHELF_LIFE, json_schema_extra={"default": str(SHELF_LIFE)})
    """How long the complete medium may be used after it was made."""
    storage_temperature: float = Field(default=4, ge=-80, le=37)
    """In °C, from making to use."""
    use_temperature: float = Field(default=37, ge=2, le=39)
    """In °C, when it meets the cells."""
    mixing: Mixing = Mixing()

    @model_validator(mode="after")
    def _sums_to_one_hundred(self) -> Self:
        fractions = [i for i in self.ingredients if i.amount.kind is Kind.FRACTION]
        total = sum(i.amount.to("% v/v") for i in fractions)
        if round(abs(total - 100.0), 6) > SUM_TOLERANCE_PERCENT:
            parts = " + ".join(f"{i.component} {i.amount}" for i in fractions)
            raise ValueError(
                f"percentages sum to {total:g} % ({parts}), must be 100 ± {SUM_TOLERANCE_PERCENT:g} %. "
                f"Remedy: correct a percentage of this medium"
            )
        names = [i.component for i in self.ingredients]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"component listed twice in one medium: {', '.join(twice)}. Remedy: keep one line of each")
        return self

    @model_validator(mode="after")
    def _keeps_at_most_two_weeks(self) -> Self:
        if self.shelf_life.canonical > LONGEST_SHELF_LIFE.canonical:
            raise ValueError(
                f"shelf life {self.shelf_life} is longer than {LONGEST_SHELF_LIFE}, the most for complete medium. "
                f"Remedy: write at most {LONGEST_SHELF_LIFE} and prepare smaller batches"
            )
        return self

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """Base first, then the additives in the order written."""
        return (self.base, *self.additives)

    def amount_of(self, component: str) -> Amount | None:
        """Final concentration of a component, or None when the medium has none."""
        return next((i.amount for i in self.ingredients if i.component == component), None)


def activity_of(value: Any, substance: str) -> Any:
    """Bind an activity to its substance; leave what cannot be read to the field's own validator."""
    if isinstance(value, Amount):
        return value.of(substance)
    if isinstance(value, str) and ("IU" in value or "TU" in value):
        try:
            return Amount.parse(value, substance=substance)
        except QuantityError:
            return value
    return value
