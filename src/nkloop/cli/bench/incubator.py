"""`nkloop bench incubator`: what the list of an automated incubator says is inside, and putting it right."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, find_workspace, print_json, required_text

if TYPE_CHECKING:
    from nkloop.drivers.stations import KeptPlate

app = typer.Typer(no_args_is_help=True, help="See and correct which plates are in an automated incubator.")
BenchArgument = Annotated[str, typer.Argument(help="Bench with the incubator: a file name in devices/ without .yaml.")]


@app.command("list")
def list_(bench: BenchArgument, workspace: WorkspaceOption = Path(), json_output: JsonFlag = False) -> None:
    """List the plates that are inside by what was last seen, and what for; the incubator is not asked."""
    from nkloop.runs.incubator_list import before_told

    plates = asyncio.run(_listed(workspace, bench))
    if json_output:
        print_json({"plates": [one.model_dump(mode="json") for one in plates]})
        return
    for one in plates:
        typer.echo(f"{one.barcode}: {before_told(one)}")
    if not plates:
        typer.echo(f"The list of the incubator of {bench} is empty.")


@app.command("settle")
def settle(
    bench: BenchArgument,
    plate: Annotated[str, typer.Argument(help="Barcode of the plate.")],
    by: Annotated[str, typer.Option("--by", help="Your name.")],
    reason: Annotated[str, typer.Option("--reason", help="What you saw.")],
    inside: Annotated[
        bool | None, typer.Option("--inside/--out", help="Where the plate is: in its place inside, or out of it.")
    ] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Say where a plate is, after a crash in its way, or when you took out one that was inside for something else.

    Nothing moves: look first. Who said so and why stands in the records.
    """
    from nkloop.errors import RecordError

    by, reason = required_text(by, "--by", "your name"), required_text(reason, "--reason", "what you saw")
    if inside is None:
        raise RecordError(
            f"it is not said where plate {plate} is",
            where="nkloop bench incubator settle",
            remedy="look, then add --inside or --out",
        )
    told = asyncio.run(_settled(workspace, bench, plate, is_inside=inside, by=by, reason=reason))
    typer.echo(f"Recorded by {by}: {told}.")


async def _listed(workspace: Path, bench: str) -> tuple[KeptPlate, ...]:
    from nkloop.cli.run.playing import bench_opened
    from nkloop.runs.incubator_list import kept_plates

    async with bench_opened(find_workspace(workspace), bench, quiet=True) as session:
        return kept_plates(session.bench)


async def _settled(workspace: Path, bench: str, plate: str, *, is_inside: bool, by: str, reason: str) -> str:
    from nkloop.cli.run.playing import bench_opened
    from nkloop.runs.incubator_list import settle_plate

    async with bench_opened(find_workspace(workspace), bench, quiet=True) as session:
        return await settle_plate(session.bench, session.records, plate, is_inside=is_inside, by=by, reason=reason)
