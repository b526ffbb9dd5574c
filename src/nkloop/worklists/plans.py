"""What the planners are asked and what they answer."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from nkloop.assays.models import PlateLayout
from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.frozen import FrozenModel
from nkloop.quantities import Amount
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.recipes.models import Recipe
from nkloop.worklists.lots import LotUse
from nkloop.worklists.models import CELLS_OUT_MINUTES, MOST_HOURS, PREPARED, Uncertainty, Worklist
from nkloop.worklists.parts import PlanInParts, only_worklist

Aim = Literal["medium", "vessel"]
"""`medium`: fresh medium is at the arm's concentrations. `vessel`: the well is at them after the addition, what remains
from the last dose counted."""

Layout = Literal["arms", "placed", "columns", "copies"]
"""Culture wells fed from one vessel for each arm, in their order; from one deep well for each arm, placed as on the
plate; by columns from deep wells made like arm media; by columns from deep wells that arm media are shared out to."""


class CompositionRow(FrozenModel):
    """One component of one prepared liquid: what the recipe asks and what the ledger says comes out."""

    destination: str = ""
    """Vessel, arm or well that holds it."""
    component: str
    target: float
    """What the recipe asks, in `unit`."""
    expected: float
    """What the ledger says comes out, in `unit`."""
    unit: str
    deviation_percent: float | None
    """Of expected from target; None when nothing is wanted."""
    cv_percent: float | None = None
    """Predicted random error of the concentration; None when it was not predicted."""
    bias_percent: float | None = None
    """Predicted bound of the systematic error of the concentration, either way; None when it was not predicted."""
    why: str = ""
    """Why what comes out is off target, in words; empty when it is not."""
    basis: Literal["dosed", "undosed", "carried"] = "dosed"
    """`undosed`: the stage has it and the plan leaves it to the base medium; `carried`: the stage has none of it, what
    was in the vessel before brings it."""


class Brought(FrozenModel):
    """What the buffer of one stock brought into a prepared medium along with the component."""

    component: str
    """Or the liquid that stocks were diluted in."""
    lot: str
    substance: str
    amount: Amount
    """Its concentration in the prepared medium."""


class MediumSource(FrozenModel):
    """A prepared medium standing in a labware that outlives its run."""

    barcode: str
    load_name: str
    well: str
    per_ul: dict[str, float]
    """Component to canonical concentration."""
    volume_ul: float = Field(gt=0)
    """What stands there, dead volume included."""
    errors: dict[str, Uncertainty] = Field(default_factory=dict)
    """Predicted errors of its own, by component; empty when nobody knows them."""
    errors_from: str = ""
    """Where they are known from, in words: `of run run-0007, which prepared it`."""
    prepared_by: str = ""
    """Id of the recorded run that prepared it; empty when it is still to be made, or was made elsewhere."""
    brought: tuple[Brought, ...] | None = None
    """What stock buffers brought into it; None when nobody knows the lots it was made of."""
    passed_over: str = ""
    """Which recorded medium is not taken in its place and why: `base-x … is passed over, because 1.9 mL are left`."""

    @property
    def lot(self) -> str:
        """What stands for a lot in worklists that take from it."""
        return f"{PREPARED}{self.barcode}:{self.well}"


class MediumOrder(FrozenModel):
    """One medium that is asked for."""

    stage_id: str
    """Stage of the recipe whose medium it is."""
    volume: Amount
    """What can be drawn afterwards."""
    omit: tuple[str, ...] = ()
    """Components left out because the arms of a campaign add them."""
    barcode: str
    """Identity of the vessel; further vessels of one order get `-2`, `-3`."""
    load_name: str = ""
    """Labware it is made in; the smallest that takes the volume when empty."""
    within: ErrorLimits | None = None
    """Limits it has to be made within for what is dosed into it, where those are stricter than the recipe's."""


class MediumPlan(PlanInParts):
    """Media prepared together: the robot's work and what it gives."""

    composition: tuple[CompositionRow, ...]
    """Every component of every vessel."""
    lots: tuple[LotUse, ...]
    sources: tuple[MediumSource, ...] = Field(min_length=1)
    """The vessels as they stand afterwards, in the order of their parts."""
    use_until: date
    """Last day of use."""
    notes: tuple[str, ...] = ()
    """What a person should know of how it is made, one sentence each."""
    warnings: tuple[str, ...] = ()
    """What a person has to decide or mind before it is run."""

    @property
    def worklist(self) -> Worklist:
        """The worklist of a plan that is one run.

        Raises:
            PlanError: the plan has several parts.
        """
        return only_worklist(self.parts)

    @property
    def source(self) -> MediumSource:
        """The medium as a source for dosing, when it stands in one vessel.

        Raises:
            PlanError: it stands in several.
        """
        if len(self.sources) != 1:
            raise PlanError(
                f"the medium stands in {len(self.sources)} vessels, one was asked for",
                remedy="name the vessel, or prepare less",
            )
        return self.sources[0]


