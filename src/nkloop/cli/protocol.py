"""`nkloop protocol`: the protocol files of a workspace, their hashes, and entering changed ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, find_workspace, print_json

if TYPE_CHECKING:
    from nkloop.worklists.protocol_files import ReviewedProtocol

app = typer.Typer(no_args_is_help=True, help="List protocol files with their hashes, enter changed ones.")


@app.command("list")
def list_(workspace: WorkspaceOption = Path(), json_output: JsonFlag = False) -> None:
    """Every protocol file with its hash (SHA-256), and whether it is listed and who reviewed it."""
    from nkloop.worklists.protocol_files import REGISTER, entries_now, load_register, review_of

    folder = find_workspace(workspace).protocols
    entries = entries_now(folder)
    if json_output:
        listed = {one.file: one.sha256 for one in load_register(folder / REGISTER).protocols}
        print_json({"protocols": [_plain(one, listed.get(one.file)) for one in entries]})
        return
    for one in entries:
        told, problems = review_of(folder, folder / one.file)
        typer.echo(f"{one.sha256}  {one.file}: {problems[0].message if problems else told}")


@app.command("update")
def update(workspace: WorkspaceOption = Path(), json_output: JsonFlag = False) -> None:
    """Copy the worklist interpreter into every protocol and list changed files with their new hash."""
    from nkloop.worklists.interpreter_block import sync_protocols
    from nkloop.worklists.protocol_files import REGISTER, list_protocols, protocol_name

    folder = find_workspace(workspace).protocols
    copied = [protocol_name(folder, path) for path in sync_protocols(folder)]
    listed = list_protocols(folder)
    if json_output:
        print_json({"interpreter_copied": copied, "listed": list(listed)})
        return
    for name in copied:
        typer.echo(f"{name}: the interpreter block was copied in")
    for name in listed:
        typer.echo(f"{name}: listed with its new hash; nobody has reviewed it yet")
    if not copied and not listed:
        typer.echo(f"nothing has changed; {folder / REGISTER} is as it was")


def _plain(now: ReviewedProtocol, listed: str | None) -> dict[str, object]:
    return {**now.model_dump(mode="json"), "listed_sha256": listed}
