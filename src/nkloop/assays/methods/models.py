"""What an assay method is: signal, formula, read settings, time window, controls and limits with their sources."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from nkloop.assays.models import WellRole
from nkloop.assays.readings.models import ReadMode
from nkloop.errors import AssayError
from nkloop.frozen import FrozenModel

Outcome = Literal["pass", "flag", "reject"]
Formula = Literal["release", "loss", "flow", "kinetic"]
Nanometres = Annotated[int, Field(ge=190, le=1100)]
"""A wavelength plate readers have."""
UNVERIFIED = "[unverified]"


class Sourced(FrozenModel):
    """A value with where it comes from."""

    source: str = Field(min_length=1)
    verified_by: str | None = None
    """Who checked the value against its source; null: nobody yet."""

    @property
    def origin(self) -> str:
        """The source as a person reads it, marked when nobody checked it."""
        return self.source if self.verified_by else f"{self.source} {UNVERIFIED}"


class Limit(Sourced):
    """A limit on one quality figure: where it passes, where it is still usable, where it comes from."""

    name: str
    better: Literal["high", "low"]
    good: float
    """At least (or at most) this passes."""
    usable: float | None = None
    """Between `good` and this it is flagged, beyond it rejects; None: it is flagged and never rejects."""
    unit: str = ""

    @property
    def text(self) -> str:
        """The limit as a person reads it."""
        word = "at least" if self.better == "high" else "at most"
        tail = "" if self.usable is None else f", rejected {'below' if self.better == 'high' else 'above'} "
        tail += "" if self.usable is None else f"{self.usable:g}{self.unit}"
        return f"{word} {self.good:g}{self.unit}{tail}"

    def judge(self, value: float) -> Outcome:
        """Outcome for a value; a value that is not a number never passes."""
        sign = 1.0 if self.better == "high" else -1.0
        if math.isnan(value):
            return "flag" if self.usable is None else "reject"
        if sign * value >= sign * self.good:
            return "pass"
        return "flag" if self.usable is None or sign * value >= sign * self.usable else "reject"


class Terms(FrozenModel):
    """Which corrections the formula makes."""

    effector_only: bool = False
    """Take off what effectors of the same E:T give without targets."""
    medium_background: bool = False
    """Take off what medium gives; only then does the effector-only signal lose its medium share."""
    volume_correction: bool = False
    """Take off the maximum what medium with lysis reagent gives more than medium."""


class ReadSettings(Sourced):
    """How the plate is read."""

    mode: ReadMode
    quantity: str = "signal"
    """What each well gives: `signal` for a reader, else the population, for example `live_targets`."""
    wavelength_nm: Nanometres | None = None
    reference_wavelength_nm: Nanometres | None = None
    excitation_nm: Nanometres | None = None
    emission_nm: Nanometres | None = None
    tolerance_nm: int = Field(default=5, ge=0, le=50)
    """Filters this far from the wanted wavelength still measure the same dye."""
    lowest: float | None = None
    """Below this no reader of the mode can read."""
    highest: float | None = None
    """Above this no reader of the mode can read."""
    highest_linear: float | None = Field(default=None, gt=0)
    """Signal above which the reader or the chemistry is no longer linear, in the reader's unit."""
    delay_minutes: tuple[float, float] = (0, 60)
    """Time from the end of contact to the read, shortest and longest: development, stop, way to the reader."""
    note: str = ""


class ContactWindow(Sourced):
    """How long effectors and targets are together."""

    low_minutes: float = Field(gt=0)
    high_minutes: float = Field(gt=0)
    reason: str = Field(min_length=1)


class TargetNumbers(Sourced):
    """Targets per well."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)
    labelling: str = "none"


class Method(FrozenModel):
    """One way to measure killing."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)
    title: str
    formula: Formula
    formula_text: str
    terms: Terms = Terms()
    controls: tuple[WellRole, ...]
    """Control roles a plate must have."""
    read: ReadSettings
    contact: ContactWindow
    targets: TargetNumbers
    limits: tuple[Limit, ...] = ()
    traps: tuple[str, ...] = ()

    @property
    def direction(self) -> int:
        """1 when lysis raises the signal, -1 when it lowers it."""
        return 1 if self.formula in {"release", "flow"} else -1

    @property
    def unverified(self) -> tuple[str, ...]:
        """What of how a plate is set up and read nobody has verified."""
        values = {"contact time": self.contact, "targets per well": self.targets, "reading": self.read}
        return tuple(told for told, value in values.items() if value.verified_by is None)

    def has_limit(self, name: str) -> bool:
        """Whether the method judges this figure."""
        return any(limit.name == name for limit in self.limits)

    def limit(self, name: str) -> Limit:
        """Look a limit up.

        Raises:
            AssayError: the method has no limit of this name.
        """
        for limit in self.limits:
            if limit.name == name:
                return limit
        raise AssayError(f"method {self.name} has no limit '{name}'", remedy="add it to the method's limits")
