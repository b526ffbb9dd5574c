"""Prepare the complete medium of a recipe stage, or its base medium without what the arms of a campaign vary."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from nkloop.coordination.launching import planned
from nkloop.coordination.plain_errors import fails_plainly
from nkloop.coordination.run_artifacts import show_told
from nkloop.coordination.run_names import run_name
from nkloop.coordination.served import batch_field, bench_field, reservation_field
from nkloop.coordination.work import carry_out
from nkloop.quantities import Amount
from nkloop.reports.tables import composition_rows
from nkloop.runs.media import plan_batch
from nkloop.runs.session import open_session
from nkloop.worklists.medium_vessels import CONTAINERS, Container
from nkloop.worklists.parts import worklists_of
from nkloop.worklists.plans import MediumPlan, MediumSource

HERE = Path(__file__).resolve().parent


class PrepareMedium(BaseModel):
    """What to prepare. A frozen bottle thaws overnight, 16 h; nkloop plan medium tells lead times before a launch."""

    model_config = ConfigDict(extra="forbid")

    recipe: str = Field(
        "ucb-nk", title="Recipe", description="File name in recipes/ without .yaml, or a revision id", min_length=1
    )
    stage: str = Field("expansion_i", title="Stage", description="Stage of the recipe, for example expansion_i")
    volume_ml: float = Field(
        100.0, title="Volume [mL]", description="Medium that can be used afterwards, 1 to 175 mL", ge=1, le=175
    )
    leave_out: list[str] = Field(
        [], title="Leave out", description="Components the arms add later, for example SCF; empty for complete medium"
    )
    barcode: str = Field(
        "",
        title="Barcode of the vessel",
        description="Scanned label; made from stage and date when empty",
        max_length=60,
    )
    container: Container = Field(
        "", title="Vessel", description="tube-1.5, tube-15, tube-50 or trough; empty for the smallest that takes it"
    )
    max_cv: float = Field(
        0.0, title="Largest CV [%]", description="Predicted; 0 for the limit of the recipe or the bench", ge=0, le=100
    )
    max_bias: float = Field(
        0.0,
        title="Largest systematic error [%]",
        description="Predicted; 0 for the limit of the recipe or the bench",
        ge=0,
        le=100,
    )
    batch: str = batch_field()
    reservation: str = reservation_field()
    bench: str = bench_field()

    @property
    def purpose(self) -> str:
        """What it is about, for the name of its run."""
        return f"{self.volume_ml:g} mL {self.stage} medium{f' in {self.barcode}' if self.barcode else ''}"


@flow(name="prepare-medium", flow_run_name=run_name, validate_parameters=True)
@fails_plainly
async def prepare_medium(request: PrepareMedium = PrepareMedium()) -> MediumSource:  # noqa: B008 - frozen default of the form
    """Prepare the complete medium of a recipe stage, or its base medium without what the arms vary."""
    async with open_session(HERE, request.bench) as session:
        session.batch = request.batch.strip() or session.batch

        async def made() -> MediumPlan:
            return await plan_batch(
                session,
                session.recipe(request.recipe),
                request.stage,
                Amount(request.volume_ml, "mL"),
                leave_out=tuple(request.leave_out),
                barcode=request.barcode,
                load_name=CONTAINERS.get(request.container, ""),
                reservation=request.reservation,
                max_cv=request.max_cv,
                max_bias=request.max_bias,
            )

        plan = await planned(session, "medium", MediumPlan, made, lambda kept: worklists_of(kept.parts))
        await show_told(plan, f"medium {plan.source.barcode}")
        rows = composition_rows(plan.composition)
        await carry_out(
            session,
            plan.worklist,
            phase=f"preparing medium for {request.stage}",
            plan_rows=rows,
            reservation=request.reservation,
        )
        return plan.source
