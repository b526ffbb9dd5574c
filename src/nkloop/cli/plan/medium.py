"""`nkloop plan medium`: a batch of complete or base medium."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace
from nkloop.cli.plan.answer import CsvOption, LotsOption, answer
from nkloop.cli.plan.papers import LabelsOption, SheetOption

if TYPE_CHECKING:
    from nkloop.cli.plan.planned import Planned
    from nkloop.labware import Catalogue
    from nkloop.workspace import Workspace


def medium(
    recipe: Annotated[str, typer.Option("--recipe", help="File name in recipes/ without .yaml.")],
    stage: Annotated[str, typer.Option("--stage", help="Stage of the recipe, for example expansion_i.")],
    volume: Annotated[str, typer.Option("--volume", help='Volume that can be used, with unit: "100 mL".')],
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", help="Component the arms add later; may be given several times.")
    ] = None,
    lots: LotsOption = None,
    csv: CsvOption = None,
    sheet: SheetOption = None,
    labels: LabelsOption = None,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Plan a batch of medium: transfers, expected composition, lots, and the verdict of the three checks."""
    import asyncio

    from nkloop.labware import Catalogue

    found = find_workspace(workspace)
    catalogue = Catalogue.load(found.labware)
    planned = asyncio.run(_planned(found, catalogue, recipe, stage, volume, tuple(leave_out or ()), lots, bench))
    answer(planned, catalogue, csv=csv, json_output=json_output, sheet=sheet, labels=labels)


async def _planned(
    found: Workspace,
    catalogue: Catalogue,
    recipe: str,
    stage: str,
    volume: str,
    leave_out: tuple[str, ...],
    lots: Path | None,
    bench: str,
) -> Planned:
    from nkloop.cli.plan.planned import Planned, protocol_of, verified
    from nkloop.drivers.bench import load_bench_file
    from nkloop.inventory import Inventory
    from nkloop.quantities import Amount
    from nkloop.recipes import find_recipe
    from nkloop.runs.media import shelf_life
    from nkloop.runs.session import bench_path
    from nkloop.worklists.duration import estimate_minutes
    from nkloop.worklists.medium import plan_medium

    path = bench_path(found, bench)
    file = load_bench_file(path)
    inventory = Inventory.load(lots or (path.parent / file.lots))
    today = date.today()
    known = find_recipe(found.recipes, recipe)
    plan = plan_medium(
        known,
        stage,
        Amount.parse(volume),
        inventory,
        file.deck,
        catalogue,
        omit=leave_out,
        use_until=today + shelf_life(known, stage),
        today=today,
        destination_barcode=f"medium-{stage}",
    )
    parts = (plan.worklist,)
    cost = inventory.cost({lot.lot: lot.volume_ul for lot in plan.lots})
    return Planned(
        title=plan.worklist.name,
        parts=parts,
        composition=plan.composition,
        lots=plan.lots,
        warnings=plan.warnings,
        notes=(),
        verdicts=await verified(parts, found, catalogue, file),
        protocol=protocol_of(parts, found),
        robot_minutes=tuple(estimate_minutes(part, file.deck) for part in parts),
        price_eur=None if cost.without_price else round(cost.eur, 2),
        deck=file.deck,
        simulated=file.simulated,
    )
