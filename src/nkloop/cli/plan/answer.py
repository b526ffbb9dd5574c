"""How every plan command ends: worklists written, the plan shown or printed as JSON, the exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nkloop.cli.common import as_json, plan_beside, print_json, write_file
from nkloop.cli.plan.display import show
from nkloop.cli.plan.document import document
from nkloop.cli.plan.papers import write_papers

if TYPE_CHECKING:
    from nkloop.cli.plan.planned import Planned
    from nkloop.labware import Catalogue
    from nkloop.recipes.models import ErrorLimits
    from nkloop.runs.reservations import PlanReservation
    from nkloop.worklists.bench_deck import BenchDeck

CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        help="Write the worklist for the robot to this file, parts with -1, -2 before the ending, and the plan beside "
        "it, for `nkloop run`.",
    ),
]
MaxCvOption = Annotated[
    float | None, typer.Option("--max-cv", help="Largest predicted CV in percent; the recipe's limit when not given.")
]
MaxBiasOption = Annotated[
    float | None,
    typer.Option("--max-bias", help="Largest predicted systematic error in percent; the recipe's when not given."),
]
LotsOption = Annotated[Path | None, typer.Option("--lots", help="Lot list; the bench's own when not given.")]


def answer(
    planned: Planned,
    catalogue: Catalogue,
    *,
    csv: Path | None,
    json_output: bool,
    sheet: Path | None = None,
    labels: Path | None = None,
    reserve: PlanReservation | None = None,
) -> None:
    """Write and show a plan; nothing is written or reserved of a refused one.

    Raises:
        WorkspaceError: the file cannot be written.
        ShortageError: what shall be reserved was taken or reserved by somebody else since it was planned.
        typer.Exit: with code 1 when a check refused the plan.
    """
    if reserve is not None and planned.passed:
        planned = replace(planned, reserved=reserve.make(planned.parts, at=planned.at))
    told = document(planned, catalogue) if json_output or csv is not None else {}
    files = _write(planned, csv, told) if csv is not None and planned.passed else ()
    papers: tuple[Path, ...] = ()
    if planned.passed:
        from nkloop.worklists.component_kinds import kinds_of_rows

        papers = write_papers(
            planned.parts,
            planned.verdicts,
            catalogue,
            deck=planned.deck,
            simulated=planned.simulated,
            sheet=sheet,
            labels=labels,
            tubes=planned.tubes,
            vessels=planned.vessel_labels,
            containers=planned.containers,
            warnings=planned.on_sheet,
            day=planned.at.date(),
            kinds=kinds_of_rows(planned.composition) if labels is not None else None,
        )
    if json_output:
        print_json(told)
    else:
        show(planned, files, csv)
        for path in papers:
            typer.echo(f"For the bench: {path}")
    if not planned.passed:
        raise typer.Exit(1)


def error_limits(of_recipe: ErrorLimits, deck: BenchDeck, max_cv: float | None, max_bias: float | None) -> ErrorLimits:
    """The limits of predicted error of a recipe or of the bench, or those a person asks for instead.

    Raises:
        PlanError: a limit is not a percentage above 0.
    """
    from nkloop.errors import PlanError
    from nkloop.worklists.allowed_errors import allowed_errors

    given = {"cv_percent": ("--max-cv", max_cv), "bias_percent": ("--max-bias", max_bias)}
    for option, value in given.values():
        if value is not None and not 0 < value <= 100:
            raise PlanError(f"{value:g} % is no limit of an error", where=option, remedy="give a number from 0 to 100")
    asked = {name: value for name, (_, value) in given.items() if value is not None}
    return allowed_errors(of_recipe, deck).model_copy(update=asked)


def _write(planned: Planned, csv: Path, told: dict[str, Any]) -> tuple[Path, ...]:
    """Tables for the robot, and beside them the plan with all that a table does not carry."""
    from nkloop.worklists.csv_format import to_csv

    many = len(planned.parts) > 1
    files = [csv.with_stem(f"{csv.stem}-{n}") if many else csv for n in range(1, len(planned.parts) + 1)]
    for path, part in zip(files, planned.parts, strict=True):
        write_file(path, to_csv(part))
    write_file(plan_beside(csv), as_json(told))
    return tuple(files)
