"""Stages: vessel, seeding, refresh, process steps, and what is measured against which limits."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from nkloop.quantities import CellDensity, Dose, Duration, Share, Volume
from nkloop.recipes.measured import QUANTITIES, Quantity, range_words
from nkloop.recipes.media import Medium, activity_of
from nkloop.recipes.provenance import ComponentName, Identifier, Provenance, Sourced

_TIGHT = 1e-9
_LONGEST_SETTLING_H = 24.0


class Vessel(Sourced):
    """What the cells grow in."""

    kind: Literal["bag", "plate", "bioreactor", "flask"]
    """Bags and bioreactors are closed: doses come in tubes that are welded on."""
    title: str
    """What a person takes from the shelf, for example `gas-permeable culture bag`."""
    volume: tuple[Volume, Volume]
    """Least and most working volume, of one well for a plate."""

    @model_validator(mode="after")
    def _volume_is_ordered(self) -> Self:
        low, high = self.volume
        if low.canonical > high.canonical:
            raise ValueError(f"volume {low} to {high} is not ordered. Remedy: write the smallest first")
        return self

    @property
    def words(self) -> str:
        """The vessel with its working volume."""
        low, high = self.volume
        return f"{self.title} ({low.display()} to {high.display()})"


class Refresh(Provenance):
    """How often and how much medium is exchanged."""

    every: Duration
    """Time from one exchange to the next."""
    fraction: Share
    """Share of the culture volume replaced by fresh medium."""

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if self.fraction.to("% v/v") > 100:
            raise ValueError(f"fraction {self.fraction} is more than the whole culture. Remedy: write at most 100 %")
        return self


class Settling(Provenance):
    """How long a culture rests before medium is drained off its cells."""

    time: Duration
    """Without being moved."""

    @model_validator(mode="after")
    def _is_within_a_day(self) -> Self:
        if not 0 < self.time.to("h") <= _LONGEST_SETTLING_H:
            raise ValueError(
                f"time {self.time} is outside 0 to {_LONGEST_SETTLING_H:g} h. Remedy: check the unit: min, h"
            )
        return self


class ExpectedRange(Provenance):
    """What a stage should give; outside is a deviation, not an error."""

    quantity: Quantity
    low: float
    """In the unit of the quantity."""
    high: float

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        _refuse_impossible(self.quantity, self.low, self.high)
        return self

    @property
    def words(self) -> str:
        """The range as people say it."""
        return range_words(self.quantity, self.low, self.high)


class Limit(Provenance):
    """A quantity with a lower limit, an upper limit or both; a test (sterility) has none and must be negative."""

    quantity: Quantity
    low: float | None = None
    """In the unit of the quantity; None for no lower limit."""
    high: float | None = None
    """None for no upper limit."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        is_test = QUANTITIES[self.quantity].is_test
        if is_test and (self.low is not None or self.high is not None):
            raise ValueError(
                f"{self.quantity} is negative or positive and takes no limit. Remedy: leave low and high out"
            )
        if not is_test and self.low is None and self.high is None:
            raise ValueError(f"{self.quantity} has neither low nor high. Remedy: give at least one limit")
        _refuse_impossible(self.quantity, self.low, self.high)
        return self

    @property
    def words(self) -> str:
        """The limits as people say them."""
        return range_words(self.quantity, self.low, self.high)


class Control(Limit):
    """An in-process control: measured on its days, with what is done when it is outside."""

    days: tuple[float, ...] = Field(min_length=1)
    """Days of the whole culture; each is a sampling day that measures the quantity."""
    action: str = Field(min_length=1)
    """What a person does when the value is outside."""


class Criterion(Limit):
    """A condition for starting a stage, or for going on after it."""

    may_be_pending: bool = False
    """True when the stage may start or end before the answer is in, such as 14 days of sterility culture."""


class Sampling(Sourced):
    """One sample taken from the culture."""

    day: float = Field(ge=0)
    """Day of the whole culture."""
    volume: Volume
    """Taken out of the culture, which shrinks by it."""
    measures: tuple[Quantity, ...] = Field(min_length=1)
    """What is determined in it."""


