"""Make the complete medium of every arm and feed the culture plate with it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field, model_validator

from nkloop.coordination.artifacts import show_table
from nkloop.coordination.launching import kept, planned
from nkloop.coordination.plain_errors import fails_plainly
from nkloop.coordination.plate_forms import is_on, last_well, wells_on_plate
from nkloop.coordination.run_artifacts import show_told
from nkloop.coordination.run_names import run_name
from nkloop.coordination.served import batch_field, bench_field, reservation_field
from nkloop.coordination.work import carry_out_parts
from nkloop.feedback import Envelope
from nkloop.feedback.models import Arm
from nkloop.recipes.models import Recipe
from nkloop.reports.tables import composition_rows, well_rows
from nkloop.runs.culture import donor_tubes
from nkloop.runs.feeding import PlateFeeding, base_order, plan_feeding
from nkloop.runs.session import Session, open_session
from nkloop.worklists.arms import REFERENCE
from nkloop.worklists.constants import Constants
from nkloop.worklists.dosing_assembly import PLATES
from nkloop.worklists.medium_vessels import container_of
from nkloop.worklists.models import CELLS_OUT_MINUTES
from nkloop.worklists.parts import worklists_of
from nkloop.worklists.plans import Aim, DosingPlan, MediumOrder, WellFeeding
from nkloop.worklists.recipe_arms import with_controls
from prepare_medium import PrepareMedium, prepare_medium

HERE = Path(__file__).resolve().parent
USUAL_PLATE: Literal["plate-24"] = "plate-24"


class Factor(BaseModel):
    """How much of one component an arm gets."""

    model_config = ConfigDict(extra="forbid")

    component: str = Field(
        "IL-15@expansion_ii+differentiation",
        title="Component",
        description="Component and stages as in the recipe's loop limits",
        min_length=1,
    )
    factor: float = Field(
        1.0,
        title="Factor",
        description="Times the recipe's concentration; within the recipe's limits, at most 2 per revision",
        ge=0.25,
        le=4.0,
    )


class ArmDose(BaseModel):
    """One recipe variant."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        "reference",
        title="Arm",
        description="reference, or the arm of a campaign such as arm-1-2: round 1, arm 2",
        min_length=1,
    )
    factors: list[Factor] = Field([], title="Factors", description="Components that differ from the recipe")

    @model_validator(mode="after")
    def _reference_is_the_recipe(self) -> Self:
        if self.name == REFERENCE and (changed := [one.component for one in self.factors if one.factor != 1]):
            raise ValueError(
                f"{REFERENCE} is the recipe unchanged, every arm is compared with it: give the arm with another "
                f"{changed[0]} a name of its own, such as arm-1-1"
            )
        return self


class Well(BaseModel):
    """What happens to one culture well."""

    model_config = ConfigDict(extra="forbid")

    well: str = Field(
        "A1",
        title="Well",
        description="A well of the plate, as B3: to D6 on plate-24, to H12 on plate-96",
        pattern=r"^[A-H](1[0-2]|[1-9])$",
    )
    arm: str = Field("reference", title="Arm", description="Must be one of the arms", min_length=1)
    donor: str = Field("U1", title="Donor unit", description="Cord unit of the cells in the well", min_length=1)
    remove_ul: float = Field(0.0, title="Remove [µL]", description="Taken out first, 0 to 3000 µL", ge=0, le=3000)
    is_split: bool = Field(False, title="Split", description="Remove mixed suspension instead of settled supernatant")
    add_ul: float = Field(1350.0, title="Add [µL]", description="Fresh medium of the arm, 0 to 4000 µL", ge=0, le=4000)
    seed_ul: float = Field(
        150.0, title="Cells [µL]", description="Suspension of the donor that is seeded, 0 to 500 µL", ge=0, le=500
    )


