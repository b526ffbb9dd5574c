"""`nkloop analyse`: numbers with intervals and verdicts from a file in hand."""

from __future__ import annotations

import typer

from nkloop.cli.analyse import combination, counts, curve, plate, potency

app = typer.Typer(no_args_is_help=True, help="Analyse a file of measurements: CSV or XLSX in; table, JSON or HTML out.")
app.command("curve")(curve.curve)
app.command("potency")(potency.potency)
app.command("combination")(combination.combination)
app.command("plate")(plate.plate)
app.command("counts")(counts.counts)
