"""The command line. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

import sys
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import typer

from nkloop.cli import (
    analyse,
    bench,
    check,
    demo,
    design,
    doctor,
    inbox,
    init,
    lots,
    operator,
    plan,
    protocol,
    recipe,
    reconcile,
    report,
    run,
    runs,
    serve,
    virtual_robot,
)
from nkloop.cli.common import look_in
from nkloop.cli.problems import tell
from nkloop.errors import NkloopError

app = typer.Typer(
    name="nkloop",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="NK-cell process development as a closed loop: recipes in, robot runs, killing assays, better recipes out.",
)
app.command("demo")(demo.demo)
app.command("check")(check.check)
app.command("init")(init.init)
app.command("doctor")(doctor.doctor)
app.command("serve")(serve.serve)
app.command("virtual-robot")(virtual_robot.virtual_robot)
app.command("report")(report.report)
app.command("runs")(runs.runs)
app.command("reconcile")(reconcile.reconcile)
app.add_typer(run.app, name="run")
app.add_typer(plan.app, name="plan")
app.add_typer(lots.app, name="lots")
app.add_typer(analyse.app, name="analyse")
app.add_typer(design.app, name="design")
app.add_typer(recipe.app, name="recipe")
app.add_typer(protocol.app, name="protocol")
app.add_typer(bench.app, name="bench")
app.add_typer(inbox.app, name="inbox")
app.add_typer(operator.app, name="operator")


@cache
def command(first: str = "") -> Any:
    """The command line as it is run; with the branch `first` alone where that is one of its commands.

    Reading the options of every command takes a tenth of a second, which only the help of all of them needs.
    """
    commands = [one for one in app.registered_commands if one.name == first]
    groups = [one for one in app.registered_groups if one.name == first]
    if not commands and not groups:
        return typer.main.get_group(app)
    branch = copy(app)
    branch.registered_commands, branch.registered_groups = commands, groups
    return typer.main.get_group(branch)


def main() -> None:
    """Run the command line; bad input ends with one sentence per problem on standard error and exit code 1."""
    try:
        command(sys.argv[1] if len(sys.argv) > 1 else "")()
    except NkloopError as error:
        tell(error)
        sys.exit(1)
    finally:
        look_in(Path())
