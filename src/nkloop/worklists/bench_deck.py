"""What a planner must know of a liquid handler: pipettes with their accuracy, modules, slots."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from nkloop.frozen import FrozenModel

Mount = Literal["left", "right"]
SLOT_PATTERNS = {"flex": r"[A-D][1-4]", "ot2": r"[1-9]|1[01]", "star": r"[A-D][1-3]", "evo": r"[A-D][1-3]"}
"""Names of the slots of each deck, as a regular expression."""
SLOTS_IN_WORDS = {"flex": "A1 to D4", "ot2": "1 to 11", "star": "A1 to D3", "evo": "A1 to D3"}
"""The same as people are told."""


class PipetteAccuracy(FrozenModel):
    """One line of a pipette's specification."""

    volume_ul: float = Field(gt=0)
    systematic_percent: float = Field(ge=0)
    random_cv_percent: float = Field(ge=0)


class PipetteSpec(FrozenModel):
    """A pipette on a mount."""

    mount: Mount
    load_name: str
    channels: Literal[1, 8]
    min_volume_ul: float = Field(gt=0)
    """Smallest volume we ask for; below it the planner builds a pre-dilution."""
    max_volume_ul: float = Field(gt=0)
    accuracy: tuple[PipetteAccuracy, ...] = Field(min_length=1)
    source: str
    verified_by: str | None = None


class ModuleSpec(FrozenModel):
    """A module on the deck."""

    slot: str
    load_name: str
    adapter: str | None = None
    serial_number: str = ""


TEMPERATURE_S: dict[str, float] = {"temperatureModuleV2": 600.0, "heaterShakerModuleV1": 240.0}
"""Longest wait for a module to reach its set point, estimated."""


class TipRackSpec(FrozenModel):
    """A kind of tip rack the lab keeps in stock."""

    load_name: str
    volume_ul: float = Field(gt=0)
    """Volume one tip takes."""
    filter: bool = True
    wide_bore: bool = False
    """A wider orifice, gentler to cells."""


class RobotSpeeds(FrozenModel):
    """How long a liquid handler takes for what it does, without its people.

    The defaults are estimates from watching a Flex, good to a factor of two; no maker's document states them.
    """

    pick_up_s: float = Field(default=6.0, ge=0)
    drop_s: float = Field(default=4.0, ge=0)
    travel_s: float = Field(default=2.0, ge=0)
    """Way to a well before an aspiration or a dispense there."""
    start_s: float = Field(default=30.0, ge=0)
    """Homing and what else comes before the first step."""
    flow_ul_s: dict[str, float] = Field(default_factory=dict)
    """Default flow rate (µL/s) by pipette load name; `max_volume_ul` in 2 s where a pipette is not named."""
    temperature_s: dict[str, float] = Field(default_factory=lambda: dict(TEMPERATURE_S))
    """Longest wait until a module has reached its set point, by module load name."""
    shaker_s: float = Field(default=7.0, ge=0)
    """Starting and stopping a shaker."""
    source: str = "estimate, good to a factor of two"
    verified_by: str | None = None


class BenchErrorLimits(FrozenModel):
    """Limits of predicted error that hold on a bench whatever the recipe says, with who says so."""

    cv_percent: float | None = Field(default=None, gt=0, le=100)
    """Largest predicted random error; the recipe's when None."""
    bias_percent: float | None = Field(default=None, gt=0, le=100)
    """Largest predicted systematic error; the recipe's when None."""
    source: str = Field(min_length=1)
    """Where they come from: a qualification report, a decision."""
    verified_by: str | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.cv_percent is None and self.bias_percent is None:
            raise ValueError("error_limits limits nothing. Remedy: give cv_percent, bias_percent, or leave it out")
        return self


FLEX_TIPS = tuple(
    TipRackSpec(load_name=f"opentrons_flex_96_filtertiprack_{size}ul", volume_ul=size) for size in (50, 200, 1000)
)
OT2_TIPS = tuple(
    TipRackSpec(load_name=f"opentrons_96_filtertiprack_{size}ul", volume_ul=size) for size in (20, 200, 1000)
)


