"""`nkloop operator answer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nkloop.cli.common import WorkspaceOption, find_workspace
from nkloop.cli.operator.listing import Number


def answer(
    number: Number,
    by: Annotated[str, typer.Option("--by", help="Your name.")],
    scan: Annotated[list[str] | None, typer.Option("--scan", help="A scanned code; give it once for each.")] = None,
    note: Annotated[str, typer.Option("--note", help="What the record should say.")] = "",
    choose: Annotated[
        str, typer.Option("--choose", metavar="WORD", help="One of the choices offered; say why with --note.")
    ] = "",
    decline: Annotated[
        str | None, typer.Option("--decline", metavar="REASON", help="Do not confirm; the run stops with this reason.")
    ] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Confirm a request with its codes, choose where it offers choices, or decline it with a reason; once."""
    from nkloop.drivers.scanning import Scans, codes_in
    from nkloop.runs import requests
    from nkloop.runs.stock import opened

    with opened(find_workspace(workspace)) as records:
        if decline is not None:
            asked = requests.decline(records, number, by=by, reason=decline)
        else:
            asked = requests.confirm(records, number, by=by, codes=scan or [], note=note, choice=choose)
    scans = Scans.of(requests.request_of(asked))
    for code in codes_in(" ".join(scan or [])) if asked.state == "confirmed" else ():
        typer.echo(f"  ok  {scans.take(code).told}")
    typer.echo(f"Request {asked.id} is {asked.state} by {asked.answered_by}.")
