"""The recipe: stages, media, ingredients, limits for the loop. Frozen; a change makes a new revision."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nkloop.errors import QuantityError
from nkloop.frozen import FrozenModel, content_hash
from nkloop.quantities import Amount, CellDensity, Concentration, Duration, Fraction, Kind

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
ComponentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 .+_-]*$", max_length=40)]
SUM_TOLERANCE_PERCENT = 0.2
"""Published blends sum to 99.9-100.1 % by rounding; more than 0.2 % off is an entry error."""


class Source(FrozenModel):
    """Where values come from."""

    title: str
    reference: str
    """DOI, patent number or catalogue page."""
    note: str = ""


class Provenance(FrozenModel):
    """Every value says where it is from and who checked it against that source; nobody yet is `None`."""

    source: str
    """Key into `Recipe.sources`."""
    verified_by: str | None = None


class Component(FrozenModel):
    """A substance or liquid a medium is made of."""

    name: ComponentName
    title: str
    role: Literal["base", "serum", "cytokine", "anticoagulant", "small_molecule", "supplement"]
    plausible: tuple[Concentration, Concentration]
    """Lowest and highest final concentration that makes sense; outside is refused as a likely unit slip."""

    @model_validator(mode="before")
    @classmethod
    def _activity_is_its_own(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("plausible"), list | tuple):
            name = data.get("name", "")
            data = {**data, "plausible": [_of(value, name) for value in data["plausible"]]}
        return data

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        low, high = self.plausible
        if low.kind is not high.kind or low.canonical > high.canonical:
            raise ValueError(
                f"plausible range {low} to {high} is not ordered or mixes kinds. Remedy: write the lowest first"
            )
        return self


class Ingredient(Provenance):
    """A component at its final concentration in a medium."""

    component: ComponentName
    amount: Concentration

    @model_validator(mode="before")
    @classmethod
    def _activity_is_its_own(cls, data: Any) -> Any:
        if isinstance(data, dict) and "amount" in data:
            data = {**data, "amount": _of(data["amount"], data.get("component", ""))}
        return data


class Medium(FrozenModel):
    """A complete medium; liquids given in % v/v (base, serum) sum to 100 %, cytokine volumes come out of the base."""

    base: Ingredient
    additives: tuple[Ingredient, ...]

    @model_validator(mode="after")
    def _sums_to_one_hundred(self) -> Self:
        fractions = [i for i in self.ingredients if i.amount.kind is Kind.FRACTION]
        total = sum(i.amount.to("%") for i in fractions)
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

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """Base first, then the additives in the order written."""
        return (self.base, *self.additives)

    def amount_of(self, component: str) -> Amount | None:
        """Final concentration of a component, or None when the medium has none."""
        return next((i.amount for i in self.ingredients if i.component == component), None)


class Refresh(Provenance):
    """How often and how much medium is exchanged."""

    every: Duration
    fraction: Fraction
    """Share of the culture volume replaced by fresh medium."""

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if self.fraction.to("%") > 100:
            raise ValueError(f"fraction {self.fraction} is more than the whole culture. Remedy: write at most 100 %")
        return self


class ExpectedRange(Provenance):
    """What a stage should give; outside is a deviation, not an error."""

    quantity: Literal["fold_expansion", "viability_percent", "purity_percent", "cd34_percent"]
    low: float = Field(ge=0)
    high: float = Field(ge=0)

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}. Remedy: swap them")
        if self.quantity.endswith("_percent") and self.high > 100:
            raise ValueError(f"{self.quantity} goes up to {self.high:g}, must be at most 100. Remedy: correct high")
        return self


class Stage(FrozenModel):
    """A stretch of the culture with one medium."""

    id: Identifier
    title: str
    start_day: float = Field(ge=0)
    end_day: float = Field(gt=0)
    vessel: str
    seeding_density: CellDensity
    refresh: Refresh
    medium: Medium
    expected: tuple[ExpectedRange, ...] = ()

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.end_day <= self.start_day:
            raise ValueError(
                f"stage ends on day {self.end_day:g}, must be after its start on day {self.start_day:g}. "
                f"Remedy: correct start_day or end_day"
            )
        return self

    def feeding_days(self, every: Duration | None = None) -> tuple[float, ...]:
        """Days at which fresh medium is given, the start of the stage included.

        A feeding less than a day before the end of the stage is left out: the next stage changes the medium anyway.
        """
        interval = (every or self.refresh.every).to("d")
        n_feedings = max(1, math.ceil((self.end_day - self.start_day - min(1.0, 0.5 * interval)) / interval))
        return tuple(self.start_day + interval * index for index in range(n_feedings))


class VariedComponent(FrozenModel):
    """A component the loop may vary, in the stages named, as a factor of the approved concentration."""

    component: ComponentName
    stages: tuple[Identifier, ...] = Field(min_length=1)
    lowest_factor: float = Field(default=0.25, gt=0, le=1)
    highest_factor: float = Field(default=4.0, ge=1)

    @property
    def key(self) -> str:
        """Name of this factor in designs and tables."""
        return f"{self.component}@{'+'.join(self.stages)}"


class Objective(FrozenModel):
    """What "better" means: score = sum of weight times value; larger is better."""

    log10_fold_weight: float = 1.0
    potency_weight: float = 1.0
    """Weight of the area under the killing curve, 0 to 1 (1: every target lysed at every E:T)."""
    purity_weight: float = 0.5
    """Weight of the CD56+CD3- share, 0 to 1."""
    cost_weight: float = 0.0
    """Weight subtracted per tenfold cytokine cost of the reference."""
    min_viability_percent: float = Field(default=70.0, ge=0, le=100)


class LoopLimits(FrozenModel):
    """What the optimiser may do without asking; a person approves everything it proposes."""

    vary: tuple[VariedComponent, ...] = Field(min_length=1)
    objective: Objective = Objective()
    max_step_factor: float = Field(default=2.0, gt=1)
    """Largest change of one component against the approved revision in one revision."""
    max_components_changed: int = Field(default=3, ge=1)


class Revision(FrozenModel):
    """Place of a recipe in its line of descent; not part of the content hash."""

    number: int = Field(default=0, ge=0)
    parent: str | None = None
    """Revision id of the recipe this one was made from."""
    status: Literal["published", "proposed", "approved", "rejected"] = "published"
    reason: str = ""
    approved_by: str | None = None
    approved_at: str | None = None


class Recipe(FrozenModel):
    """A culture recipe: what is grown, in which stages, in which media, and what the loop may vary."""

    id: Identifier
    title: str
    product: Literal["NK", "DC"]
    starting_material: str
    sources: dict[str, Source]
    components: tuple[Component, ...]
    stages: tuple[Stage, ...] = Field(min_length=1)
    loop: LoopLimits
    revision: Revision = Revision()

    @property
    def content_hash(self) -> str:
        """SHA-256 of everything but the revision block."""
        return content_hash(self.model_dump(mode="json", exclude={"revision"}))

    @property
    def revision_id(self) -> str:
        """`<recipe>@<first 12 digits of the content hash>`."""
        return f"{self.id}@{self.content_hash[:12]}"

    @property
    def days(self) -> float:
        """Length of the whole culture in days."""
        return self.stages[-1].end_day

    def stage(self, stage_id: str) -> Stage:
        """Look a stage up.

        Raises:
            KeyError: there is no such stage.
        """
        return {s.id: s for s in self.stages}[stage_id]

    @property
    def stage_ids(self) -> tuple[str, ...]:
        """Identifiers of the stages in order."""
        return tuple(s.id for s in self.stages)

    def component(self, name: str) -> Component:
        """Look a component up.

        Raises:
            KeyError: there is no such component.
        """
        return {c.name: c for c in self.components}[name]


def _of(value: Any, substance: str) -> Any:
    """Bind an activity to its substance; leave what cannot be read to the field's own validator."""
    if isinstance(value, Amount):
        return value.of(substance)
    if isinstance(value, str) and "IU" in value:
        try:
            return Amount.parse(value, substance=substance)
        except QuantityError:
            return value
    return value
