"""What a technician takes to the bench from a plan: the run sheet and the labels."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from nkloop.labware import Catalogue
    from nkloop.quantities import Kind
    from nkloop.worklists.bag_plans import DoseLabel, DoseTubeFilling
    from nkloop.worklists.bench_deck import BenchDeck
    from nkloop.worklists.models import Verdict, Worklist

SheetOption = Annotated[
    Path | None, typer.Option("--sheet", help="Write the run sheet to this file: .html prints on A4, .md is Markdown.")
]
LabelsOption = Annotated[
    Path | None,
    typer.Option("--labels", help="Write labels to this HTML file: A4 sheets of 24 labels, 63.5 × 33.9 mm."),
]


def write_papers(
    parts: Sequence[Worklist],
    verdicts: Sequence[Verdict],
    catalogue: Catalogue,
    *,
    deck: BenchDeck | None = None,
    simulated: bool = False,
    run: str = "",
    day: date | None = None,
    sheet: Path | None = None,
    labels: Path | None = None,
    tubes: Sequence[DoseTubeFilling] = (),
    vessels: Sequence[DoseLabel] = (),
    kinds: Mapping[str, Kind] | None = None,
    ended: Mapping[int, datetime] | None = None,
    containers: Sequence[Mapping[str, str]] = (),
    warnings: Sequence[str] = (),
) -> tuple[Path, ...]:
    """Write what was asked for and tell which files these are.

    Args:
        parts: the worklists in the order they are run.
        verdicts: what the checks said of each.
        deck: gives the robot's speeds, for times on the sheet.
        simulated: whether the bench is simulated, which the sheet says.
        run: id of the recorded run; empty for a plan.
        day: day of the work; today when not given.
        tubes: dose tubes of a plan for bags; their labels say what the plan says.
        vessels: labels of closed vessels that cultures are moved to.
        kinds: what components are measured in; labels of intermediates then tell their concentrations.
        ended: when each step of a recorded run ended; its labels then tell the time.
        containers: which ones a person takes out of each lot, in words, per part.
        warnings: of the plan, for its sheet.

    Raises:
        WorkspaceError: a file cannot be written.
    """
    written = []
    day = day or date.today()
    if sheet is not None:
        write_file(sheet, _sheet(sheet, parts, verdicts, catalogue, deck, simulated, run, day, containers, warnings))
        written.append(sheet)
    if labels is not None:
        from nkloop.reports import labels_html, run_labels
        from nkloop.reports.labels import vessel_label

        doses = [
            {(tube.rack, tube.well): tube.label for tube in tubes if tube.part == number}
            for number in range(1, len(parts) + 1)
        ]
        made = [
            label
            for part, told in zip(parts, doses, strict=True)
            for label in run_labels(part, catalogue, prepared_on=day, doses=told, kinds=kinds, ended=ended)
        ]
        made += [vessel_label(one) for one in vessels]
        write_file(labels, labels_html(made, f"Labels {parts[0].name}"))
        written.append(labels)
    return tuple(written)


def _sheet(
    path: Path,
    parts: Sequence[Worklist],
    verdicts: Sequence[Verdict],
    catalogue: Catalogue,
    deck: BenchDeck | None,
    simulated: bool,
    run: str,
    day: date,
    containers: Sequence[Mapping[str, str]],
    warnings: Sequence[str],
) -> str:
    from nkloop.reports import run_sheet_html, run_sheets, sheets_markdown

    minutes = [_minutes(part, deck) for part in parts] if deck else []
    told = ", ".join(f"{c.check} {'passed' if c.passed else 'FAILED'}" for v in verdicts[:1] for c in v.checks)
    sheets = run_sheets(
        parts,
        catalogue,
        planned_on=day,
        verdict=told,
        run=run,
        minutes=minutes,
        containers=containers,
        warnings=warnings,
    )
    if path.suffix.lower() in {".md", ".markdown"}:
        return sheets_markdown(sheets, catalogue)
    return run_sheet_html(sheets, catalogue=catalogue, simulated=simulated)


def _minutes(part: Worklist, deck: BenchDeck) -> dict[int, float]:
    """Estimated minutes of each step; 0 stands for homing and modules before the first one."""
    from nkloop.worklists.duration import start_seconds, step_durations

    steps = {one.number: one.robot_s / 60 for one in step_durations(part, deck)}
    return {0: start_seconds(part, deck) / 60, **steps}
