"""What several commands share: options, the workspace, JSON output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nkloop.workspace import Workspace

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]
WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", help="Folder with recipes, protocols, labware, devices and flows; or one inside it."),
]
BenchOption = Annotated[str, typer.Option("--bench", help="Bench to use: a file name in devices/ without .yaml.")]


def find_workspace(start: Path) -> Workspace:
    """The workspace that holds `start`.

    Raises:
        WorkspaceError: there is none.
    """
    from nkloop.workspace import Workspace

    return Workspace.find(start)


def print_json(value: Any) -> None:
    """Print a plain value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))
