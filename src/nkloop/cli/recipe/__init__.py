"""`nkloop recipe`: look at recipes, compare, write and exchange them, decide about proposed revisions."""

from __future__ import annotations

import typer

from nkloop.cli.recipe import cost, decide, exchange, look, sop

app = typer.Typer(no_args_is_help=True, help="Look at recipes, compare and exchange them, decide about revisions.")
app.command("list")(look.list_)
app.command("show")(look.show)
app.command("diff")(look.diff)
app.command("cost")(cost.cost)
app.command("sop")(sop.sop)
app.command("schema")(exchange.schema)
app.command("import")(exchange.import_)
app.command("export")(exchange.export)
app.command("approve")(decide.approve)
app.command("reject")(decide.reject)