class CulturePosition(FrozenModel):
    """Which arm and donor a culture well belongs to."""

    arm: str
    donor: str
    well: str
    replicate: int = Field(default=1, ge=1)
    """Block of the donor this well stands in."""


class WellFeeding(CulturePosition):
    """One culture well at one feeding event. Removal comes first; 0 leaves a step out."""

    present_ul: float = Field(default=0, ge=0)
    """What stands in the well."""
    present_per_ul: dict[str, float] = Field(default_factory=dict)
    """What is known of its contents, per µL; cells are settled but counted as if suspended."""
    remove_ul: float = Field(default=0, ge=0)
    """Medium taken away before fresh medium comes."""
    mixed: bool = False
    """Remove suspended cells with the medium (a split) instead of settled supernatant."""
    add_ul: float = Field(default=0, ge=0)
    """Fresh medium."""
    seed_ul: float = Field(default=0, ge=0)
    """Volume of the donor's cell suspension to seed."""
    transfer_ul: float = Field(default=0, ge=0)
    """Mixed suspension that goes to the new plate; fresh medium then goes there too."""
    to_well: str = ""
    """Well of the new plate."""

    @property
    def kept_ul(self) -> float:
        """What is left of the present contents in the well that gets fresh medium."""
        return self.transfer_ul or self.present_ul - self.remove_ul

    @property
    def final_ul(self) -> float:
        """Volume of the well that gets fresh medium, afterwards."""
        return self.kept_ul + self.add_ul + self.seed_ul

    @property
    def is_transferred(self) -> bool:
        """True when the cells move to the new plate."""
        return self.transfer_ul > 0


class DonorTube(FrozenModel):
    """CD34+ cells of one cord unit, in one tube."""

    donor: str
    cells_per_ul: float = Field(gt=0)
    per_ul: dict[str, float] = Field(default_factory=dict)
    """What the cells are suspended in, component to canonical concentration; the base liquid alone when empty."""
    suspended_in: str = ""
    """The same as words; empty for the base liquid alone."""
    is_in_base: bool = False
    """True when it is the base medium of the plan they are suspended in."""


class DosingRequest(FrozenModel):
    """One feeding event of one culture plate."""

    name: str
    recipe: Recipe
    stage_id: str
    arms: tuple[Arm, ...] = Field(min_length=1)
    plate_barcode: str
    plate_load_name: str = "corning_24_wellplate_3.4ml_flat"
    wells: tuple[WellFeeding, ...] = Field(min_length=1)
    base: MediumSource
    """Base medium of the event: prepared by an earlier run or by hand."""
    components: tuple[str, ...] = ()
    """Components the arms add; empty means those the recipe's loop varies in this stage and those the arms change."""
    in_base: tuple[str, ...] = ()
    """Of those, what all arms have alike and the base medium brings."""
    aim: Aim = "medium"
    """What has to be on target: the fresh medium of an arm, or the well after it."""
    hours_since_dose: float = Field(default=0, ge=0, le=MOST_HOURS)
    """Age of the present contents; components with a half-life have decayed since."""
    held_stage: str = ""
    """Stage whose medium stands in the wells, when it is another than the one planned."""
    new_plate_barcode: str = ""
    new_plate_load_name: str = ""
    """Plate that cells are transferred to."""
    medium_wells: tuple[str, ...] = ()
    """Wells at the edge that get base medium against evaporation."""
    medium_wells_ul: float = Field(default=0, ge=0)
    """Volume each of them gets."""
    cells_out_minutes: float = Field(default=CELLS_OUT_MINUTES, gt=0)
    """Longest time of cells outside the incubator; a longer run is cut into parts."""
    donors: tuple[DonorTube, ...] = ()
    """Needed when a well is seeded."""
    use_until: date
    """Lots have to keep until this day."""
    seed: int | None = None
    """Seed of the positions, kept with the worklist."""
    error_limits: ErrorLimits | None = None
    """Largest predicted errors; those of the recipe when None."""

    @property
    def errors_allowed(self) -> ErrorLimits:
        """The limits of predicted error that hold for this request."""
        return self.error_limits or self.recipe.error_limits


class ArmComposition(FrozenModel):
    """The complete medium of one arm."""

    arm: str
    well: str
    volume_ul: float
    rows: tuple[CompositionRow, ...]


