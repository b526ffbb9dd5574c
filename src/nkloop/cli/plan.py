"""`nkloop plan`: a worklist and what it gives, without touching a robot."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace, print_json, write_file

if TYPE_CHECKING:
    from nkloop.worklists.models import Verdict
    from nkloop.worklists.plans import MediumPlan

app = typer.Typer(no_args_is_help=True, help="Plan a worklist and see what it gives, without touching a robot.")


@app.callback()
def _plan() -> None:
    """Keep `medium` a subcommand while it is the only one."""


@app.command()
def medium(
    recipe: Annotated[str, typer.Option("--recipe", help="File name in recipes/ without .yaml.")],
    stage: Annotated[str, typer.Option("--stage", help="Stage of the recipe, for example expansion_i.")],
    volume: Annotated[str, typer.Option("--volume", help='Volume that can be used, with unit: "100 mL".')],
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", help="Component the arms add later; may be given several times.")
    ] = None,
    lots: Annotated[Path | None, typer.Option("--lots", help="Lot list; the bench's own when not given.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the worklist for the robot to this file.")] = None,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Plan a batch of medium: transfers, expected composition, lots, and the verdict of the three checks."""
    import asyncio

    plan, verdict = asyncio.run(_planned(recipe, stage, volume, tuple(leave_out or ()), lots, bench, workspace))
    if csv is not None and verdict.passed:
        from nkloop.worklists.csv_format import to_csv

        write_file(csv, to_csv(plan.worklist))
    if json_output:
        print_json(_plain(plan, verdict))
    else:
        _show(plan, verdict, csv)
    if not verdict.passed:
        raise typer.Exit(1)


async def _planned(
    recipe: str, stage: str, volume: str, leave_out: tuple[str, ...], lots: Path | None, bench: str, workspace: Path
) -> tuple[MediumPlan, Verdict]:
    from nkloop.drivers.bench import load_bench_file
    from nkloop.inventory import Inventory
    from nkloop.labware import Catalogue
    from nkloop.quantities import Amount
    from nkloop.recipes import find_recipe
    from nkloop.runs.media import SHELF_LIFE_DAYS
    from nkloop.runs.session import bench_path
    from nkloop.runs.verification import Verifier
    from nkloop.vendor import VendorClient
    from nkloop.worklists.medium import plan_medium

    found = find_workspace(workspace)
    path = bench_path(found, bench)
    file = load_bench_file(path)
    catalogue = Catalogue.load(found.labware)
    today = date.today()
    plan = plan_medium(
        find_recipe(found.recipes, recipe),
        stage,
        Amount.parse(volume),
        Inventory.load(lots or (path.parent / file.lots)),
        file.deck,
        catalogue,
        omit=leave_out,
        use_until=today + timedelta(days=SHELF_LIFE_DAYS),
        today=today,
        destination_barcode=f"medium-{stage}",
    )
    async with VendorClient(cache=found.state / "analyses") as vendor:
        return plan, await Verifier(found, catalogue, file.deck, vendor).verify(plan.worklist)


def _plain(plan: MediumPlan, verdict: Verdict) -> dict[str, object]:
    return {
        "transfers": [step.model_dump(mode="json", exclude_defaults=True) for step in plan.worklist.steps],
        "composition": [row.model_dump(mode="json") for row in plan.composition],
        "lots": [row.model_dump(mode="json") for row in plan.lots],
        "warnings": list(plan.warnings),
        "verdict": {"passed": verdict.passed, "checks": [check.model_dump(mode="json") for check in verdict.checks]},
    }


def _show(plan: MediumPlan, verdict: Verdict, csv: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("component", "target", "expected", "deviation", title=plan.worklist.name, title_justify="left")
    for row in plan.composition:
        table.add_row(
            row.component,
            f"{row.target:g} {row.unit}",
            f"{row.expected:.4g} {row.unit}",
            f"{row.deviation_percent:+.2f} %",
        )
    console.print(table)
    taken = Table("lot", "component", "put on deck", "drawn", title="Lots", title_justify="left")
    for lot in plan.lots:
        taken.add_row(lot.lot, lot.component, f"{lot.volume_ul:,.1f} µL", f"{lot.drawn_ul:,.1f} µL")
    console.print(taken)
    steps = plan.worklist.steps
    console.print(f"{len(steps)} steps, {plan.worklist.n_transfers} transfers.")
    for warning in plan.warnings:
        console.print(f"[yellow]warning:[/] {warning}")
    for check in verdict.checks:
        mark = "[green]passed[/]" if check.passed else "[red]FAILED[/]"
        console.print(f"{mark} {check.check} ({check.seconds:.2f} s)")
        for problem in check.problems:
            console.print(f"  {problem['where']}: {problem['message']}. Remedy: {problem['remedy']}", soft_wrap=True)
    if not verdict.passed:
        console.print("[red]Refused; no worklist was written.[/]")
    else:
        console.print(f"Worklist for the robot: {csv}" if csv else "Write the worklist for the robot with --csv FILE.")
