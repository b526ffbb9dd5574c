"""`nkloop plan`: a worklist and what it gives, without touching a robot."""

from __future__ import annotations

import typer

from nkloop.cli.plan.cytotoxicity import cytotoxicity
from nkloop.cli.plan.dosing import dosing
from nkloop.cli.plan.medium import medium

app = typer.Typer(no_args_is_help=True, help="Plan a worklist and see what it gives, without touching a robot.")


@app.callback()
def _plan() -> None:
    """Keep every plan a subcommand, however many there are."""


app.command("medium")(medium)
app.command("dosing")(dosing)
app.command("cytotoxicity")(cytotoxicity)
