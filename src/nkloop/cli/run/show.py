"""`nkloop run show`: one run as a timeline, with its wells, deviations, decisions and files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, command_name, elsewhere, find_workspace, print_json

if TYPE_CHECKING:
    from nkloop.records.models import RunRecord
    from nkloop.runs.run_facts import RunFacts


def show(
    run: Annotated[str, typer.Argument(help="Id of a run, as run-0007; `nkloop runs` lists them.")],
    json_output: JsonFlag = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Show what happened in a run: timeline, wells, deviations, decisions, files of the device."""
    from nkloop.labware import Catalogue
    from nkloop.records import Records
    from nkloop.runs.run_facts import run_facts

    found = find_workspace(workspace)
    records = Records.open(found.state)
    try:
        facts = run_facts(run, records, Catalogue.load(found.labware))
    finally:
        records.close()
    if json_output:
        print_json(facts.model_dump(mode="json"))
    else:
        _print(facts)


def _print(facts: RunFacts) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console, run = Console(), facts.run
    colour = "green" if run.state == "succeeded" else "yellow" if not run.is_over else "red"
    console.print(f"[bold]{run.id}[/] [{colour}]{run.state}[/]  {escape(run.name)}")
    for told in _about(run):
        console.print(f"  {escape(told)}", soft_wrap=True)
    if facts.standing is not None:
        console.print(f"  {escape(facts.standing.told)}", soft_wrap=True)
    timeline = Table("time (UTC)", "what", title=f"Timeline, by the clock of {escape(run.bench)}", title_justify="left")
    for moment in facts.timeline:
        timeline.add_row(f"{moment.at:%Y-%m-%d %H:%M:%S}", escape(moment.what))
    console.print(timeline)
    if facts.wells:
        wells = Table("labware", "well", "holds", title=_title(facts), title_justify="left")
        for well in facts.wells:
            name = f"{well.labware} ({well.barcode})" if well.barcode else well.labware
            wells.add_row(escape(name), well.well, escape(well.sentence))
        console.print(wells)
    for title, lines in (("Deviations", facts.deviations), ("Decisions", facts.decisions), ("Files", facts.files)):
        if lines:
            console.print(f"[bold]{title}[/]")
            for line in lines:
                console.print(f"  - {escape(line)}", soft_wrap=True)
    if facts.standing is not None and not facts.standing.is_under_way:
        console.print(f"Ask its device what it did: {command_name()} reconcile {run.id}{elsewhere()}", soft_wrap=True)
    elif facts.standing is None and run.needs_decision:
        console.print(f"Look at the deck, then: {command_name()} reconcile {run.id}{elsewhere()}", soft_wrap=True)


def _title(facts: RunFacts) -> str:
    if facts.standing is None:
        return "Wells as the steps left them"
    why = "the run is under way" if facts.standing.is_under_way else "its device was not asked yet"
    return f"What wells hold by now, or their least and most: {why}"


def _about(run: RunRecord) -> list[str]:
    told = [f"bench {run.bench}, device {run.device}, worklist {run.worklist_hash[:12]}"]
    told += [f"batch {run.batch}"] if run.batch else []
    told += [f"continues or repairs {run.parent}"] if run.parent else []
    told += [run.error] if run.error else []
    return told
