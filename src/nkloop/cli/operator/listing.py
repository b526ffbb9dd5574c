"""`nkloop operator list` and `show`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, command_name, elsewhere, find_workspace, print_json, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nkloop.coordination.pauses import Pause
    from nkloop.records.requests import AskedRequest

Number = Annotated[int, typer.Argument(help="Number of the request, as `operator list` shows it.")]


def list_(
    bench: Annotated[str | None, typer.Option("--bench", help="Of this bench only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Answered and withdrawn ones too.")] = False,
    json_output: JsonFlag = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """List what waits for a person, oldest first: requests answered here, and flows answered on their Prefect page."""
    from nkloop.coordination.pauses import pauses, prefect_address
    from nkloop.errors import DeviceUnreachableError
    from nkloop.runs.requests import waiting_requests
    from nkloop.runs.stock import opened

    found, trouble = find_workspace(workspace), ""
    with opened(found) as records:
        waiting = waiting_requests(records, bench)
        asked = records.requests.list(bench) if everything else waiting
    paused: tuple[Pause, ...] = ()
    if address := prefect_address(found.state):
        try:
            paused = pauses(address, bench)
        except DeviceUnreachableError as error:
            trouble = str(error)
    if json_output:
        told = [pause.model_dump(mode="json") for pause in paused]
        print_json({"requests": [plain(one) for one in asked], "paused": told, "trouble": trouble})
        return
    _show_all(asked, paused, trouble)


def _show_all(asked: Sequence[AskedRequest], paused: Sequence[Pause], trouble: str) -> None:
    if asked:
        typer.echo(f"Answered with `{command_name()} operator answer NUMBER{elsewhere()}`, or `operator watch`:")
    for one in asked:
        typer.echo(line_of(one))
    if paused:
        typer.echo("Answered on the page of the flow run, with Resume:")
    for pause in paused:
        typer.echo(f"      {pause.asked}  [{pause.flow_run}]  {_waiting(pause.since)}\n      {pause.page}")
    if trouble:
        typer.echo(f"What flows ask on their pages is not known: {trouble}", err=True)
    elif not asked and not paused:
        typer.echo("Nothing waits for a person.")


def _waiting(since: datetime) -> str:
    return f"waiting for {(datetime.now(UTC) - since).total_seconds() / 60:.0f} min"


def show(
    number: Number,
    picture: Annotated[Path | None, typer.Option("--picture", help="Write the picture to this file, as SVG.")] = None,
    json_output: JsonFlag = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Show one request: what to do, the deck, what to scan, until when; and its answer."""
    from nkloop.drivers.terminal_operator import told_of
    from nkloop.runs.requests import request_of
    from nkloop.runs.stock import opened

    with opened(find_workspace(workspace)) as records:
        asked = records.requests.get(number)
    request = request_of(asked)
    if picture is not None:
        write_file(picture, request.picture)
    if json_output:
        print_json(plain(asked))
        return
    typer.echo("\n".join([line_of(asked), *told_of(request)[2:]]))
    if picture is not None:
        typer.echo(f"Picture written to {picture}.")


def plain(asked: AskedRequest) -> dict[str, Any]:
    """A request as plain data; without its picture, which is long."""
    document = json.loads(asked.document)
    document.pop("picture", None)
    return {**asked.model_dump(mode="json"), "document": document}


def line_of(asked: AskedRequest) -> str:
    """Number, state, since when and what, in one line."""
    from nkloop.runs.requests import due_at

    if asked.state == "open":
        due = due_at(asked)
        told = _waiting(asked.asked_at) + (f", over at {due:%H:%M} UTC" if due else "")
    else:
        at = f" at {asked.answered_at:%Y-%m-%d %H:%M} UTC" if asked.answered_at else ""
        by = f" by {asked.answered_by}" if asked.answered_by else ""
        told = f"{asked.state}{by}{at}" + (f": {asked.note}" if asked.note else "")
    return f"{asked.id:>4}  {asked.title}  [{asked.bench}{', ' + asked.run_id if asked.run_id else ''}]  {told}"