class WellState(FrozenModel):
    """What a well holds after the run, as planned."""

    well: str
    volume_ul: float
    per_ul: dict[str, float]
    """Component to canonical concentration."""


class DosingPlan(PlanInParts):
    """A feeding event: the robot's work and what it gives."""

    arms: tuple[ArmComposition, ...]
    after: tuple[WellState, ...]
    """Culture wells after the event."""
    base_left_ul: float
    """Base medium that stays in its vessel."""
    base_within: ErrorLimits | None = None
    """What the base medium has to be made within, where that is stricter than the limits of the plan."""
    lots: tuple[LotUse, ...]
    composition: tuple[CompositionRow, ...] = ()
    """What is on target: every well after the event, or the medium of every arm where the fresh medium is the aim."""
    cells_out_minutes: float = 0.0
    """Longest estimated time of cells outside the incubator, over the parts."""
    robot_minutes: float = 0.0
    """Estimated time of the robot, over all parts."""
    tips: int = 0
    """Tips used, over all parts."""
    cost_eur: float = 0.0
    """What the parts cost by the stated weights: stock, base medium, tips, tubes and plates, minutes."""
    feeding: Layout = "arms"
    """How wells are fed."""
    compared: str = ""
    """One sentence on what the other ways to feed them would cost; empty when there is no other."""
    notes: tuple[str, ...] = ()
    """How the arm media are made, one sentence each."""
    warnings: tuple[str, ...] = ()

    @property
    def worklist(self) -> Worklist:
        """The worklist of a plan that is one run.

        Raises:
            PlanError: the plan has several parts.
        """
        return only_worklist(self.parts)


class EffectorTube(FrozenModel):
    """Effector cells of one sample as they come to the deck."""

    sample: str
    """Name as in the layout, for example `arm-2/U1`."""
    lot: str
    """Identity scanned at loading: `harvest:<barcode>:<well>` or `reference:<name>`."""
    cells_per_ul: float = Field(gt=0)
    """All cells, viable or not: nominal E:T counts them all."""
    available_ul: float | None = Field(default=None, gt=0)
    """Volume at hand; None when as much as needed can be given."""


class CytotoxicityRequest(FrozenModel):
    """One killing-assay plate."""

    name: str
    layout: PlateLayout
    effectors: tuple[EffectorTube, ...]
    """One for every sample of the layout and for its reference."""
    targets_per_ul: float = Field(gt=0)
    """Density of the target suspension that comes to the deck."""
    plate_load_name: str = "nkloop_costar3799_96_wellplate_330ul_round"
    detection_barcode: str
    """Barcode of the plate that is read."""
    assay_medium: str = "assay medium"
    """Component names of the bench liquids in the lot list."""
    lysis_buffer: str = "LDH lysis buffer 10x"
    substrate: str = "LDH substrate"
    stop_solution: str = "LDH stop solution"
    use_until: date
    """Lots have to keep until this day."""
    effector_ul: float = Field(default=100, gt=0)
    target_ul: float = Field(default=100, gt=0)
    lysis_ul: float = Field(default=20, gt=0)
    """10x lysis buffer per well: 10 µL per 100 µL (Promega FAQ fq0006)."""
    supernatant_ul: float = Field(default=50, gt=0)
    """Taken from each well to the plate that is read."""
    substrate_ul: float = Field(default=50, gt=0)
    """Added to the supernatant; the reaction begins."""
    stop_ul: float = Field(default=50, gt=0)
    """Ends the reaction before the plate is read."""
    error_limits: ErrorLimits = ErrorLimits()
    """Largest predicted errors of the cells of a well."""
    recipe_revision: str | None = None
    """Revision the effectors were grown by; None when no recipe is named."""


class EffectorNeed(FrozenModel):
    """What a plate takes of one sample."""

    sample: str
    volume_ul: float
    """Volume to put on the deck, dead volume included."""
    cells: float
    """Cells in that volume."""


class CytotoxicityPlan(PlanInParts):
    """One killing-assay plate: the robot's work and what it needs."""

    effectors: tuple[EffectorNeed, ...]
    """What the plate takes of every sample."""
    targets_ul: float
    """Target suspension to put on the deck."""
    dispense_order: tuple[str, ...]
    """Wells in the order targets are added; contact starts then."""
    tips: dict[str, int]
    """Tips used per rack type."""
    lots: tuple[LotUse, ...]
    warnings: tuple[str, ...] = ()

    @property
    def worklist(self) -> Worklist:
        """The worklist of a plan that is one run.

        Raises:
            PlanError: the plan has several parts.
        """
        return only_worklist(self.parts)
