"""Run rounds of arms against the reference recipe: media, doses, cultures, killing assays, a proposal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from dose_cytokines import ArmDose, DoseCytokines, Factor, Well, dose_cytokines
from improve_recipe import ImproveRecipe, improve_recipe
from nkloop.assays.measurements import CellCount
from nkloop.assays.models import AssayResult
from nkloop.assays.panel import check_lines, line_named
from nkloop.coordination.artifacts import show_table
from nkloop.coordination.plain_errors import fails_plainly
from nkloop.coordination.run_artifacts import show_told
from nkloop.coordination.run_names import run_name
from nkloop.coordination.served import bench_field
from nkloop.coordination.work import carry_out_parts
from nkloop.feedback import Campaign
from nkloop.feedback.models import Arm, Round
from nkloop.recipes.models import ProcessStep, Recipe
from nkloop.reports.tables import arm_rows, composition_rows, observation_rows
from nkloop.runs.campaign import (
    begin_round,
    campaign_outcome,
    count_cells,
    enough_for_assay,
    grown_arms,
    interruption_noted,
    observe_round,
    open_campaign,
    report_path,
    start_culture,
)
from nkloop.runs.culture import Culture, Feeding, feeding_schedule, medium_needed_ml
from nkloop.runs.killing import AssayDesign
from nkloop.runs.process_steps import additions_of, plan_step
from nkloop.runs.session import Session, open_session
from nkloop.worklists.constants import Constants, dosed_into_media
from nkloop.worklists.plans import WellFeeding
from prepare_medium import PrepareMedium, prepare_medium
from run_cytotoxicity_assay import RunCytotoxicityAssay, Sample, run_cytotoxicity_assay

HERE = Path(__file__).resolve().parent


class RunCampaign(BaseModel):
    """How much to try."""

    model_config = ConfigDict(extra="forbid")

    campaign: str = Field(
        "campaign-1",
        title="Campaign",
        description="A new name of up to 40 small letters, digits and dashes, as nk-spring-2",
        pattern=r"^[a-z0-9-]{1,40}$",
    )
    recipe: str = Field("ucb-nk", title="Recipe", description="Published or approved recipe", min_length=1)
    rounds: int = Field(
        2, title="Rounds", description="1 to 10; one takes the length of the culture plus a day", ge=1, le=10
    )
    arms: int = Field(
        6, title="Arms", description="Recipe variants per round, the reference included, 2 to 12", ge=2, le=12
    )
    donors: int = Field(
        2, title="Donors", description="Cord units per round, each tried with every arm, 1 to 4", ge=1, le=4
    )
    target_line: str = Field(
        "K-562",
        title="Target line",
        description="Tumour line of the panel, spelled as its collection does: K-562",
        min_length=1,
    )
    feeding: Literal["recipe", "weekly"] = Field(
        "recipe", title="Feeding", description="recipe: as often as the recipe says; weekly: every 7 days"
    )
    constant: Constants = Field(
        "auto",
        title="What all arms have alike",
        description="base: the base medium brings it; dose: arm by arm; auto: base, as fresh media are on target so",
    )
    seed: int = Field(1, title="Seed", description="Seed of designs and layouts; saved with the campaign", ge=0)
    ask_approval: bool = Field(True, title="Ask for approval", description="Pause at the end until a person decides")
    bench: str = bench_field()

    @property
    def purpose(self) -> str:
        """What it is about, for the name of its run."""
        return f"campaign {self.campaign}: {self.recipe}, {self.rounds} × {self.arms} arms"


@flow(name="run-campaign", flow_run_name=run_name)
@fails_plainly
async def run_campaign(request: RunCampaign = RunCampaign()) -> dict[str, Any]:  # noqa: B008 - default of the form
    """Run rounds of arms against the reference recipe: media, doses, cultures, killing assays, a proposal."""
    async with open_session(HERE, request.bench) as session:
        line = line_named(request.target_line).name  # refused now, not after weeks of culture
        check_lines([line], session.lines, await session.today())
        recipe = session.recipe(request.recipe)
        campaign = await open_campaign(
            session, request.campaign, recipe, n_arms=request.arms, seed=request.seed, note=_note(request)
        )
        with interruption_noted(session, request.campaign):
            for number in range(1, request.rounds + 1):
                await _round(session, request, recipe, campaign, number)
            await improve_recipe(
                ImproveRecipe(campaign=request.campaign, ask_approval=request.ask_approval, bench=request.bench)
            )
        return campaign_outcome(
            session.records, request.campaign, report_path(session.workspace.state, request.campaign)
        )


def _note(request: RunCampaign) -> str:
    if request.feeding == "recipe":
        return ""
    return "Cultures were fed weekly, less often than the recipe says, so all folds are lower than a recipe run gives."


async def _round(session: Session, request: RunCampaign, recipe: Recipe, campaign: Campaign, number: int) -> None:
    """Grow, count and test the arms of one round."""
    donors = [f"U{(number - 1) * request.donors + k + 1}" for k in range(request.donors)]
    arms = await begin_round(session, campaign, donors)
    await show_table("arms", arm_rows(arms, recipe), f"Arms of round {number}: factors against the reference")
    culture = await start_culture(session, request.campaign, arms, request.seed + number)
    await _grow(session, request, recipe, arms, culture)
    counts = await count_cells(session, culture)
    results = await _killing(session, request, culture, counts)
    seen = await observe_round(session, campaign, arms, culture, counts, results)
    await show_table("observations", observation_rows(seen), f"Observations of round {number}")


async def _grow(session: Session, request: RunCampaign, recipe: Recipe, arms: Round, culture: Culture) -> None:
    """Seed, feed and split the culture until its harvest."""
    schedule = feeding_schedule(recipe, 7.0 if request.feeding == "weekly" else None)
    grown, steps = grown_arms(session, arms), list(additions_of(recipe))
    medium: tuple[str, str, float] | None = None  # barcode, stage, day of preparation
    for feeding in schedule:
        while steps and steps[0][1].day < feeding.day:
            await _add(session, recipe, *steps.pop(0), culture, grown)
        session.progress.day = feeding.day
        session.tell(f"round {arms.number}: culture")
        await session.wait_until(culture.time_of(feeding.day))
        stage = recipe.stage(feeding.stage_id)
        wells, density = culture.seeding(stage) if feeding.day == 0 else ((), 1000.0)
        if not wells:
            wells = culture.feed(await count_cells(session, culture), stage, feeding)
        if medium is None or medium[1] != stage.id or feeding.day - medium[2] > stage.medium.shelf_life.to("d"):
            dosed = dosed_into_media(recipe, stage.id, grown, request.constant)
            medium = (
                await _medium_for(session, request, recipe, culture, feeding, schedule, dosed),
                stage.id,
                feeding.day,
            )
        await dose_cytokines(
            DoseCytokines(
                recipe=request.recipe,
                stage=stage.id,
                plate=culture.barcode,
                arms=[
                    ArmDose(name=a.name, factors=[Factor(component=k, factor=v) for k, v in a.factors.items()])
                    for a in grown
                ],
                wells=[_well(well) for well in wells],
                seeding_cells_per_ul=density,
                base_medium=medium[0],
                constant=request.constant,
                aim="medium",
                seed=request.seed,
                bench=request.bench,
            )
        )
    for stage_id, step in steps:
        await _add(session, recipe, stage_id, step, culture, grown)
    session.progress.day = recipe.days
    session.tell(f"round {arms.number}: harvest")
    await session.wait_until(culture.started_at + timedelta(days=recipe.days))


async def _add(
    session: Session, recipe: Recipe, stage_id: str, step: ProcessStep, culture: Culture, arms: Sequence[Arm]
) -> None:
    """A process step that adds something, such as a vector, to the wells whose arm goes through it."""
    session.progress.day = step.day
    await session.wait_until(culture.time_of(step.day))
    plan = await plan_step(session, recipe, stage_id, step, culture, await count_cells(session, culture), arms)
    await show_told(plan, f"{step.title} of {culture.barcode}")
    rows = composition_rows(plan.composition)
    await carry_out_parts(session, plan.parts, phase=f"{step.title.lower()}: {culture.barcode}", plan_rows=rows)


async def _medium_for(
    session: Session,
    request: RunCampaign,
    recipe: Recipe,
    culture: Culture,
    feeding: Feeding,
    schedule: tuple[Feeding, ...],
    dosed: tuple[str, ...],
) -> str:
    """Base medium for the feedings of this stage within its shelf life, without what the arms add."""
    stage = recipe.stage(feeding.stage_id)
    keeps = stage.medium.shelf_life.to("d")
    served = [f for f in schedule if f.stage_id == stage.id and 0 <= f.day - feeding.day <= keeps]
    volume = medium_needed_ml(recipe, stage, len(culture.wells), len(served), is_seeding=feeding.day == 0)
    made = await prepare_medium(
        PrepareMedium(
            recipe=request.recipe,
            stage=stage.id,
            volume_ml=volume,
            leave_out=list(dosed),
            barcode=f"{culture.barcode}-{stage.id}-d{feeding.day:g}",
            bench=request.bench,
        )
    )
    return made.barcode


async def _killing(
    session: Session, request: RunCampaign, culture: Culture, counts: dict[str, CellCount]
) -> list[AssayResult]:
    """Killing assays of all wells that gave enough cells."""
    enough = enough_for_assay(culture, counts, AssayDesign())
    samples = [
        Sample(
            arm=p.arm,
            donor=p.donor,
            source=f"harvest:{culture.barcode}:{p.well}",
            viability_percent=counts[p.well].viability_percent,
            purity_percent=counts[p.well].purity_percent,
        )
        for p in culture.positions
        if p.well in enough
    ]
    prefix = f"{culture.barcode.removesuffix('-culture')}-killing"
    return await run_cytotoxicity_assay(
        RunCytotoxicityAssay(
            samples=samples,
            target_line=request.target_line,
            recipe=request.recipe,
            plate_prefix=prefix,
            seed=request.seed,
            bench=request.bench,
        )
    )


def _well(well: WellFeeding) -> Well:
    return Well(
        well=well.well,
        arm=well.arm,
        donor=well.donor,
        remove_ul=well.remove_ul,
        is_split=well.mixed,
        add_ul=well.add_ul,
        seed_ul=well.seed_ul,
    )
