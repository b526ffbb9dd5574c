"""The command line. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

import sys

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
    recipe,
    reconcile,
    report,
    run,
    runs,
    serve,
    virtual_robot,
)
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
app.add_typer(bench.app, name="bench")
app.add_typer(inbox.app, name="inbox")
app.add_typer(operator.app, name="operator")


def main() -> None:
    """Run the command line; bad input ends with one sentence per problem on standard error and exit code 1."""
    try:
        app()
    except NkloopError as error:
        for problem in error.problems:
            typer.secho(f"error: {problem}", fg=typer.colors.RED, err=True)
        sys.exit(1)
