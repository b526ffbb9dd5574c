"""`nkloop virtual-robot`: the virtual bench by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nkloop.cli.common import BenchOption, WorkspaceOption, find_workspace


def virtual_robot(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 31950,
    speed: Annotated[
        float, typer.Option(min=0, help="Times faster than the real robot; 0 runs as fast as possible.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random on the bench.")] = 1,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
) -> None:
    """Serve a virtual bench that answers as an Opentrons Flex does, until Ctrl+C."""
    from nkloop.virtual.server import serve_virtual_bench

    def announce(url: str) -> None:
        typer.echo(f"Virtual bench '{bench}' at {url} (Opentrons routes at the root, the bench under /virtual).")
        typer.echo(f"For flows and checks: export NKLOOP_VIRTUAL_URL={url}   Ctrl+C stops it.")

    serve_virtual_bench(find_workspace(workspace).root, port, speed, seed, bench, announce=announce)