class DoseCytokines(BaseModel):
    """One feeding of one culture plate. Serum for a base medium made first thaws overnight, 16 h before the robot."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=wells_on_plate(PLATES, USUAL_PLATE))

    recipe: str = Field(
        "ucb-nk", title="Recipe", description="File name in recipes/ without .yaml, or a revision id", min_length=1
    )
    stage: str = Field(
        "expansion_i", title="Stage", description="Stage of the recipe, for example expansion_i", min_length=1
    )
    plate: str = Field("culture-1", title="Culture plate", description="Barcode of the plate", min_length=1)
    plate_kind: Literal["plate-6", "plate-24", "plate-48", "plate-96"] = Field(
        USUAL_PLATE, title="Kind of plate", description="plate- and the number of its wells"
    )
    arms: list[ArmDose] = Field(
        [ArmDose()],
        title="Arms",
        description="Recipe variants on the plate; the controls of the recipe are known without being listed",
    )
    wells: list[Well] = Field([Well()], title="Wells", description="Wells to feed, in any order")
    seeding_cells_per_ul: float = Field(
        1000.0,
        title="Donor tubes [cells/µL]",
        description="CD34+ cells per µL in the donor tubes, up to 100000; used where wells are seeded",
        gt=0,
        le=100_000,
    )
    cells_out_minutes: float = Field(
        CELLS_OUT_MINUTES,
        title="Cells outside [min]",
        description="Longest time of cells outside the incubator, 1 to 240 min; a longer feeding is cut into parts",
        ge=1,
        le=240,
    )
    base_medium: str = Field(
        "", title="Base medium", description="Barcode of the prepared base medium; empty prepares it first"
    )
    constant: Constants = Field(
        "auto",
        title="What all arms have alike",
        description="base: the base medium brings it; dose: arm by arm; auto: base where every well stays on target. A "
        "base medium that is named brings what it holds",
    )
    aim: Aim = Field(
        "vessel",
        title="On target",
        description="vessel: the well, what is in it and the cell suspension counted; medium: the fresh medium",
    )
    seed: int = Field(
        1, title="Random seed", description="The positions were drawn with it; kept with the worklist", ge=0
    )
    batch: str = batch_field()
    reservation: str = reservation_field()
    bench: str = bench_field()

    @model_validator(mode="after")
    def _wells_are_on_the_plate(self) -> Self:
        for well in self.wells:
            if not is_on(well.well, self.plate_kind):
                raise ValueError(
                    f"well {well.well} is not on {self.plate_kind}: its wells are A1 to {last_well(self.plate_kind)}"
                )
        return self

    @model_validator(mode="after")
    def _each_well_stands_once(self) -> Self:
        names = [well.well for well in self.wells]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"well {twice} stands more than once: say all that happens to a well in one entry")
        return self

    @property
    def purpose(self) -> str:
        """What it is about, for the name of its run."""
        return f"feed {self.plate}, {self.stage}"


@flow(name="dose-cytokines", flow_run_name=run_name)
@fails_plainly
async def dose_cytokines(request: DoseCytokines = DoseCytokines()) -> str:  # noqa: B008 - frozen default of the form
    """Make the complete medium of every arm and feed the culture plate with it; returns the id of the (last) run."""
    async with open_session(HERE, request.bench) as session:
        session.batch = request.batch.strip() or session.batch
        recipe = session.recipe(request.recipe)
        base = request.base_medium or await _prepared_base(session, request, recipe)

        async def made() -> DosingPlan:
            return await plan_feeding(
                session, await _asked(session, request, recipe), base, reservation=request.reservation
            )

        plan = await planned(session, "feeding", DosingPlan, made, lambda kept: worklists_of(kept.parts))
        await show_told(plan, f"the feeding of {request.plate}")
        rows = composition_rows(plan.composition)
        records = await carry_out_parts(
            session, plan.parts, phase=f"feeding {request.plate}", plan_rows=rows, reservation=request.reservation
        )
        await show_table(
            "culture-plate",
            well_rows(plan.after, recipe, {row.component: row.unit for row in plan.composition}),
            "Wells after feeding, as planned",
        )
        return records[-1].id


async def _asked(session: Session, request: DoseCytokines, recipe: Recipe) -> PlateFeeding:
    seeded = sorted({well.donor for well in request.wells if well.seed_ul > 0})
    return PlateFeeding(
        recipe=recipe,
        stage_id=request.stage,
        name=f"feed {request.plate}, {request.stage}, {await session.bench.clock.now():%Y-%m-%d}",
        plate=request.plate,
        arms=with_controls(recipe, [_arm(arm, recipe) for arm in request.arms]),
        wells=tuple(_feeding(well) for well in request.wells),
        donors=donor_tubes(seeded, request.seeding_cells_per_ul),
        seed=request.seed,
        plate_load_name=PLATES[request.plate_kind],
        cells_out_minutes=request.cells_out_minutes,
        constants=request.constant,
        aim=request.aim,
    )


def _arm(arm: ArmDose, recipe: Recipe) -> Arm:
    envelope = Envelope.of(recipe)
    factors = {factor.component: factor.factor for factor in arm.factors}
    envelope.check(factors, where=f"arm {arm.name}")
    origin: Literal["reference", "exploration"] = "reference" if arm.name == REFERENCE else "exploration"
    return Arm(name=arm.name, factors=envelope.complete(factors), origin=origin)


def _feeding(well: Well) -> WellFeeding:
    return WellFeeding(
        arm=well.arm,
        donor=well.donor,
        well=well.well,
        remove_ul=well.remove_ul,
        mixed=well.is_split,
        add_ul=well.add_ul,
        seed_ul=well.seed_ul,
    )


async def _prepared_base(session: Session, request: DoseCytokines, recipe: Recipe) -> str:
    async def made() -> MediumOrder:
        wanted = f"base-{request.plate}-{request.stage}-{await session.bench.clock.now():%m%d}"
        barcode = session.records.vessels.give(wanted)
        return await base_order(session, await _asked(session, request, recipe), barcode)

    order = await kept(session, "base medium", MediumOrder, made)
    source = await prepare_medium(
        PrepareMedium(
            recipe=request.recipe,
            stage=order.stage_id,
            volume_ml=order.volume.to("mL"),
            leave_out=list(order.omit),
            barcode=order.barcode,
            container=container_of(order.load_name),
            max_cv=order.within.cv_percent if order.within else 0.0,
            max_bias=order.within.bias_percent if order.within else 0.0,
            bench=request.bench,
        )
    )
    return source.barcode
