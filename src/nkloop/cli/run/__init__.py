"""`nkloop run`: a worklist on a bench; `nkloop run show`: what happened in a run."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from nkloop.cli.run.play import play
from nkloop.cli.run.show import show

PLAY = "worklist"
"""Command that is meant when none is named, so that `nkloop run FILE` runs a file."""


class RunGroup(TyperGroup):
    """A group whose first argument may be a worklist."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take everything that names no command, and no help of the group, for `worklist`."""
        is_named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if is_named or not args else [PLAY, *args])


options: dict[str, Any] = {"cls": RunGroup, "no_args_is_help": True}
HELP = """Run a worklist on a bench, or show a run.

nkloop run WORKLIST --bench NAME [--yes] [--again] [--part NUMBERS] [--wait MINUTES] [--procedure NAME] [--json]

nkloop run show ID [--json]

WORKLIST is a CSV, the JSON of a plan, the hash of a recorded worklist, or a run to go on with. A real bench moves only
with --yes. Every option: nkloop run worklist --help
"""
app = typer.Typer(**options, help=HELP)
app.command(PLAY)(play)
app.command("show")(show)
