"""`nkloop run WORKLIST`: verify, show, run on a bench, say what became of every step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, command_name, find_workspace, print_json
from nkloop.cli.interrupts import INTERRUPTED
from nkloop.cli.problems import tell
from nkloop.errors import NkloopError

if TYPE_CHECKING:
    from nkloop.cli.run.playing import Begun
    from nkloop.workspace import Workspace


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
        bool,
        typer.Option(
            "--again",
            help="Run once more what was run on this bench before and fills no labware with a barcode, or what the "
            "robot has done without these records knowing of it; of a plan run in part, say --part.",
        ),
    ] = False,
    part: Annotated[
        str, typer.Option("--part", help="Parts of a plan of several, and nothing else of it: 2 or 1-2,4.")
    ] = "",
    batch: Annotated[
        str,
        typer.Option(
            "--batch", help="Batch of cells it is for, by which bags of one name are told apart; else the plan's."
        ),
    ] = "",
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Minutes to wait while somebody else holds the bench.")
    ] = 0,
    procedure: Annotated[
        str, typer.Option(help="Procedure of a CSV whose file name does not begin with it, as cytokine_dosing.")
    ] = "",
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            help="JSON of the plan that wrote the CSV, which carries no lots; else the one beside it.",
        ),
    ] = None,
    json_output: JsonFlag = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Verify a worklist, show it, run it on a bench; Ctrl+C stops the robot and records what was done.

    Exit code 0: every run succeeded; 1: refused, failed or not allowed; 130: interrupted.
    """
    from nkloop.cli.interrupts import heed_interrupts, interruptible
    from nkloop.cli.run.playing import Begun, Order, carry_out

    more = {"is_allowed": yes, "is_again": again, "quiet": json_output}
    order = Order(
        worklist, bench, procedure, wait_seconds=wait * 60, plan=plan, part=part.strip(), batch=batch.strip(), **more
    )
    found = find_workspace(workspace)
    begun = Begun()
    heed_interrupts()
    try:
        outcome = interruptible(carry_out(order, found, begun))
    except KeyboardInterrupt:
        typer.secho("Interrupted.", err=True)
        _last_words(begun, found)
        raise typer.Exit(INTERRUPTED) from None
    except NkloopError as error:
        tell(error)
        _last_words(begun, found)
        raise typer.Exit(1) from error
    if json_output:
        print_json(outcome.plain())
    if not outcome.succeeded:
        raise typer.Exit(1)


def _last_words(begun: Begun, workspace: Workspace) -> None:
    """How the run that was begun stands, and what to type next; or that none was begun."""
    from nkloop.cli.run.display import next_word
    from nkloop.records import Records

    if begun.known is None:
        return
    records = Records.open(workspace.state)
    try:
        new = [run for run in records.journal.runs() if run.id not in begun.known and run.worklist_hash in begun.hashes]
    finally:
        records.close()
    for run in new[-1:]:
        typer.secho(next_word(run, command_name()), err=True)
    if not new:
        typer.secho("No run was begun: nothing was moved.", err=True)
