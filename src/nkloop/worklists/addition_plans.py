"""What a plan for a process step that adds a component is asked, and what it answers."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from nkloop.feedback.models import Arm
from nkloop.frozen import FrozenModel
from nkloop.recipes.models import ErrorLimits, Recipe
from nkloop.worklists.bag_plans import BagFeeding, DoseTubeFilling
from nkloop.worklists.lots import LotUse
from nkloop.worklists.models import CELLS_OUT_MINUTES, THAWED_MINUTES
from nkloop.worklists.parts import PlanInParts
from nkloop.worklists.plans import CompositionRow


class AdditionVessel(FrozenModel):
    """One culture well or bag with the cells in it."""

    vessel: str
    """Well of the plate, or name of the bag."""
    arm: str
    donor: str
    volume_ul: float = Field(gt=0)
    cells_per_ul: float = Field(gt=0)
    """Viable cells."""
    per_ul: dict[str, float] = Field(default_factory=dict)
    """What is known of the contents, canonical."""
    kind: str = ""
    """Name in `labware/bags.yaml` of a closed vessel; empty for a well."""

    @property
    def cells(self) -> float:
        """Viable cells in the vessel."""
        return self.volume_ul * self.cells_per_ul

    def as_feeding(self) -> BagFeeding:
        """The closed vessel as people handle it: nothing is drained, a dose tube is run in."""
        named = {"bag": self.vessel, "kind": self.kind, "arm": self.arm, "donor": self.donor}
        return BagFeeding(**named, present_ul=self.volume_ul, cells_per_ul=self.cells_per_ul)


class AdditionRequest(FrozenModel):
    """A process step of kind `add` for the vessels of one plate, or for closed bags."""

    name: str
    recipe: Recipe
    stage_id: str
    step_id: str
    arms: tuple[Arm, ...] = Field(min_length=1)
    vessels: tuple[AdditionVessel, ...] = Field(min_length=1)
    plate_barcode: str = ""
    plate_load_name: str = ""
    """Empty for bags: they get a labelled tube each."""
    tube: str = "dose-15"
    """Dose tube of `labware/bags.yaml`, for bags."""
    dose_ul: float = Field(default=5000, gt=0)
    """Volume a tube brings into its bag, about."""
    use_until: date
    cells_out_minutes: float = Field(default=CELLS_OUT_MINUTES, gt=0)
    thawed_minutes: float = Field(default=THAWED_MINUTES, gt=0)
    """Longest time from the freezer to the last culture, of a frozen lot."""
    prepared: datetime | None = None
    """Time on the labels of dose tubes; closed vessels need it."""
    seed: int | None = None
    error_limits: ErrorLimits | None = None

    @property
    def errors_allowed(self) -> ErrorLimits:
        """The limits of predicted error that hold for this request."""
        return self.error_limits or self.recipe.error_limits


class Addition(FrozenModel):
    """What one vessel gets: the component, or as a control its carrier alone."""

    vessel: str
    arm: str
    donor: str
    part: int = Field(default=1, ge=1)
    liquid: str
    """The component, or the carrier a control gets instead."""
    is_control: bool = False
    """True when its arm of the recipe goes without the step."""
    cells: float
    wanted: float
    """Amount asked for in the unit of `unit` (per cell, or per volume)."""
    unit: str
    stock_ul: float
    """Of the lot, before any dilution."""
    volume_ul: float
    """What is pipetted, of the lot, of its dilution, or of the carrier."""
    thinned_percent: float
    """By how much everything else in the culture is diluted."""
    tube: str = ""
    """Rack and well of the tube for a bag."""


class AdditionPlan(PlanInParts):
    """A process step that adds a component: the robot's work and what it gives."""

    additions: tuple[Addition, ...]
    """Every vessel, controls after the others."""
    without: tuple[str, ...]
    """Vessels that get the carrier alone, because their arm leaves the step out."""
    tubes: tuple[DoseTubeFilling, ...] = ()
    """Dose tubes of closed vessels, with their labels."""
    composition: tuple[CompositionRow, ...]
    lots: tuple[LotUse, ...]
    cells_out_minutes: float = 0.0
    thawed_minutes: float | None = None
    """From the freezer to the last culture, the longest of all parts; None when nothing is thawed."""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
