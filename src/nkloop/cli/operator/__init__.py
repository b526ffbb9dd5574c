"""`nkloop operator`: what people are asked to do, answered from a terminal of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nkloop.cli.common import WorkspaceOption
from nkloop.cli.operator import answering, listing, watching

app = typer.Typer(help="See what people are asked to do and answer it; without a command, watch and answer.")
app.command("list")(listing.list_)
app.command("show")(listing.show)
app.command("answer")(answering.answer)
app.command("watch")(watching.watch)


@app.callback(invoke_without_command=True)
def operator(
    context: typer.Context,
    bench: Annotated[str | None, typer.Option("--bench", help="Requests of this bench only.")] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """See what people are asked to do and answer it; without a command, watch and answer."""
    if context.invoked_subcommand is None:
        watching.watch(bench, workspace)
