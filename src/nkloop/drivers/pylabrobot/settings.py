"""Settings of a PyLabRobot liquid handler in a bench file: where slots are, which liquids need what, which tips."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from nkloop.errors import BenchError
from nkloop.frozen import FrozenModel
from nkloop.yamlfile import Finding
from nkloop.yamlfile.problems import one_of, worded

StationKind = Literal["shaker", "heater_shaker", "temperature"]


class Carrier(FrozenModel):
    """A carrier on the rails and the slot of the worklist that each of its sites is."""

    rail: int = Field(ge=1)
    """Left-most rail it stands on, as printed on the deck."""
    kind: str
    """Name PyLabRobot gives it: `PLT_CAR_L5AC_A00`, `TIP_CAR_480_A00`, `MP_3Pos`."""
    slots: tuple[str | None, ...]
    """Slot of each site in the order PyLabRobot counts them (from the front of a Hamilton carrier); null leaves a
    site empty."""


class Correction(FrozenModel):
    """One point of a liquid's correction curve."""

    wanted_ul: float = Field(gt=0)
    commanded_ul: float = Field(gt=0)


class LiquidClass(FrozenModel):
    """How one kind of liquid is pipetted on this bench. The first class whose pattern fits a component is used."""

    name: str
    components: tuple[str, ...] = ("*",)
    """Patterns of component names (`effector:*`, `*serum*`); a liquid with a component that fits is of this class."""
    aspirate_ul_s: float = Field(gt=0)
    dispense_ul_s: float = Field(gt=0)
    blow_out_ul: float = Field(default=0, ge=0)
    """Air drawn before the liquid and blown out after it."""
    settle_s: float = Field(default=0, ge=0, le=10)
    """Wait in the liquid after drawing it."""
    correction: tuple[Correction, ...] = ()
    """Volume to command for a volume wanted, straight lines between; empty uses the maker's curve for water."""
    source: str
    verified_by: str | None = None

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for low, high in pairwise(self.correction):
            if not (low.wanted_ul < high.wanted_ul and low.commanded_ul < high.commanded_ul):
                raise ValueError(f"liquid class {self.name}: the correction must rise from line to line")
        return self

    def fits(self, components: frozenset[str]) -> bool:
        """Whether a liquid with these components belongs to it."""
        return any(fnmatchcase(one, pattern) for one in components for pattern in self.components)


class Station(FrozenModel):
    """A device under a slot that shakes or holds a temperature."""

    slot: str
    kind: StationKind
    model: str
    """Name in the list of known models: `hamilton_heater_shaker`, `inheco_thermoshake`, `simulated` and others."""
    settings: dict[str, Any] = Field(default_factory=dict)


class Heights(FrozenModel):
    """Heights of a labware as they were taught on a Tecan, in 0.1 mm down from the highest position of a tip."""

    start: float
    dispense: float
    end: float


class Waste(FrozenModel):
    """Where a Tecan throws its tips, taught at the bench."""

    x_mm: float = Field(gt=0)
    y_mm: float = Field(gt=0)
    height: float = Field(gt=0)
    """In 0.1 mm down from the highest position of a tip."""


class HandlerSettings(FrozenModel):
    """Everything a PyLabRobot liquid handler needs besides its model."""

    carriers: tuple[Carrier, ...] = ()
    """Empty where the deck has slots of its own (OT-2)."""
    tips: dict[str, str] = Field(default_factory=dict)
    """Tip rack of the catalogue to the tip PyLabRobot takes it for, where the device has no such tip itself; for
    simulations of a worklist made for another robot."""
    liquid_classes: tuple[LiquidClass, ...] = ()
    stations: tuple[Station, ...] = ()
    heights: dict[str, Heights] = Field(default_factory=dict)
    """Labware load name to its taught heights (Tecan only)."""
    waste: Waste | None = None
    """Taught place of the tip waste (Tecan only)."""
    backend_settings: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the PyLabRobot backend: `host`, `diti_count` and the like."""

    @model_validator(mode="after")
    def _names_slots_once(self) -> Self:
        named = [slot for carrier in self.carriers for slot in carrier.slots if slot is not None]
        twice = sorted({slot for slot in named if named.count(slot) > 1})
        if twice:
            raise ValueError(f"slot {twice[0]} is on two carrier sites; name each slot once")
        stations = [station.slot for station in self.stations]
        if len(set(stations)) < len(stations):
            raise ValueError("two stations under one slot; name each slot once")
        return self

    def class_of(self, components: frozenset[str]) -> LiquidClass | None:
        """The liquid class of a liquid with these components; None uses the device's own default for water."""
        return next((one for one in self.liquid_classes if one.fits(components)), None)

    def station(self, slot: str) -> Station | None:
        """The station under a slot, or None."""
        return next((one for one in self.stations if one.slot == slot), None)


def handler_findings(settings: Mapping[Any, Any], named: Collection[str]) -> Iterator[Finding]:
    """What is wrong with the settings of a bench file, each with its path in them.

    Args:
        settings: as they stand in the file.
        named: those that are parameters of the handler itself.
    """
    try:
        HandlerSettings.model_validate({key: value for key, value in settings.items() if key not in named})
    except ValidationError as error:
        for details in error.errors(include_url=False):
            yield Finding(details["loc"], *worded(details, [*HandlerSettings.model_fields, *named]))


def model_findings(settings: Mapping[Any, Any], models: Collection[str]) -> Iterator[Finding]:
    """A model that is not known by its name."""
    model = settings.get("model")
    if isinstance(model, str) and model and "${" not in model and model not in models:
        remedy = one_of(model, models)
        yield Finding(("model",), f"'{model}' is not known", remedy)


def read_settings(where: str, **given: Any) -> HandlerSettings:
    """Settings as a bench file gives them.

    Raises:
        BenchError: with every value that does not fit.
    """
    try:
        return HandlerSettings.model_validate(given)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(str(p) for p in e['loc']) or 'settings'}: {e['msg']}" for e in error.errors())
        raise BenchError(
            f"the settings do not fit: {told}", where=where, remedy="see docs/reference/pylabrobot-bench.md"
        ) from error
