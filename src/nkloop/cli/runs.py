"""`nkloop runs`: every recorded run, who holds which device, what waits for a decision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from nkloop.cli.common import JsonFlag, WorkspaceOption, command_name, find_workspace, print_json

if TYPE_CHECKING:
    from nkloop.records.models import DeviceHolder, RunRecord


def runs(
    waiting: Annotated[
        bool, typer.Option("--open", help="Only runs that are not over or wait for a decision.")
    ] = False,
    json_output: JsonFlag = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """List the runs of this workspace, the newest last, and who holds a device now."""
    from nkloop.records import Records
    from nkloop.records.processes import has_ended

    found = find_workspace(workspace)
    records = Records.open(found.state)
    try:
        listed = [run for run in records.journal.runs() if not waiting or not run.is_over or run.needs_decision]
        held = (holder for holder in records.claims.holders() if holder.released_at is None)
        holders = [holder for holder in held if not has_ended(holder.process)]
    finally:
        records.close()
    if json_output:
        told = [holder.model_dump(mode="json", exclude={"process"}) for holder in holders]
        print_json({"runs": [_plain(run) for run in listed], "holders": told})
    else:
        _print(listed, holders, only_open=waiting)


def _plain(run: RunRecord) -> dict[str, Any]:
    more = {"needs_decision": run.needs_decision, "unknown_steps": list(run.unknown_steps)}
    return run.model_dump(mode="json", exclude={"steps", "files"}) | more | {"n_steps": len(run.steps)}


def _standing(run: RunRecord) -> str:
    """State, steps and decision in one line; steps of a run that is not over are under way, not unknown."""
    colour = "green" if run.state == "succeeded" else "yellow" if not run.is_over else "red"
    done = sum(step.event == "done" for step in run.steps)
    told = [f"[{colour}]{run.state}[/]", f"{done} of {len(run.steps)} steps done" if run.steps else "nothing was sent"]
    if run.is_over and run.unknown_steps:
        told.append(f"{len(run.unknown_steps)} unknown")
    if run.decision is not None:
        told.append(f"decided: {run.decision.decision}")
    elif run.is_over and run.needs_decision:
        told.append("[red]decision needed[/]")
    return ", ".join(told)


def _print(listed: list[RunRecord], holders: list[DeviceHolder], *, only_open: bool) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Column, Table

    console = Console()
    if not listed:
        console.print("nothing is open" if only_open else "no runs here")
    else:
        table = Table(
            Column("run", no_wrap=True), Column("begun (UTC)", no_wrap=True), "what", box=SIMPLE, pad_edge=False
        )
        for run in listed:
            begun = f"{run.started_at:%Y-%m-%d %H:%M}" if run.started_at else ""
            table.add_row(run.id, begun, f"{escape(run.name)} [dim]on {escape(run.bench)}[/]\n{_standing(run)}")
        console.print(table)
    for holder in holders:
        until = f"at least until {holder.expires_at:%H:%M:%S} UTC"
        console.print(f"{escape(holder.device)} is held by {escape(holder.holder)}, {until}", soft_wrap=True)
    unclear = [run.id for run in listed if not run.is_over or run.needs_decision]
    if unclear:
        told = f"Not over or not decided: {', '.join(unclear)}. To settle one: {command_name()} reconcile ID"
        console.print(told, soft_wrap=True)
