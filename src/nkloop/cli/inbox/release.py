"""`nkloop inbox release`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, WorkspaceOption, on_one_line

if TYPE_CHECKING:
    from nkloop.runs.inbox import Outcome


def release(
    file: Annotated[str, typer.Argument(help="Name of the file in quarantine, or its hash as `inbox list` shows it.")],
    plate: Annotated[str, typer.Option("--plate", help="Barcode of the plate it is; somebody must wait for it.")],
    by: Annotated[str, typer.Option("--by", help="Your name.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is this plate.")],
    bench: BenchOption = "virtual",
    folder: Annotated[
        Path | None, typer.Option("--folder", help="The watched folder, when it is not the one of the bench file.")
    ] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Say which plate a file in quarantine is; wells, mode and wavelength must still be right."""
    from nkloop.errors import RecordError

    for name, value in (("--by", by), ("--reason", reason)):
        if not value.strip():
            raise RecordError(f"{name} is empty", where="nkloop inbox release", remedy="say who assigns it and why")
    outcome = asyncio.run(_released(workspace, bench, folder, file, plate, by.strip(), reason.strip()))
    name, plates = on_one_line(outcome.name), ", ".join(outcome.barcodes)
    typer.echo(f"Recorded {name} as plate {plates}, assigned by {by.strip()}.")


async def _released(
    workspace: Path, bench: str, folder: Path | None, file: str, plate: str, by: str, reason: str
) -> Outcome:
    from nkloop.cli.inbox.opening import opened

    async with opened(workspace, bench, folder) as inbox:
        return await inbox.release(file, plate, by=by, reason=reason)
