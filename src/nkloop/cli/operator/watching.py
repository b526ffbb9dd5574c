"""`nkloop operator watch`: shows requests as they come and takes the answers line by line."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import WorkspaceOption, find_workspace

if TYPE_CHECKING:
    from nkloop.records import Records
    from nkloop.records.requests import AskedRequest

LOOK_SECONDS = 1.0
"""Pause between two looks while nothing waits."""
NO = ("no", "n")
YES = ("yes", "y")


class Later(Exception):
    """The person leaves this request for later, or another terminal has answered it."""


def watch(
    bench: Annotated[str | None, typer.Option("--bench", help="Requests of this bench only.")] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Show each request as it comes: your name, then codes line by line. `no` declines, `later` skips."""
    from nkloop.runs.stock import opened

    found = find_workspace(workspace)
    typer.echo(f"Waiting for requests{f' of bench {bench}' if bench else ''}. Ctrl+C ends this; requests stay.")
    with opened(found) as records:
        try:
            _watch(records, bench, found.state / "operator")
        except (KeyboardInterrupt, EOFError):
            typer.echo("\nEnded. What is open stays open.")


def _watch(records: Records, bench: str | None, pictures: Path) -> None:
    from nkloop.errors import RecordError
    from nkloop.runs.requests import waiting_requests

    skipped: set[int] = set()
    while True:
        waiting = waiting_requests(records, bench)
        skipped &= {one.id for one in waiting}
        todo = next((one for one in waiting if one.id not in skipped), None)
        if todo is None:
            if skipped and len(skipped) == len(waiting):
                skipped.clear()
                _line("All that waits was put off. Enter to see it again: ")
                continue
            time.sleep(LOOK_SECONDS)
            continue
        try:
            _one(records, todo, pictures)
        except Later as reason:
            typer.echo(str(reason))
            skipped.add(todo.id)
        except RecordError as error:
            typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
            if records.requests.get(todo.id).state == "open":
                skipped.add(todo.id)


def _one(records: Records, asked: AskedRequest, pictures: Path) -> None:
    """Show a request, take its codes, and answer it."""
    from nkloop.drivers.timing import too_early
    from nkloop.runs import requests

    _show(asked, pictures)
    if choices := requests.request_of(asked).choices:
        _choose(records, asked, [one.key for one in choices])
        return
    by, request = _named(records, asked), requests.request_of(asked)
    scans = requests.scans_for(records, asked, by)
    is_scanned = bool(scans.missing)
    while by and scans.missing:
        line = _said(records, asked, f"scan ({len(scans.missing)} to go), no, later: ")
        if line.lower() in NO:
            _decline(records, asked, by)
            return
        scan = scans.take(line)
        colour = typer.colors.GREEN if scan.ok else typer.colors.RED
        typer.secho(f"  {'ok' if scan.ok else 'NO'}  {scan.told}", fg=colour)
    if not by or (is_scanned and not _is_done(records, asked)):
        _decline(records, asked, by)
        return
    early = too_early(request.task, asked.asked_at, datetime.now(UTC))
    prompt = f"{early}; why? " if early else "Note (Enter for none): "
    note = _said(records, asked, prompt, may_be_empty=not early)
    requests.confirm(records, asked.id, by=by, codes=scans.taken, note=note)
    typer.echo(f"Request {asked.id} confirmed by {by}.")


def _named(records: Records, asked: AskedRequest) -> str:
    """Who answers; empty when he declines. Asked before the codes: wrong ones are written down with his name."""
    from nkloop.drivers.scanning import Scans
    from nkloop.runs import requests

    expected = Scans.of(requests.request_of(asked))
    prompt = "Your name, no, later: " if expected.total else "Done as asked? Your name, no, later: "
    while expected.is_code(by := _said(records, asked, prompt)):
        typer.secho(f"  NO  {by} is a code; your name comes first", fg=typer.colors.RED)
    return "" if by.lower() in NO else by


def _is_done(records: Records, asked: AskedRequest) -> bool:
    while (line := _said(records, asked, "Done as asked? yes, no, later: ")).lower() not in YES:
        if line.lower() in NO:
            return False
        typer.secho(f"  NO  '{line}' is neither yes nor no", fg=typer.colors.RED)
    return True


def _choose(records: Records, asked: AskedRequest, keys: list[str]) -> None:
    """Take one of the choices, its reason and a name; anything else is asked again."""
    from nkloop.errors import RecordError
    from nkloop.runs import requests

    while True:
        choice = _said(records, asked, f"choose ({', '.join(keys)}), no, later: ").lower()
        if choice in NO:
            _decline(records, asked)
            return
        if choice not in keys:
            typer.secho(f"  NO  '{choice}' is no choice here", fg=typer.colors.RED)
            continue
        why, by = _said(records, asked, "Why: "), _said(records, asked, "Your name: ")
        try:
            requests.confirm(records, asked.id, by=by, codes=[], note=why, choice=choice)
        except RecordError as error:
            if records.requests.get(asked.id).state != "open":
                raise
            typer.secho(f"  NO  {error}", fg=typer.colors.RED)
            continue
        typer.echo(f"Request {asked.id} answered by {by}: {choice}.")
        return


def _show(asked: AskedRequest, pictures: Path) -> None:
    from nkloop.cli.common import write_file
    from nkloop.drivers.terminal_operator import told_of
    from nkloop.runs.requests import due_at, request_of

    request = request_of(asked)
    typer.echo(f"\n#{asked.id}  bench {asked.bench}{', ' + asked.run_id if asked.run_id else ''}\a")
    typer.echo("\n".join(told_of(request)[1:]))
    if due := due_at(asked):
        typer.echo(f"   over at {due:%H:%M} UTC, asked at {asked.asked_at:%H:%M}")
    if request.picture:
        path = pictures / f"request-{asked.id}.svg"
        write_file(path, request.picture)
        typer.echo(f"   picture: {path}")


def _decline(records: Records, asked: AskedRequest, by: str = "") -> None:
    from nkloop.runs import requests

    by = by or _said(records, asked, "Your name: ")
    requests.decline(records, asked.id, by=by, reason=_said(records, asked, "Why not: "))
    typer.echo(f"Request {asked.id} declined by {by}.")


def _said(records: Records, asked: AskedRequest, prompt: str, *, may_be_empty: bool = False) -> str:
    """One line; stops when the request is answered elsewhere, withdrawn, or put off."""
    while True:
        line = _line(f"  {prompt}").strip()
        now = records.requests.get(asked.id)
        if now.state != "open":
            by = f" by {now.answered_by}" if now.answered_by else ""
            raise Later(f"Request {asked.id} is {now.state}{by} already.")
        if line.lower() == "later":
            raise Later(f"Request {asked.id} stays open.")
        if line or may_be_empty:
            return line


def _line(prompt: str) -> str:
    from nkloop.drivers.keyboard import ask

    if (line := ask(prompt)) is None:
        raise EOFError
    return line
