"""`nkloop runs`: every recorded run, who holds which device, what waits for a decision."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from nkloop.cli.common import JsonFlag, WorkspaceOption, command_name, elsewhere, find_workspace, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from nkloop.records.decisions import Rest
    from nkloop.records.models import DeviceHolder, RunRecord
    from nkloop.runs.standing import Standing


def runs(
    waiting: Annotated[
        bool,
        typer.Option(
            "--open", help="Only runs that are not over, wait for a decision, or left a rest nobody has done."
        ),
    ] = False,
    json_output: JsonFlag = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """List the runs of this workspace, the newest last, and who holds a device now."""
    from nkloop.records import Records
    from nkloop.records.processes import has_ended
    from nkloop.runs.standing import standing_of

    records = Records.open(find_workspace(workspace).state)
    try:
        rests = {rest.run_id: rest for rest in records.decisions.rests()}
        listed = [
            run
            for run in records.journal.runs()
            if not waiting or not run.is_over or run.needs_decision or run.id in rests
        ]
        held = (
            one for one in records.claims.holders() if one.released_at is None and one.expires_at > datetime.now(UTC)
        )
        holders = [holder for holder in held if not has_ended(holder.process)]
        standing = {run.id: found for run in listed if (found := standing_of(run, records)) is not None}
    finally:
        records.close()
    if json_output:
        told = [holder.model_dump(mode="json", exclude={"process"}) for holder in holders]
        print_json({"runs": [_plain(run, standing.get(run.id), rests) for run in listed], "holders": told})
    else:
        _print(listed, holders, standing, rests, only_open=waiting)


def _plain(run: RunRecord, standing: Standing | None, rests: Mapping[str, Rest]) -> dict[str, Any]:
    more: dict[str, Any] = {"needs_decision": run.needs_decision, "unknown_steps": list(run.unknown_steps)}
    blocked = rests[run.id].blocked if run.id in rests else None
    more["rest_waits"] = run.id in rests and blocked is None
    more["rest_blocked"] = "" if blocked is None else str(blocked)
    more["standing"] = None if standing is None else standing.model_dump()
    return run.model_dump(mode="json", exclude={"steps", "files"}) | more | {"n_steps": len(run.steps)}


def _standing(run: RunRecord, rests: Mapping[str, Rest]) -> str:
    """State, steps and decision in one line; steps of a run that is not over are under way, not unknown."""
    from nkloop.records.models import n_done

    colour = "green" if run.state == "succeeded" else "yellow" if not run.is_over else "red"
    done = f"{'' if run.is_over else 'at least '}{n_done(run.steps)} of {len(run.steps)} steps done"
    told = [f"[{colour}]{run.state}[/]", done if run.steps else "nothing was sent"]
    seen = max((step.number for step in run.steps if step.event == "seen"), default=0)
    if not run.is_over and seen:
        told.append(f"at step {seen} when last seen")
    if run.is_over and run.unknown_steps:
        told.append(f"{len(run.open_steps)} unknown")
    if run.decision is not None:
        told.append(f"decided: {run.decision.decision}")
        if run.id in rests:
            told.append("[red]its rest waits[/]" if rests[run.id].blocked is None else "[red]its rest is blocked[/]")
    elif run.is_over and run.needs_decision:
        told.append("[red]decision needed[/]")
    return ", ".join(told)


def _print(
    listed: list[RunRecord],
    holders: list[DeviceHolder],
    standing: Mapping[str, Standing],
    rests: Mapping[str, Rest],
    *,
    only_open: bool,
) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Column, Table

    console = Console()
    if not listed:
        console.print("nothing is open" if only_open else "no runs here")
    else:
        table = Table(
            Column("run", no_wrap=True),
            Column("begun (bench clock, UTC)", no_wrap=True),
            "what",
            box=SIMPLE,
            pad_edge=False,
        )
        for run in listed:
            begun = f"{run.started_at:%Y-%m-%d %H:%M}" if run.started_at else ""
            table.add_row(run.id, begun, f"{escape(run.name)} [dim]on {escape(run.bench)}[/]\n{_standing(run, rests)}")
        console.print(table)
    for holder in holders:
        until = f"at least until {holder.expires_at:%H:%M:%S} UTC"
        console.print(f"{escape(holder.device)} is held by {escape(holder.holder)}, {until}", soft_wrap=True)
    left = {run_id: found for run_id, found in standing.items() if not found.is_under_way}
    for run_id, found in left.items():
        console.print(f"[red]{run_id}: {escape(found.told)}[/]", soft_wrap=True)
    unclear = [run.id for run in listed if run.id in left or (run.is_over and run.needs_decision)]
    if unclear:
        name = unclear[0] if len(unclear) == 1 else "ID"
        settle = f"{command_name()} reconcile {name}{elsewhere()}"
        console.print(f"Not over or not decided: {', '.join(unclear)}. To settle it: {settle}", soft_wrap=True)
    for run in listed:
        if run.id in rests:
            _print_rest(console, run, rests[run.id])


def _print_rest(console: Console, run: RunRecord, rest: Rest) -> None:
    if rest.blocked is None:
        told = f"Decided and not yet done: the rest of {run.id}. To do it: {command_name()} run {run.id} "
        console.print(f"{told}--bench {escape(run.bench)}{elsewhere()}", soft_wrap=True)
        return
    console.print(f"[red]{escape(str(rest.blocked))}[/]", soft_wrap=True)
    word = f"--decide discard --instead-of {rest.decision} --by NAME --reason WHY"
    settle = f"{command_name()} reconcile {run.id}{elsewhere()} {word}"
    console.print(f"When nothing of it is due any more, that is recorded with: {settle}", soft_wrap=True)