STAR_TIPS = tuple(
    TipRackSpec(load_name=f"nkloop_hamilton_96_filtertiprack_{size}ul", volume_ul=size) for size in (50, 300, 1000)
)
EVO_TIPS = tuple(
    TipRackSpec(load_name=f"nkloop_tecan_96_tiprack_{size}ul", volume_ul=size, filter=False) for size in (200, 1000)
)
_TIPS = {"flex": FLEX_TIPS, "ot2": OT2_TIPS, "star": STAR_TIPS, "evo": EVO_TIPS}
_TRASH = {"flex": "A3", "ot2": "12"}
_INDEPENDENT = frozenset({"star", "evo"})


class BenchDeck(FrozenModel):
    """The deck of a liquid handler as the planner sees it."""

    model: Literal["flex", "ot2", "star", "evo"]
    """On a `star` (Hamilton) and an `evo` (Tecan) the slots A1 to D3 are names for carrier sites, which the settings of
    the liquid handler lay out."""
    pipettes: tuple[PipetteSpec, ...] = Field(min_length=1)
    modules: tuple[ModuleSpec, ...] = ()
    trash_slot: str = ""
    """Slot of the trash; `A3` on a Flex, always `12` on an OT-2, none where the waste stands beside the slots."""
    tip_slots: tuple[str, ...] = ()
    """Slots that take tip racks and nothing else, where tips need carriers of their own; empty lets them stand
    anywhere."""
    tips: tuple[TipRackSpec, ...] = ()
    """Tip racks the lab keeps; the maker's filter tips when none is named."""
    speeds: RobotSpeeds = RobotSpeeds()
    error_limits: BenchErrorLimits | None = None
    """Limits of predicted error instead of the recipe's."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_its_model(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        model = str(data.get("model"))
        given = {key: value for key, value in data.items() if value or key not in {"trash_slot", "tips"}}
        return {"trash_slot": _TRASH.get(model, ""), "tips": _TIPS.get(model, ()), **given}

    @model_validator(mode="after")
    def _fits_its_model(self) -> Self:
        if len({pipette.mount for pipette in self.pipettes}) < len(self.pipettes):
            raise ValueError("two pipettes on one mount. Remedy: name one for the left and one for the right mount")
        if self.model == "ot2" and self.trash_slot != "12":
            raise ValueError(
                f"trash in slot {self.trash_slot}, that of an OT-2 is fixed in slot 12. Remedy: remove the line"
            )
        wrong = [slot for slot in self.tip_slots if not re.fullmatch(SLOT_PATTERNS[self.model], slot)]
        if wrong:
            raise ValueError(
                f"tips in slot {wrong[0]}, which the deck of the {self.model} does not have. "
                f"Remedy: name one of {SLOTS_IN_WORDS[self.model]}"
            )
        return self

    @property
    def has_independent_channels(self) -> bool:
        """Whether each channel moves by itself, so that idle ones never hang over what stands behind."""
        return self.model in _INDEPENDENT

    def pipette(self, channels: int, volume_ul: float | None = None) -> PipetteSpec | None:
        """The pipette that works with that many channels, or None.

        One channel needs a one-channel pipette where the bench has one; 2 to 8 need an eight-channel one. Of several,
        the smallest that takes the volume in one go and reaches down to it; without a volume the largest.
        """
        fits = [p for p in self.pipettes if p.channels == (1 if channels == 1 else 8)]
        fits.sort(key=lambda p: p.max_volume_ul)
        if volume_ul is None or not fits:
            return fits[-1] if fits else None
        reaching = [p for p in fits if p.min_volume_ul <= volume_ul + 1e-6] or fits[:1]
        return next((p for p in reaching if p.max_volume_ul >= volume_ul - 1e-6), reaching[-1])

    def smallest_volume_ul(self, channels: int) -> float | None:
        """Smallest volume that some pipette with that many channels moves reliably, or None without one."""
        return min((p.min_volume_ul for p in self.pipettes if p.channels == (1 if channels == 1 else 8)), default=None)

    def module_slot(self, load_name: str) -> str | None:
        """Slot of a module, or None when the bench has none."""
        return next((m.slot for m in self.modules if m.load_name == load_name), None)
