"""`nkloop design`: plates before anything is pipetted."""

from __future__ import annotations

import typer

from nkloop.cli.design import cytotoxicity

app = typer.Typer(no_args_is_help=True, help="Design an experiment: what stands in which well, and what it takes.")
app.command("cytotoxicity")(cytotoxicity.cytotoxicity)


@app.callback()
def _design() -> None:
    """Keep `cytotoxicity` a subcommand while it is the only one."""
