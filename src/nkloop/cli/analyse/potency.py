"""`nkloop analyse potency`: potency against a standard, or several assays combined."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nkloop.cli.analyse.files import PictureOption, ReportOption, SheetOption, write_pictures
from nkloop.cli.common import JsonFlag, print_json, write_file

if TYPE_CHECKING:
    from nkloop.assays.potency.models import CombinedPotency, PotencyResult


class Design(StrEnum):
    """How the assay was laid out."""

    crd = "crd"
    rbd = "rbd"
    latin = "latin"
    curve = "4pl"


class Transform(StrEnum):
    """Scale on which the response is linear in log dose."""

    identity = "identity"
    log10 = "log10"
    ln = "ln"
    square = "square"
    sqrt = "sqrt"
    logit = "logit"


def potency(
    files: Annotated[
        list[Path],
        typer.Argument(help="CSV or XLSX with the columns preparation, dose, response [, block, row, column]."),
    ],
    standard: Annotated[str, typer.Option("--standard", help="Name of the standard in the column preparation.")] = "S",
    design: Annotated[
        Design, typer.Option("--design", help="crd, rbd (blocks), latin (rows and columns): parallel lines; or 4pl.")
    ] = Design.crd,
    transform: Annotated[
        Transform, typer.Option("--transform", help="Transform of the response.")
    ] = Transform.identity,
    assumed: Annotated[
        list[str] | None,
        typer.Option("--assumed", help="Assumed potency the doses were made for: 5600, or T=5600 per preparation."),
    ] = None,
    margins: Annotated[
        str | None, typer.Option("--margins", help="Equivalence margins of the slope ratio, for example 0.8:1.25.")
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", help="Preparation to leave out. May be repeated.")
    ] = None,
    combine: Annotated[
        bool, typer.Option("--combine", help="The files are results (--json) of independent assays: combine them.")
    ] = False,
    sheet: SheetOption = None,
    report: ReportOption = None,
    picture: PictureOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Relative potency with its interval, the analysis of variance, and whether the assay is valid."""
    if combine:
        _combined(files, report, picture, json_output)
        return
    result = _analysed(files, standard, design, transform, assumed, margins, leave_out or [], sheet, report, picture)
    if json_output:
        print_json(result.model_dump(mode="json"))
    else:
        _show(result)


def _analysed(
    files: list[Path],
    standard: str,
    design: Design,
    transform: Transform,
    assumed: list[str] | None,
    margins: str | None,
    leave_out: list[str],
    sheet: str | None,
    report: Path | None,
    picture: Path | None,
) -> PotencyResult:
    from nkloop.assays.potency.assay import analyse_potency
    from nkloop.assays.potency.data import read_potency
    from nkloop.assays.potency.parallel_line import Question
    from nkloop.assays.potency.words import parse_assumed, parse_margins
    from nkloop.errors import AssayError

    if len(files) != 1:
        raise AssayError(
            f"{len(files)} files, one assay is analysed at a time",
            where="FILES",
            remedy="give one table, or --combine with result files",
        )
    question = Question(standard, design.value, transform.value, parse_assumed(assumed), parse_margins(margins))
    data = read_potency(files[0], design.value, transform.value, sheet=sheet)
    result = analyse_potency(data, question, leave_out=leave_out)
    kept = data.without(leave_out)
    if report is not None:
        from nkloop.reports.potency_page import potency_html

        write_file(report, potency_html(result, kept, files[0].name))
    if picture is not None:
        from nkloop.reports.potency_page import potency_chart

        write_pictures({"Responses of every preparation": potency_chart(result, kept)}, picture, files[0].name)
    return result


def _combined(files: list[Path], report: Path | None, picture: Path | None, json_output: bool) -> None:
    from nkloop.assays.potency.combine import combine_files

    combined = combine_files(files)
    if report is not None:
        from nkloop.reports.potency_page import combined_html

        write_file(report, combined_html(combined))
    if picture is not None:
        from nkloop.reports.potency_page import combined_chart

        write_pictures({"Assays and their combination": combined_chart(combined)}, picture, "Combined potency")
    if json_output:
        first = combined[0].model_dump(mode="json")
        only = first if len(combined) == 1 else {}
        print_json({**only, "preparations": [one.model_dump(mode="json") for one in combined]})
        return
    for one in combined:
        _show_combined(one)


def _show_combined(one: CombinedPotency) -> None:
    from nkloop.reports.numbers import p_value

    typer.echo(f"{one.preparation}: {one.potency:.5g} ({one.ci_low:.5g} to {one.ci_high:.5g}), {one.method} mean")
    typer.echo(
        f"  {len(one.assays)} assays, heterogeneity chi-square {one.chi_square:.3g} on {one.freedom}, "
        f"p {p_value(one.p)}"
    )


def _show(result: PotencyResult) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from nkloop.reports.numbers import p_value

    console = Console()
    console.print("[green]valid[/]" if result.valid else "[red]NOT VALID[/]: no potency can be reported")
    for reason in result.reasons:
        console.print(f"  {escape(reason)}", soft_wrap=True, highlight=False)
    title = f"Against {escape(result.standard)}, {result.design}, response {result.transform}, {result.n} responses"
    table = Table("preparation", "valid", "potency", "95 % interval", "% of assumed", title=title, title_justify="left")
    for one in result.preparations:
        shown = "not determined" if one.potency is None else f"{one.potency:.5g}"
        valid = "yes" if one.valid else "[red]NO[/]"
        percent = _figure(one.percent_of_assumed, ".4g")
        table.add_row(escape(one.preparation), valid, shown, _interval(one.ci_low, one.ci_high), percent)
    console.print(table)
    for one in result.preparations:
        if not one.valid and one.potency_if_valid is not None:
            interval = _interval(one.ci_low_if_valid, one.ci_high_if_valid)
            told = f"for the investigation only, {one.preparation} if it were valid: {one.potency_if_valid:.5g}"
            console.print(escape(f"{told} ({interval})"), soft_wrap=True, highlight=False)
    variance = Table("source", "df", "sum of squares", "mean square", "F", "p", title="Analysis of variance")
    variance.title_justify = "left"
    for row in result.analysis_of_variance:
        numbers: tuple[Any, ...] = (_figure(row.mean_square, ".5g"), _figure(row.f, ".4g"), p_value(row.p))
        variance.add_row(row.source, str(row.freedom), f"{row.sum_of_squares:.6g}", *numbers)
    console.print(variance)
    for note in result.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True, highlight=False)


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.5g} to {high:.5g}"


def _figure(value: float | None, spec: str) -> str:
    return "–" if value is None else format(value, spec)
