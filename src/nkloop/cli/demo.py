"""`nkloop demo`: the whole loop on the virtual bench, in a fresh workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nkloop.cli.common import JsonFlag


def demo(
    rounds: Annotated[int, typer.Option(min=1, max=10, help="Rounds of arms against the reference.")] = 2,
    arms: Annotated[int, typer.Option(min=2, max=12, help="Arms per round, the reference included.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same numbers.")] = 1,
    feeding: Annotated[
        Literal["weekly", "recipe"],
        typer.Option(help="weekly feeds once a week to be quick; recipe feeds as often as the recipe says."),
    ] = "weekly",
    directory: Annotated[
        Path | None, typer.Option(help="Folder for the workspace; the first free nkloop-demo-N when not given.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Run the loop on the virtual bench: media, doses, killing assays, analysis, an improved recipe and a report."""
    from nkloop.cli.demo_run import DemoOptions, run_demo

    options = DemoOptions(rounds, arms, seed, feeding, directory, quiet=json_output)
    raise typer.Exit(run_demo(options, as_json=json_output))
