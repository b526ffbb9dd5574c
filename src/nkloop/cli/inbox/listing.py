"""`nkloop inbox list`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, find_workspace, on_one_line, print_json

if TYPE_CHECKING:
    from nkloop.records.inbox import SeenFile, Wait


def list_(
    bench: Annotated[str | None, typer.Option("--bench", help="Of this bench only.")] = None,
    quarantined: Annotated[bool, typer.Option("--quarantined", help="Only what was put aside.")] = False,
    json_output: JsonFlag = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """List what is waited for and every file seen, with what became of it."""
    from nkloop.records import Records

    records = Records.open(find_workspace(workspace).state)
    try:
        files = records.inbox.files(bench, state="quarantined" if quarantined else None)
        waits = records.inbox.waiting(bench)
    finally:
        records.close()
    if json_output:
        shown = [{**file.model_dump(mode="json"), "document": json.loads(file.document)} for file in files]
        print_json({"waiting": [wait.model_dump(mode="json") for wait in waits], "files": shown})
        return
    _show(waits, files)


def _show(waits: tuple[Wait, ...], files: tuple[SeenFile, ...]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console.print(f"[bold]waited for[/]: {len(waits) or 'nothing'}")
    for wait in waits:
        what = "counts of plate" if wait.kind == "counts" else "plate"
        since = f"since {wait.asked_at:%m-%d %H:%M} UTC"
        told = f"  {what} {wait.barcode}, run {wait.run_id or 'none'}, bench {wait.bench}, {since}"
        console.print(escape(told), soft_wrap=True)
    console.print(f"[bold]files[/]: {len(files) or 'none'}")
    for file in files:
        colour = "green" if file.state == "recorded" else "red"
        by = "" if file.by == "nkloop" else f", assigned by {file.by}"
        head = f"{file.sha256[:12]}  {file.seen_at:%m-%d %H:%M}  {on_one_line(file.name)}"
        console.print(f"  [{colour}]{file.state:<11}[/] {escape(head)}{escape(by)}", soft_wrap=True)
        for line in _details(file):
            console.print(f"              {escape(line)}", soft_wrap=True)


def _details(file: SeenFile) -> list[str]:
    if file.state == "quarantined":
        return [file.reason]
    told = []
    for entry in json.loads(file.document):
        plate = entry["plate"] or "a plate without name"
        run = f", run {entry['run']}" if entry.get("run") else ""
        told.append(f"{plate}{run}" if entry["state"] == "recorded" else f"left out {plate}: {entry['why']}")
    return told
