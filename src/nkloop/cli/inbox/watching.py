"""`nkloop inbox watch` and `once`."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, on_one_line, print_json

if TYPE_CHECKING:
    from nkloop.runs.inbox import Outcome

Folder = Annotated[
    Path | None, typer.Argument(help="Folder to look into; the one of the bench's `inbox` block when not given.")
]


def watch(folder: Folder = None, bench: BenchOption = "virtual", workspace: WorkspaceOption = Path()) -> None:
    """Take files in as they come, until Ctrl+C; may be stopped and started at any moment, also twice."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watched(workspace, bench, folder))
    typer.echo("Stopped.")


async def _watched(workspace: Path, bench: str, folder: Path | None) -> None:
    from nkloop.cli.inbox.opening import opened

    async with opened(workspace, bench, folder) as inbox:
        typer.echo(f"Watching {inbox.folder} for bench {bench}. Ctrl+C stops it.")
        async for outcome in inbox.watch(on_trouble=_tell_trouble):
            typer.echo(_line(outcome))


def _tell_trouble(trouble: str) -> None:
    typer.secho(f"error: {trouble}", fg=typer.colors.RED, err=True)


def once(
    folder: Folder = None,
    json_output: JsonFlag = False,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
) -> None:
    """Take in what lies in the folder now; exit code 1 when a file was put aside."""
    outcomes = asyncio.run(_once(workspace, bench, folder))
    if json_output:
        print_json({"files": [asdict(one) for one in outcomes]})
    else:
        for outcome in outcomes:
            typer.echo(_line(outcome))
        if not outcomes:
            typer.echo("No file to take in.")
    if any(one.state == "quarantined" for one in outcomes):
        raise typer.Exit(1)


async def _once(workspace: Path, bench: str, folder: Path | None) -> tuple[Outcome, ...]:
    from nkloop.cli.inbox.opening import opened

    async with opened(workspace, bench, folder) as inbox:
        return await inbox.once()


def _line(outcome: Outcome) -> str:
    name = on_one_line(outcome.name)
    if outcome.state == "recorded":
        return f"recorded     {name}: {', '.join(outcome.barcodes)}"
    if outcome.state == "known":
        return f"known        {name}: {outcome.reason}; not read again"
    return f"QUARANTINE   {name}: {outcome.reason}"
