"""`nkloop bench`: which benches there are, and whether one is as its file says."""

from __future__ import annotations

import typer

from nkloop.cli.bench import checking, incubator, listing, schema

app = typer.Typer(no_args_is_help=True, help="List benches, compare one with its devices, write the schema.")
app.command("list")(listing.list_)
app.command("check")(checking.check)
app.command("schema")(schema.schema)
app.add_typer(incubator.app, name="incubator")
