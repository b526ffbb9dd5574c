"""`nkloop analyse curve`: a dose-response curve per group."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nkloop.cli.common import JsonFlag, print_json


def curve(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX with the columns x, y and, for several curves, group.")],
    json_output: JsonFlag = False,
) -> None:
    """Fit a curve to y over log10 x; the value at half effect with its interval, or why there is none."""
    from nkloop.assays.curves import fit_curve
    from nkloop.assays.tables import Column, read_table

    table = read_table(file, [Column("x"), Column("y"), Column("group", "text", required=False, filled=False)])
    groups = dict.fromkeys(table.texts("group"))
    fits = {}
    for group in groups:
        rows = [row for row in table.rows if row.text("group") == group]
        fits[group] = fit_curve(group, [r.number("x") for r in rows], [r.number("y") for r in rows])
    if json_output:
        print_json({"groups": [fit.model_dump(mode="json") for fit in fits.values()]})
        return
    for group, fit in fits.items():
        typer.echo(f"{group or file.name}: {fit.et50_text} {fit.reason}".rstrip())
