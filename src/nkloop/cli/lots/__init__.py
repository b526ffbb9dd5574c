"""`nkloop lots`: what stands in the fridge, and everything that happens to it."""

from __future__ import annotations

import typer

from nkloop.cli.lots.adjust import adjust, release, state
from nkloop.cli.lots.importing import import_list
from nkloop.cli.lots.listing import list_lots
from nkloop.cli.lots.show import show

app = typer.Typer(no_args_is_help=True, help="Lots and containers of a bench: import, list, show, adjust, hold back.")
app.command("import")(import_list)
app.command("list")(list_lots)
app.command("show")(show)
app.command("adjust")(adjust)
app.command("state")(state)
app.command("release")(release)
