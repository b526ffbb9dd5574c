"""`nkloop run WORKLIST`: verify, show, run on a bench, say what became of every step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, command_name, find_workspace, print_json
from nkloop.cli.interrupts import INTERRUPTED


def play(
    worklist: Annotated[
        str,
        typer.Argument(
            help="CSV of a worklist, JSON of a plan or worklist, hash of a recorded worklist, or a run to go on with."
        ),
    ],
    bench: BenchOption = "virtual",
    yes: Annotated[
        bool, typer.Option("--yes", help="Really run on a bench that is not simulated; without it nothing is sent.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Run a worklist once more that has succeeded on this bench before.")
    ] = False,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Minutes to wait while somebody else holds the bench.")
    ] = 0,
    procedure: Annotated[
        str, typer.Option(help="Procedure of a CSV whose file name does not begin with it, as cytokine_dosing.")
    ] = "",
    json_output: JsonFlag = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Verify a worklist, show it, run it on a bench; Ctrl+C stops the robot and records what was done.

    Exit code 0: every run succeeded; 1: refused, failed or not allowed; 130: interrupted.
    """
    from nkloop.cli.interrupts import heed_interrupts, interruptible
    from nkloop.cli.run.playing import Order, carry_out

    order = Order(worklist, bench, procedure, is_allowed=yes, is_again=again, wait_seconds=wait * 60, quiet=json_output)
    found = find_workspace(workspace)
    heed_interrupts()
    try:
        outcome = interruptible(carry_out(order, found))
    except KeyboardInterrupt:
        typer.secho(
            "Interrupted. A run under way was stopped and what happened is recorded.\n"
            f"To read it: {command_name()} runs",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    if json_output:
        print_json(outcome.plain())
    if not outcome.succeeded:
        raise typer.Exit(1)
