"""`nkloop report`: a campaign or a run as one HTML file, also of work that was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import WorkspaceOption, find_workspace, write_file
from nkloop.cli.plan.papers import LabelsOption, SheetOption, write_papers
from nkloop.errors import BenchError, RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nkloop.labware import Catalogue
    from nkloop.records import Records
    from nkloop.workspace import Workspace


def report(
    name: Annotated[str | None, typer.Argument(help="Campaign or run id; the list of both when not given.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The campaign begun last.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; in the workspace when not given.")] = None,
    sheet: SheetOption = None,
    labels: LabelsOption = None,
    rest: Annotated[
        bool, typer.Option("--rest", help="Sheet and labels of what a decision left of the run, before it is run.")
    ] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Write the report of a campaign or of one robot run; of a run also its sheet and labels."""
    from nkloop.labware import Catalogue
    from nkloop.records import Records
    from nkloop.reports import campaign_html, run_html
    from nkloop.runs.recipe_kinds import kinds_of_revision
    from nkloop.runs.stock_use import containers_taken
    from nkloop.runs.story import campaign_story, run_story

    found = find_workspace(workspace)
    records = Records.open(found.state)
    try:
        campaigns = [entry.id for entry in records.campaigns.campaigns()]
        if last and campaigns:
            name = campaigns[-1]
        if name is None:
            _list(campaigns, records.journal.run_ids())
            return
        catalogue = Catalogue.load(found.labware)
        if rest:
            for path in _rest_papers(name, found, records, catalogue, sheet, labels):
                typer.echo(str(path))
            return
        if name in campaigns:
            text = campaign_html(campaign_story(records, name), catalogue=catalogue)
        elif name in records.journal.run_ids():
            simulated = _is_simulated(found, records.journal.run(name).bench)
            story = run_story(records, name, simulated=simulated)
            text = run_html(story, catalogue=catalogue)
            for path in write_papers(
                (story.worklist,),
                (story.verdict,),
                catalogue,
                simulated=bool(simulated),
                run=name,
                day=story.record.started_at.date() if story.record.started_at else None,
                sheet=sheet,
                labels=labels,
                containers=(containers_taken(records, name),),
                kinds=kinds_of_revision(found, records, story.record.recipe_revision) if labels is not None else None,
                ended={one.number: one.at for one in story.record.steps if one.event == "done"},
            ):
                typer.echo(str(path))
        else:
            raise RecordError(f"there is no campaign or run '{name}'", remedy="nkloop report lists them")
    finally:
        records.close()
    path = out or found.state / "reports" / f"{name}.html"
    write_file(path, text)
    typer.echo(str(path))


def _rest_papers(
    run_id: str, workspace: Workspace, records: Records, catalogue: Catalogue, sheet: Path | None, labels: Path | None
) -> tuple[Path, ...]:
    """Sheet and labels of what a decision left of a run, checked as it is when it is run."""
    import asyncio

    from nkloop.cli.plan.planned import verified
    from nkloop.drivers.bench import load_bench_file
    from nkloop.runs.deciding import follow_up_of
    from nkloop.runs.recipe_kinds import kinds_of_revision
    from nkloop.runs.session import bench_path

    if sheet is None and labels is None:
        raise RecordError("nothing is to be written of the rest", where="--rest", remedy="name a file with --sheet")
    worklist, _ = follow_up_of(run_id, records)
    run = records.journal.run(run_id)
    file = load_bench_file(bench_path(workspace, run.bench))
    return write_papers(
        (worklist,),
        asyncio.run(verified((worklist,), workspace, catalogue, file)),
        catalogue,
        deck=file.deck,
        simulated=file.simulated,
        sheet=sheet,
        labels=labels,
        kinds=kinds_of_revision(workspace, records, run.recipe_revision) if labels is not None else None,
    )


def _is_simulated(workspace: Workspace, bench: str) -> bool | None:
    """What the bench file says; None when the workspace no longer has a readable one."""
    from nkloop.drivers.bench import load_bench_file
    from nkloop.runs.session import bench_path

    try:
        return load_bench_file(bench_path(workspace, bench)).simulated
    except BenchError:
        return None


def _list(campaigns: Sequence[str], runs: Sequence[str]) -> None:
    for kind, names in (("campaigns", campaigns), ("runs", runs)):
        typer.echo(f"{kind}: {len(names)}")
        for name in names:
            typer.echo(f"  {name}")
