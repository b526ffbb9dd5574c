"""`nkloop virtual-robot`: the virtual bench by hand."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nkloop.cli.common import WorkspaceOption, find_workspace


class Model(StrEnum):
    """The robots there are."""

    flex = "flex"
    ot2 = "ot2"


BENCHES = {Model.flex: "virtual", Model.ot2: "virtual_ot2"}
"""Bench file each robot has unless another one is named."""


def virtual_robot(
    model: Annotated[Model, typer.Option(help="Which robot answers.")] = Model.flex,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 31950,
    speed: Annotated[
        float, typer.Option(min=0, help="Times faster than the real robot; 0 runs as fast as possible.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random on the bench.")] = 1,
    fault: Annotated[
        list[str] | None, typer.Option(help="Something that shall go wrong; `--fault list` names them all.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder for what outlives a loss of power: wells, tips, the robot's runs.")
    ] = None,
    compliance: Annotated[
        bool, typer.Option("--compliance", help="Ask for an account (operator, virtual), reasons and signatures.")
    ] = False,
    bench: Annotated[
        str | None, typer.Option(help="Bench file in devices/ without .yaml; by default the virtual one of the model.")
    ] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Serve a virtual bench that answers as an Opentrons Flex or OT-2 does, until Ctrl+C."""
    from nkloop.virtual.robot.faults import FAULTS
    from nkloop.virtual.server import BenchSettings, serve_virtual_bench

    faults = tuple(fault or ())
    if "list" in faults:
        for name, words in FAULTS.items():
            typer.echo(f"{name:<30} {words}")
        return
    chosen = bench or BENCHES[model]
    root = find_workspace(workspace).root
    require_model(root / "devices" / f"{chosen}.yaml", model)

    def announce(url: str) -> None:
        typer.echo(f"Virtual bench '{chosen}' at {url} (Opentrons routes at the root, the bench under /virtual).")
        if faults:
            typer.echo(f"It will go wrong: {', '.join(faults)}.")
        typer.echo(f"For flows and checks: export NKLOOP_VIRTUAL_URL={url}   Ctrl+C stops it.")

    settings = BenchSettings(chosen, speed, seed, faults, state, compliance)
    serve_virtual_bench(root, port, settings, announce=announce)


def require_model(path: Path, model: Model) -> None:
    """Refuse a bench file of the other robot.

    Raises:
        BenchError: there is no such file, it is wrong, or its deck is that of another robot.
    """
    from nkloop.drivers.bench import load_bench_file
    from nkloop.errors import BenchError

    found = load_bench_file(path).deck.model
    if found != model.value:
        raise BenchError(
            f"the deck of this bench is that of a robot called {found}, not {model.value}",
            where=str(path),
            remedy=f"add --model {found}" if found in BENCHES else "name a bench with an Opentrons robot",
        )
