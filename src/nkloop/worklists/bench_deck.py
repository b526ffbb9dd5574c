"""What a planner must know of a liquid handler: pipettes with their accuracy, modules, slots."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nkloop.frozen import FrozenModel

Mount = Literal["left", "right"]


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


class BenchDeck(FrozenModel):
    """The deck of a liquid handler as the planner sees it."""

    model: Literal["flex"]
    pipettes: tuple[PipetteSpec, ...] = Field(min_length=1)
    modules: tuple[ModuleSpec, ...] = ()
    trash_slot: str = "A3"

    def pipette(self, channels: int) -> PipetteSpec | None:
        """The pipette with that many channels, or None."""
        return next((p for p in self.pipettes if p.channels == channels), None)

    def module_slot(self, load_name: str) -> str | None:
        """Slot of a module, or None when the bench has none."""
        return next((m.slot for m in self.modules if m.load_name == load_name), None)
