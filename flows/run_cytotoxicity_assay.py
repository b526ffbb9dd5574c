"""Set up, read and analyse NK killing assays (LDH release) against one tumour line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Sequence
from pathlib import Path

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from nkloop.assays.models import AssayResult, EffectorSample, PlateLayout
from nkloop.coordination.artifacts import show_markdown, show_table
from nkloop.coordination.launching import kept, planned
from nkloop.coordination.plain_errors import fails_plainly
from nkloop.coordination.reading import read_in_turn
from nkloop.coordination.run_names import run_name
from nkloop.coordination.served import bench_field, reservation_field
from nkloop.coordination.work import carry_out_parts, verified_ahead
from nkloop.recipes.models import Recipe
from nkloop.records.models import Context
from nkloop.reports import assay_markdown
from nkloop.reports.tables import effector_rows
from nkloop.runs.killing import (
    AssayDesign,
    Label,
    analyse_reading,
    discarded_wells,
    lay_out_plates,
    plan_plate,
    plate_label,
    read_request,
    reference_history,
    refuse_used_labels,
)
from nkloop.runs.session import Session, open_session
from nkloop.worklists.models import Verdict
from nkloop.worklists.parts import worklists_of
from nkloop.worklists.plans import CytotoxicityPlan

HERE = Path(__file__).resolve().parent


class Sample(BaseModel):
    """One effector preparation."""

    model_config = ConfigDict(extra="forbid")

    arm: str = Field("qualification", title="Arm", description="Recipe variant the cells come from", min_length=1)
    donor: str = Field("PB-NK", title="Donor", description="Cord unit or cell bank", min_length=1)
    source: str = Field(
        "reference:PB-NK",
        title="Source",
        description="Scanned identity: harvest:BARCODE:WELL, or reference:NAME for a banked effector",
        min_length=1,
    )
    viability_percent: float = Field(
        92.0, title="Viability [%]", description="0 to 100, from the counter", ge=0, le=100
    )
    purity_percent: float = Field(
        95.0, title="CD56+CD3- [%]", description="0 to 100, share of viable cells, from the cytometer", ge=0, le=100
    )


class RunCytotoxicityAssay(BaseModel):
    """What to test."""

    model_config = ConfigDict(extra="forbid")

    samples: list[Sample] = Field([Sample()], title="Samples", description="Effectors to test; two fit one plate")
    target_line: str = Field(
        "K-562",
        title="Target line",
        description="Tumour line of the panel, spelled as its collection does: K-562, HL-60, SW480",
        min_length=1,
    )
    replicates: int = Field(2, title="Replicates", description="Wells per E:T and sample, 2 or 3", ge=2, le=3)
    effector_replicates: int = Field(
        1, title="Effector-only replicates", description="Control wells per E:T and sample, 1 to 3", ge=1, le=3
    )
    contact_minutes: float = Field(
        240.0, title="Contact time [min]", description="Effectors with targets, 230 to 250 min", ge=230, le=250
    )
    recipe: str = Field(
        "",
        title="Recipe",
        description="Recipe of the effectors: its limits of predicted error hold; empty takes the usual ones",
        max_length=120,
    )
    plate_prefix: str = Field(
        "",
        title="Plate label",
        description="Plates are labelled LABEL-1, LABEL-2, …; made from date and time when empty",
        max_length=60,
    )
    seed: int = Field(1, title="Seed", description="Order of the columns on the plates; saved with the layout", ge=0)
    reservation: str = reservation_field()
    bench: str = bench_field()

    @property
    def purpose(self) -> str:
        """What it is about, for the name of its run."""
        return " ".join(word for word in ("killing assay", self.plate_prefix, "against", self.target_line) if word)


@flow(name="run-cytotoxicity-assay", flow_run_name=run_name)
@fails_plainly
async def run_cytotoxicity_assay(
    request: RunCytotoxicityAssay = RunCytotoxicityAssay(),  # noqa: B008 - frozen default of the form
) -> list[AssayResult]:
    """Set up, read and analyse NK killing assays (LDH release) against one tumour line."""
    design = AssayDesign(
        target_line=request.target_line,
        replicates=request.replicates,
        effector_replicates=request.effector_replicates,
        contact_minutes=request.contact_minutes,
        seed=request.seed,
    )
    lots = {f"{sample.arm}/{sample.donor}": sample.source for sample in request.samples}
    async with open_session(HERE, request.bench) as session:

        def laid_out(label: str) -> tuple[PlateLayout, ...]:
            return lay_out_plates([_effectors(sample) for sample in request.samples], design, label)

        async def labelled() -> Label:
            label = await plate_label(session, request.plate_prefix)
            refuse_used_labels(session.records, laid_out(label))
            return Label(text=label)

        layouts = laid_out((await kept(session, "plate label", Label, labelled)).text)
        recipe = session.recipe(request.recipe) if request.recipe else None
        plans = [await _planned(session, layout, lots, recipe, request.reservation) for layout in layouts]
        results = []
        async with verified_ahead(session, [part.worklist for plan in plans for part in plan.parts]) as ahead:
            verdicts = iter(ahead)
            for layout, plan in zip(layouts, plans, strict=True):
                own = [next(verdicts) for _ in plan.parts]
                results.append(await _one_plate(session, layout, plan, own, request.reservation))
        await show_table(
            "assay-verdicts",
            [_verdict_row(result) for result in results],
            f"{_verdicts(results)}: plates and their verdicts",
        )
        return results


async def _planned(
    session: Session, layout: PlateLayout, lots: dict[str, str], recipe: Recipe | None, reservation: str
) -> CytotoxicityPlan:
    async def made() -> CytotoxicityPlan:
        return await plan_plate(session, layout, lots, recipe=recipe, reservation=reservation)

    return await planned(session, layout.barcode, CytotoxicityPlan, made, lambda plan: worklists_of(plan.parts))


def _effectors(sample: Sample) -> EffectorSample:
    return EffectorSample(
        name=f"{sample.arm}/{sample.donor}",
        arm=sample.arm,
        donor=sample.donor,
        viability_percent=sample.viability_percent,
        purity_percent=sample.purity_percent,
    )


async def _one_plate(
    session: Session,
    layout: PlateLayout,
    plan: CytotoxicityPlan,
    verdicts: Sequence[Awaitable[Verdict]],
    reservation: str,
) -> AssayResult:
    rows = effector_rows(plan.effectors)
    phase = f"killing assay {layout.barcode}"
    records = await carry_out_parts(
        session, plan.parts, phase=phase, plan_rows=rows, verdicts=verdicts, reservation=reservation
    )
    context = Context(campaign=session.campaign, round=session.round)
    asked, run_id = read_request(layout), records[-1].id
    # a flow that is resumed neither reads a plate twice nor counts it twice
    if (result := session.records.results.result_of(layout.barcode)) is not None:
        return result
    reading = session.records.results.reading_of(run_id) or await read_in_turn(
        session, asked, run_id=run_id, context=context
    )
    history, gone = reference_history(session.records, layout), discarded_wells(session.records, layout)
    result = analyse_reading(layout, reading, history, gone)
    session.records.results.add_result(result, context=context)
    await show_markdown("assay-result", assay_markdown(result), f"{result.verdict}: {layout.barcode}")
    return result


def _verdicts(results: Sequence[AssayResult]) -> str:
    """`2 accepted, 1 rejected`."""
    return ", ".join(f"{number} {verdict}" for verdict, number in Counter(one.verdict for one in results).items())


def _verdict_row(result: AssayResult) -> dict[str, object]:
    return {
        "plate": result.barcode,
        "target": result.target_line,
        "verdict": result.verdict,
        "Z'": None if result.z_prime is None else round(result.z_prime, 2),
        "reasons": "; ".join(result.reasons),
    }