class ProcessStep(Sourced):
    """Something done with the cells besides feeding: coating, adding a vector, spinning, washing."""

    id: Identifier
    title: str
    day: float = Field(ge=0)
    """Day of the whole culture."""
    kind: Literal["coat", "add", "spin", "incubate", "wash", "select", "transfer"]
    """What is done; `add` and `coat` need a component, `spin` a force and a duration."""
    instruction: str = Field(min_length=1)
    """What a person does, in full sentences."""
    component: ComponentName | None = None
    """What is added; None where nothing is."""
    amount: Dose | None = None
    """Final concentration of the component, or transducing units per cell for a vector."""
    add_volume: Volume | None = None
    """Fixed volume of the component instead of an amount."""
    duration: Duration | None = None
    """How long it takes or the cells stay so; None where it is over at once."""
    temperature: float | None = Field(default=None, ge=2, le=45)
    """In °C."""
    force_g: float | None = Field(default=None, gt=0, le=3000)
    """Relative centrifugal force of a spin, in g."""
    second_person: bool = False
    """True when a second person checks before it is done."""

    @model_validator(mode="before")
    @classmethod
    def _activity_is_its_own(cls, data: Any) -> Any:
        if isinstance(data, dict) and "amount" in data:
            data = {**data, "amount": activity_of(data["amount"], data.get("component") or "")}
        return data

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        doses = [value for value in (self.amount, self.add_volume) if value is not None]
        if self.kind in {"add", "coat"} and (self.component is None or len(doses) != 1):
            raise ValueError(
                f"step '{self.id}' is of kind {self.kind}, which needs a component and either amount or add_volume. "
                f"Remedy: name the component and give one of the two"
            )
        if self.kind not in {"add", "coat"} and doses:
            raise ValueError(f"step '{self.id}' of kind {self.kind} adds nothing. Remedy: make it a step of kind add")
        if self.kind == "spin" and (self.force_g is None or self.duration is None):
            raise ValueError(f"step '{self.id}' is a spin without force_g and duration. Remedy: give both")
        if self.kind != "spin" and self.force_g is not None:
            raise ValueError(f"step '{self.id}' of kind {self.kind} has force_g. Remedy: make it a step of kind spin")
        return self


class Stage(Sourced):
    """A stretch of the culture with one medium; its own `source` is where days and seeding density are from."""

    id: Identifier
    title: str
    start_day: float = Field(ge=0)
    """Day of the whole culture."""
    end_day: float = Field(gt=0)
    """Day of the whole culture."""
    vessel: Vessel
    seeding_density: CellDensity
    """Viable cells per volume at the start of the stage."""
    refresh: Refresh
    """How medium is exchanged in it."""
    settling: Settling | None = None
    """Rest before an exchange of a culture that cannot be pelleted (bag, bioreactor); None when nobody states one."""
    medium: Medium
    """The complete medium of all its feedings."""
    process: tuple[ProcessStep, ...] = ()
    """Steps besides feeding, in the order they are done."""
    sampling: tuple[Sampling, ...] = ()
    """Samples in the order they are taken."""
    controls: tuple[Control, ...] = ()
    """In-process controls."""
    entry: tuple[Criterion, ...] = ()
    """What must hold before the stage starts."""
    exit: tuple[Criterion, ...] = ()
    """What must hold before the cells go on."""
    expected: tuple[ExpectedRange, ...] = ()
    """What the stage should give; outside is pointed out, not refused."""

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


def _refuse_impossible(quantity: Quantity, low: float | None, high: float | None) -> None:
    known = QUANTITIES[quantity]
    if low is not None and high is not None and low > high:
        raise ValueError(f"low {low:g} is above high {high:g}. Remedy: swap them")
    for name, value in (("low", low), ("high", high)):
        if value is None:
            continue
        if value > known.highest + _TIGHT:
            raise ValueError(
                f"{quantity} goes up to {value:g}, must be at most {known.highest:g}. Remedy: correct {name}"
            )
        if value < known.lowest - _TIGHT:
            raise ValueError(
                f"{quantity} goes down to {value:g}, must be at least {known.lowest:g}. Remedy: correct {name}"
            )
