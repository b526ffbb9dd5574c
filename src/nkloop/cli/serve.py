"""`nkloop serve`: Prefect server, virtual bench and deployments until Ctrl+C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nkloop.cli.common import BenchOption, WorkspaceOption, find_workspace


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Prefect user interface.")] = 4200,
    bench: BenchOption = "virtual",
    speed: Annotated[
        float, typer.Option(min=0, help="Virtual bench: times faster than the real robot; 0 is as fast as possible.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Virtual bench: seed of everything random.")] = 1,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Start a Prefect server, the virtual bench and one deployment per flow; stop everything with Ctrl+C."""
    from nkloop.cli.serving import Service

    Service(find_workspace(workspace), bench=bench, port=port, speed=speed, seed=seed).run()
