"""What the planner of closed bags is asked and what it answers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime

from pydantic import Field

from nkloop.feedback.models import Arm
from nkloop.frozen import FrozenModel
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.recipes.models import Recipe
from nkloop.worklists.lots import LotUse
from nkloop.worklists.models import CELLS_OUT_MINUTES, MOST_HOURS
from nkloop.worklists.parts import PlanInParts
from nkloop.worklists.plans import CompositionRow, MediumSource


class BagTransfer(FrozenModel):
    """Where the culture of a new vessel comes from, and what becomes of the rest; volumes in µL."""

    from_bag: str
    """Barcode of the vessel it leaves."""
    from_kind: str
    """Name in `labware/bags.yaml`."""
    held_ul: float = Field(gt=0)
    cells_per_ul: float = Field(gt=0)
    """Viable cells, as counted."""
    sample_ul: float = Field(ge=0)
    moved_ul: float = Field(gt=0)
    """Culture that reaches the new vessel."""
    rinse_ul: float = Field(default=0, ge=0)
    """Base medium that rinses the old vessel and goes into the new one; 0 when the old one goes on."""
    discarded_ul: float = Field(default=0, ge=0)
    """Culture that is not needed and too little to go on."""
    medium_ul: float = Field(default=0, ge=0)
    """Base medium run into the new vessel besides the rinse."""
    is_emptied: bool
    """True when the old vessel is done with."""

    @property
    def left_ul(self) -> float:
        """What stays in the old vessel."""
        return self.held_ul - self.sample_ul - self.moved_ul - self.discarded_ul


class BagSeeding(FrozenModel):
    """The cells of a new vessel: a donor's suspension in base medium, run in after medium and dose."""

    cells_per_ul: float = Field(gt=0)
    """Viable cells in the suspension."""
    suspended_in: str = ""
    """What they are suspended in, as words; empty for the base medium of the plan."""


class BagFeeding(FrozenModel):
    """One closed vessel at one dose. A technician drains and gives fresh base medium; the dose tube brings the rest."""

    bag: str
    """Barcode of the bag."""
    kind: str
    """Name in `labware/bags.yaml`."""
    arm: str
    donor: str
    present_ul: float = Field(gt=0)
    present_per_ul: dict[str, float] = Field(default_factory=dict)
    """What is known of the contents, canonical, per µL."""
    drain_ul: float = Field(default=0, ge=0)
    """Taken out first."""
    is_settled: bool = False
    """True when supernatant is drained off the settled cells, false when mixed culture is."""
    cells_per_ul: float | None = Field(default=None, ge=0)
    """Viable cells in what is present; None when nobody counted them."""
    medium_ul: float = Field(default=0, ge=0)
    """Fresh base medium without what the arms add, welded on as a medium bag; what rinses an old vessel included."""
    transfer: BagTransfer | None = None
    """Set when the culture comes out of another vessel; `present_ul` is then what of it reaches this one."""
    seeding: BagSeeding | None = None
    """Set for a new vessel; `present_ul` is then the cell suspension it gets."""

    @property
    def kept_ul(self) -> float:
        """What stays of the present contents."""
        return self.present_ul - self.drain_ul

    @property
    def cells(self) -> float | None:
        """Viable cells in the vessel afterwards; None when nobody counted them."""
        density = self.cells_per_ul
        if (brought := self.transfer or self.seeding) is not None:
            density = brought.cells_per_ul
        return None if density is None else density * (self.present_ul if self.is_settled else self.kept_ul)


class BagDosingRequest(FrozenModel):
    """One dose for a set of closed bags."""

    name: str
    recipe: Recipe
    stage_id: str
    arms: tuple[Arm, ...] = Field(min_length=1)
    bags: tuple[BagFeeding, ...] = Field(min_length=1)
    base: MediumSource
    components: tuple[str, ...] = ()
    """Components the arms add; empty means those the recipe's loop varies in this stage and those the arms change."""
    in_base: tuple[str, ...] = ()
    """Of those, what all arms have alike and the base medium brings."""
    tube: str = "dose-15"
    """Name of the dose tube in `labware/bags.yaml`."""
    dose_ul: float = Field(default=5000, gt=0)
    """Volume a tube brings into its bag, about; the tube is filled to a volume that can be read."""
    hours_since_dose: float = Field(default=0, ge=0, le=MOST_HOURS)
    """Age of the present contents; components with a half-life have decayed since."""
    held_stage: str = ""
    """Stage whose medium stands in the vessels, when it is another than the one planned."""
    prepared: datetime
    """Time on the labels."""
    cells_out_minutes: float = Field(default=CELLS_OUT_MINUTES, gt=0)
    """Longest time the cells of one vessel stay outside the incubator."""
    use_until: date
    seed: int | None = None
    error_limits: ErrorLimits | None = None
    """Largest predicted errors; those of the recipe when None."""

    @property
    def errors_allowed(self) -> ErrorLimits:
        """The limits of predicted error that hold for this request."""
        return self.error_limits or self.recipe.error_limits


class DoseLabel(FrozenModel):
    """What stands on a dose tube."""

    batch: str
    """Bag, arm and donor it belongs to."""
    step: str
    content: str
    prepared: datetime
    expires: date
    use: str = ""
    """How it is to be used, in place of the date, for what does not keep: `at once`."""


class DoseTubeFilling(FrozenModel):
    """One filled dose tube and what it does to its bag."""

    bag: str
    arm: str
    donor: str
    part: int = Field(ge=1)
    rack: str
    """Nickname of the rack on the deck."""
    well: str
    fill_ul: float
    """What the robot puts into the tube."""
    delivered_ul: float
    """What reaches the bag: the rest stays in tube and line."""
    final_ul: float
    """Volume of the bag afterwards."""
    final_cells_per_ul: float | None = None
    """Viable cells in it then; None when nobody counted them."""
    concentrations: tuple[CompositionRow, ...]
    """What is in the tube."""
    label: DoseLabel


class BagDosingPlan(PlanInParts):
    """Dose tubes for a set of bags: the robot's work and what it gives."""

    tubes: tuple[DoseTubeFilling, ...]
    composition: tuple[CompositionRow, ...]
    """What every bag holds after the dose: what is dosed, what the stage has beside it, what is carried along."""
    base_left_ul: float
    base_by_hand_ul: float = 0.0
    """Base medium people run into the vessels or suspend cells in, to be prepared besides what stands on the deck."""
    base_within: ErrorLimits | None = None
    """What the base medium has to be made within, where that is stricter than the limits of the plan."""
    cells_out_minutes: float = 0.0
    """Longest time the cells of one vessel are outside the incubator, what people do counted."""
    vessel_labels: tuple[DoseLabel, ...] = ()
    """Labels of new vessels."""
    lots: tuple[LotUse, ...]
    notes: tuple[str, ...] = ()
    """How the doses are made, one sentence each."""
    warnings: tuple[str, ...] = ()


def tubes_csv(tubes: Sequence[DoseTubeFilling]) -> str:
    """The tubes as a table, one line each, with what stands on their labels."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ["part", "rack", "well", "bag", "arm", "donor", "fill_ul", "delivered_ul", "bag_after_ul"]
    writer.writerow([*head, "batch", "step", "content", "prepared", "expires"])
    for one in tubes:
        label = one.label
        told = [one.part, one.rack, one.well, one.bag, one.arm, one.donor, one.fill_ul, one.delivered_ul, one.final_ul]
        writer.writerow(
            [*told, label.batch, label.step, label.content, f"{label.prepared:%Y-%m-%d}", label.expires.isoformat()]
        )
    return out.getvalue()
