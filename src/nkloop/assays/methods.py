"""Assay methods as data: signal, formula, read settings, time window, controls and limits with their sources."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from nkloop.assays.models import WellRole
from nkloop.errors import AssayError
from nkloop.frozen import FrozenModel

Outcome = Literal["pass", "flag", "reject"]


class Limit(FrozenModel):
    """A limit on one quality figure: where it passes, where it is still usable, where it comes from."""

    name: str
    better: Literal["high", "low"]
    good: float
    """At least (or at most) this passes."""
    usable: float | None = None
    """Between `good` and this it is flagged, beyond it rejects; None: it is flagged and never rejects."""
    unit: str = ""
    source: str

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


class ReadSettings(FrozenModel):
    """How the plate is read."""

    mode: Literal["absorbance", "fluorescence", "luminescence"]
    wavelength_nm: int | None = None
    reference_wavelength_nm: int | None = None
    highest_linear: float = Field(gt=0)
    """Signal above which the reader or the chemistry is no longer linear, in the reader's unit."""


class ContactWindow(FrozenModel):
    """How long effectors and targets are together."""

    low_minutes: float = Field(gt=0)
    high_minutes: float = Field(gt=0)
    reason: str
    source: str


class Method(FrozenModel):
    """One way to measure killing."""

    name: str
    title: str
    formula: Literal["ldh_release"]
    formula_text: str
    controls: tuple[WellRole, ...]
    """Control roles a plate must have."""
    read: ReadSettings
    contact: ContactWindow
    limits: tuple[Limit, ...]
    traps: tuple[str, ...] = ()

    def limit(self, name: str) -> Limit:
        """Look a limit up.

        Raises:
            AssayError: the method has no limit of this name.
        """
        for limit in self.limits:
            if limit.name == name:
                return limit
        raise AssayError(f"method {self.name} has no limit '{name}'", remedy="add it to the method's limits")


_UNVERIFIED = "[unverified]"
_LIMITS = (
    Limit(
        name="z_prime",
        better="high",
        good=0.5,
        usable=0.3,
        source=f"Zhang 1999, J Biomol Screen 4:67; 0.3 to 0.5 usable for cell assays {_UNVERIFIED}",
    ),
    Limit(name="ssmd", better="high", good=3.0, source=f"Zhang 2007, Genomics 89:552 {_UNVERIFIED}"),
    Limit(
        name="spontaneous_to_maximum",
        better="low",
        good=20,
        usable=30,
        unit=" %",
        source=f"LDH release practice, 20 to 30 % {_UNVERIFIED}",
    ),
    Limit(name="replicate_cv", better="low", good=15, unit=" %", source=f"plate-assay practice {_UNVERIFIED}"),
    Limit(
        name="replicate_cv_low_signal",
        better="low",
        good=20,
        unit=" %",
        source=f"plate-assay practice, low signals {_UNVERIFIED}",
    ),
    Limit(name="monotonicity", better="high", good=0.0, source=f"lysis rises with E:T {_UNVERIFIED}"),
    Limit(
        name="reference_effector",
        better="low",
        good=2.0,
        unit=" SD",
        source=f"Levey-Jennings, mean ± 2 SD of earlier plates {_UNVERIFIED}",
    ),
    Limit(
        name="lysis_range",
        better="low",
        good=0,
        unit=" wells",
        source="lysis far below 0 or above 100 % has no physical meaning",
    ),
)

LDH = Method(
    name="ldh",
    title="LDH release, coupled enzymatic read-out",
    formula="ldh_release",
    formula_text="100 × [(E − bg) − (Es − bg) − (S − bg)] / [(M − vc) − (S − bg)]",
    controls=("spontaneous", "maximum", "background", "volume_correction", "effector_only"),
    read=ReadSettings(mode="absorbance", wavelength_nm=490, reference_wavelength_nm=680, highest_linear=3.5),
    contact=ContactWindow(
        low_minutes=230,
        high_minutes=250,
        reason="LDH decays (half-life about 9 h) and targets leak, so plates compare only at 4 h ± 10 min",
        source=f"LDH release practice {_UNVERIFIED}",
    ),
    limits=_LIMITS,
    traps=(
        "effectors release LDH too: effector-only wells at every E:T",
        "serum contains LDH: at most 5 % serum, medium background wells",
        "lysis buffer adds 10 % volume: volume-correction wells (Promega FAQ fq0006)",
    ),
)

METHODS: MappingProxyType[str, Method] = MappingProxyType({method.name: method for method in (LDH,)})
"""Methods by name."""


def method_named(name: str) -> Method:
    """Look a method up.

    Raises:
        AssayError: there is no such method.
    """
    if name not in METHODS:
        raise AssayError(f"there is no assay method '{name}'", remedy=f"use one of: {', '.join(METHODS)}")
    return METHODS[name]
