"""`nkloop init`: a workspace of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nkloop.cli.common import command_name


def init(
    directory: Annotated[Path, typer.Argument(help="New or empty folder to make the workspace in.")],
) -> None:
    """Make a workspace: recipes, protocols, labware, devices and flows to edit and run."""
    from nkloop.workspace import Workspace

    workspace = Workspace.create(directory)
    typer.echo(f"Workspace made in {workspace.root}.")
    typer.echo(f"Next: {command_name()} check --workspace {workspace.root}")
