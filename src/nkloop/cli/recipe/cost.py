"""`nkloop recipe cost`: what media, a batch and its arms cost at the prices of the lots at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace, print_json
from nkloop.cli.plan.answer import LotsOption
from nkloop.cli.recipe.loading import Name, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nkloop.feedback.models import Arm
    from nkloop.quantities import Amount
    from nkloop.recipes.models import Recipe
    from nkloop.runs.costs import MediumCost


def cost(
    name: Name,
    volume: Annotated[
        list[str], typer.Option("--volume", help='Complete medium a stage takes in all: expansion_i="300 mL"; repeat.')
    ],
    arms: Annotated[Path | None, typer.Option("--arms", help="Arm table, CSV or XLSX: cost of each arm, too.")] = None,
    arms_stage: Annotated[
        str | None, typer.Option("--arms-stage", help="Stage the arm table is for; the first with a volume by default.")
    ] = None,
    cells: Annotated[
        list[str] | None,
        typer.Option("--cells", help='Viable cells a process step is done with, for amounts per cell: vector="5e7".'),
    ] = None,
    lots: LotsOption = None,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Tell what the media of a batch cost per stage and component, and what each arm costs; without dead volumes.

    The arms of the recipe itself are told, too, with the process steps they go through.
    """
    from nkloop.runs.costs import arm_cost, batch_cost, medium_cost, way_cost
    from nkloop.runs.stock import lots_for
    from nkloop.worklists.arm_table import read_arm_table

    recipe = load(name, workspace)
    volumes = _volumes(recipe, volume)
    inventory = lots_for(find_workspace(workspace), bench, lots=lots)
    variants: tuple[Arm, ...] = ()
    if arms is not None:
        stage_id = _stage(recipe, arms_stage) if arms_stage else next(iter(volumes))
        variants = read_arm_table(arms, recipe, stage_id, more={lot.component for lot in inventory.lots})
    stages = {stage: medium_cost(recipe, stage, amount, inventory) for stage, amount in volumes.items()}
    batch = batch_cost(recipe, volumes, inventory)
    of_arms = {arm.name: arm_cost(recipe, arm, volumes, inventory) for arm in variants if arm.origin != "control"}
    counted = _cells(recipe, volumes, cells or [])
    of_arms |= {way.id: way_cost(recipe, way, volumes, counted, inventory) for way in recipe.arms}
    if json_output:
        print_json(_plain(recipe, stages, batch, of_arms))
    else:
        _show(recipe, volumes, stages, batch, of_arms)


def _volumes(recipe: Recipe, given: list[str]) -> dict[str, Amount]:
    """Volume per stage.

    Raises:
        RecipeError: an unknown stage, one named twice, or no volume; all at once.
        QuantityError: a volume cannot be read.
    """
    from nkloop.errors import Problem, RecipeError
    from nkloop.quantities import Amount, Kind

    volumes: dict[str, Amount] = {}
    problems = []
    for text in given:
        stage, equals, amount = (part.strip() for part in text.partition("="))
        if not equals:
            problems.append(Problem(f"'{text}' names no stage", "--volume", f'write {recipe.stage_ids[0]}="300 mL"'))
            continue
        if stage not in recipe.stage_ids:
            told = f"{recipe.id} has no stage '{stage}'"
            problems.append(Problem(told, "--volume", f"use {', '.join(recipe.stage_ids)}"))
        elif stage in volumes:
            problems.append(Problem(f"stage {stage} is given twice", "--volume", "give the sum of its feedings once"))
        read = Amount.parse(amount)
        if read.kind is not Kind.VOLUME or read.magnitude <= 0:
            problems.append(Problem(f"{read} is not a volume above 0", f"--volume {stage}", "write for example 300 mL"))
        volumes[stage] = read
    if problems:
        raise RecipeError.from_problems(problems)
    return volumes


def _cells(recipe: Recipe, volumes: Mapping[str, Amount], given: list[str]) -> dict[str, float]:
    """Cells per process step.

    Raises:
        RecipeError: an unknown step, or no number of cells; all at once.
    """
    from nkloop.errors import Problem, RecipeError

    steps = [step.id for stage in volumes for step in recipe.stage(stage).process if step.component]
    found: dict[str, float] = {}
    problems = []
    for text in given:
        step, _, number = (part.strip() for part in text.partition("="))
        if step not in steps:
            told = f"no stage with a volume has a process step '{step}' that adds something"
            problems.append(Problem(told, "--cells", f"use {', '.join(steps)}" if steps else "leave it out"))
            continue
        try:
            found[step] = float(number)
        except ValueError:
            found[step] = 0.0
        if not 0 < found[step] < float("inf"):
            problems.append(Problem(f"'{number}' is no number of cells above 0", f"--cells {step}", "write 5e7"))
    if problems:
        raise RecipeError.from_problems(problems)
    return found


def _stage(recipe: Recipe, stage: str) -> str:
    from nkloop.worklists.dosing_request import stage_of

    return stage_of(recipe, stage, "--arms-stage").id


def _plain(
    recipe: Recipe, stages: Mapping[str, MediumCost], batch: MediumCost, of_arms: Mapping[str, MediumCost]
) -> dict[str, Any]:
    def told(one: MediumCost) -> dict[str, Any]:
        return {
            "volume_ul": one.volume_ul,
            "cost_eur": round(one.cost_eur, 2),
            "eur_per_component": {name: round(eur, 4) for name, eur in one.eur_per_component.items()},
            "without_price": list(one.without_price),
        }

    return {
        "revision": recipe.revision_id,
        "stages": {stage: told(one) for stage, one in stages.items()},
        "batch": told(batch),
        "arms": {name: {**told(one), "factor": _factor(one, batch)} for name, one in of_arms.items()},
    }


def _factor(arm: MediumCost, batch: MediumCost) -> float | None:
    return round(arm.cost_eur / batch.cost_eur, 4) if batch.cost_eur else None


def _show(
    recipe: Recipe,
    volumes: Mapping[str, Amount],
    stages: Mapping[str, MediumCost],
    batch: MediumCost,
    of_arms: Mapping[str, MediumCost],
) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(highlight=False)
    heads = [Column(f"{stage}\n{volumes[stage]}", justify="right") for stage in stages]
    title = f"Media of {recipe.revision_id}, EUR"
    table = Table("component", *heads, Column("batch", justify="right"), title=title, title_justify="left")
    for name in dict.fromkeys((*batch.eur_per_component, *batch.without_price)):
        cells = [_eur(one, name) for one in (*stages.values(), batch)]
        table.add_row(name, *cells)
    table.add_section()
    table.add_row("sum", *(f"{one.cost_eur:.2f}" for one in (*stages.values(), batch)))
    console.print(table)
    if of_arms:
        own = (Column("EUR", justify="right"), Column("of the batch", justify="right"), "not in the sum")
        arms = Table("arm", *own)
        for name, one in of_arms.items():
            factor = _factor(one, batch)
            missing = ", ".join(sorted(set(one.without_price) - set(batch.without_price)))
            arms.add_row(name, f"{one.cost_eur:.2f}", "" if factor is None else f"{factor:.3g}", missing)
        console.print(arms)
    if batch.without_price:
        console.print(f"Not in the sums, no lot has a price: {', '.join(batch.without_price)}.", soft_wrap=True)
    console.print("Prices of the lots at hand; dead volumes and tips are not counted (`nkloop plan` counts them).")


def _eur(one: MediumCost, name: str) -> str:
    if name in one.without_price:
        return "no price"
    return f"{one.eur_per_component[name]:.2f}" if name in one.eur_per_component else ""
