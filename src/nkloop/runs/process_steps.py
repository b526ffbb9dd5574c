"""Process steps of a recipe that add something to a culture plate: planned from counts and what the wells hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from nkloop.assays.measurements import CellCount
from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.labware.bags import BagCatalogue
from nkloop.recipes.models import ProcessStep, Recipe
from nkloop.runs.contents import known_contents
from nkloop.runs.culture import PLATE, Culture
from nkloop.runs.reserved_plans import plan_on_stock
from nkloop.runs.session import Session
from nkloop.worklists.addition_plans import AdditionPlan, AdditionRequest, AdditionVessel
from nkloop.worklists.additions import plan_addition
from nkloop.worklists.allowed_errors import allowed_errors


def additions_of(recipe: Recipe) -> tuple[tuple[str, ProcessStep], ...]:
    """Stage and step of everything the recipe adds besides media, in the order of the days."""
    found = [(stage.id, step) for stage in recipe.stages for step in stage.process if step.kind == "add"]
    return tuple(sorted(found, key=lambda one: one[1].day))


async def plan_step(
    session: Session,
    recipe: Recipe,
    stage_id: str,
    step: ProcessStep,
    culture: Culture,
    counts: Mapping[str, CellCount],
    arms: Sequence[Arm],
) -> AdditionPlan:
    """Plan a step for a culture plate as it stands.

    Args:
        session: bench and records.
        recipe: whose step it is.
        stage_id: its stage.
        step: of kind `add`.
        culture: the plate.
        counts: cells of every well, now.
        arms: of the plate, the recipe's controls among them.

    Raises:
        PlanError: a well was not counted, or the volume cannot be given.
        ShortageError: no valid lot holds enough.
        StepUnknownError: nobody knows what the plate holds.
    """
    now = await session.bench.clock.now()
    request = AdditionRequest(
        name=f"{step.title}, {culture.barcode}, {now:%Y-%m-%d}",
        recipe=recipe,
        stage_id=stage_id,
        step_id=step.id,
        arms=tuple(arms),
        vessels=tuple(_vessels(session, culture, counts)),
        plate_barcode=culture.barcode,
        plate_load_name=PLATE,
        use_until=(now + timedelta(days=1)).date(),
        error_limits=allowed_errors(recipe.error_limits, session.bench_file.deck),
    )
    bags = BagCatalogue.load(session.workspace.labware)
    return plan_on_stock(
        session,
        now,
        lambda stocks: plan_addition(request, stocks, session.bench_file.deck, session.catalogue, bags),
    )


def _vessels(session: Session, culture: Culture, counts: Mapping[str, CellCount]) -> Iterator[AdditionVessel]:
    held = known_contents(session.records, session.catalogue, session.bench_file.deck, culture.barcode)
    for position in culture.positions:
        count, contents = counts.get(position.well), held.wells[position.well]
        if count is None or count.viable_cells <= 0:
            raise PlanError(
                f"well {position.well} of {culture.barcode} has no viable cells counted",
                where=position.well,
                remedy="count it again, or take the well out of the culture",
            )
        yield AdditionVessel(
            vessel=position.well,
            arm=position.arm,
            donor=position.donor,
            volume_ul=contents.volume_ul,
            cells_per_ul=count.viable_per_ml / 1000,
            per_ul=dict(contents.per_ul),
        )
