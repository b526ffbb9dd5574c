"""`nkloop inbox`: files of readers and counters become the readings of the plates that are waited for."""

from __future__ import annotations

import typer

from nkloop.cli.inbox import listing, release, watching

app = typer.Typer(no_args_is_help=True, help="Take in files of readers and counters; see what was put aside.")
app.command("watch")(watching.watch)
app.command("once")(watching.once)
app.command("list")(listing.list_)
app.command("release")(release.release)
