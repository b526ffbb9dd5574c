"""`nkloop recipe sop`: the procedure a person follows by hand, made by the planner that makes the robot's work."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, WorkspaceOption, find_workspace, write_file
from nkloop.cli.plan.answer import LotsOption
from nkloop.cli.recipe.loading import Name, load

if TYPE_CHECKING:
    from nkloop.recipes.models import Recipe
    from nkloop.reports.sop import StageMedium


def sop(
    name: Name,
    volume: Annotated[str, typer.Option("--volume", help='Usable medium per stage, with unit: "100 mL".')] = "100 mL",
    stage: Annotated[list[str] | None, typer.Option("--stage", help="Only this stage; may be given again.")] = None,
    lots: LotsOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the Markdown to this file.")] = None,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
) -> None:
    """Write the procedure to follow by hand: volumes from the lots at hand, order, controls, sign-off places."""
    from nkloop.errors import RecipeError
    from nkloop.reports.sop import sop as written
    from nkloop.yamlfile.problems import did_you_mean

    recipe = load(name, workspace)
    wanted = tuple(stage or recipe.stage_ids)
    for one in wanted:
        if one not in recipe.stage_ids:
            remedy = did_you_mean(one, recipe.stage_ids) or f"use {', '.join(recipe.stage_ids)}"
            raise RecipeError(f"{recipe.id} has no stage '{one}'", where="--stage", remedy=remedy)
    text = written(recipe, _media(recipe, wanted, volume, lots, bench, workspace), made_at=datetime.now(UTC))
    if out is None:
        typer.echo(text)
        return
    write_file(out, text)
    typer.echo(f"Procedure of {recipe.revision_id} for {volume} medium: {out}")


def _media(
    recipe: Recipe, stages: tuple[str, ...], volume: str, lots: Path | None, bench: str, workspace: Path
) -> dict[str, StageMedium]:
    """The planned medium of each stage, with the lots it takes."""
    from nkloop.drivers.bench import load_bench_file
    from nkloop.labware import Catalogue
    from nkloop.quantities import Amount
    from nkloop.reports.sop import StageMedium
    from nkloop.runs.media import shelf_life
    from nkloop.runs.session import bench_path
    from nkloop.runs.stock import lots_for
    from nkloop.worklists.medium import plan_medium

    found = find_workspace(workspace)
    file = load_bench_file(bench_path(found, bench))
    inventory = lots_for(found, bench, lots=lots)
    catalogue, today, amount = Catalogue.load(found.labware), datetime.now(UTC).date(), Amount.parse(volume)
    made = {}
    for stage in stages:
        plan = plan_medium(
            recipe,
            stage,
            amount,
            inventory,
            file.deck,
            catalogue,
            use_until=today + shelf_life(recipe, stage),
            today=today,
            destination_barcode=f"medium-{stage}",
        )
        made[stage] = StageMedium.of(plan, inventory, catalogue, amount)
    return made
