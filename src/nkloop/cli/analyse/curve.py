"""`nkloop analyse curve`: a dose-response curve per group."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nkloop.cli.analyse.files import PictureOption, ReportOption, SheetOption, write_pictures
from nkloop.cli.common import JsonFlag, print_json, write_file

if TYPE_CHECKING:
    from nkloop.assays.curve_models import CurveResult
    from nkloop.assays.curve_study import CurveStudy


class Model(StrEnum):
    """Number of parameters of the logistic curve."""

    three = "3pl"
    four = "4pl"
    five = "5pl"


class Weights(StrEnum):
    """How points are weighted."""

    none = "none"
    inverse = "1/y"
    inverse_square = "1/y2"
    replicates = "replicates"
    column = "column"


def curve(
    file: Annotated[
        Path,
        typer.Argument(help="CSV or XLSX with the columns x (dose or E:T), y and, where wanted, group, weight, well."),
    ],
    model: Annotated[Model, typer.Option("--model", help="3pl (bottom 0), 4pl or 5pl.")] = Model.four,
    weights: Annotated[Weights, typer.Option("--weights", help="Weight of a point.")] = Weights.none,
    fix: Annotated[list[str] | None, typer.Option("--fix", help="Hold a parameter: bottom=0. May be repeated.")] = None,
    bound: Annotated[
        list[str] | None, typer.Option("--bound", help="Keep a parameter within bounds: top=50:110. May be repeated.")
    ] = None,
    level: Annotated[
        list[float] | None, typer.Option("--level", help="Also the dose at this % of the effect. May be repeated.")
    ] = None,
    response: Annotated[
        list[float] | None, typer.Option("--response", help="Also the dose at this response, for example 30 % lysis.")
    ] = None,
    targets: Annotated[
        float | None, typer.Option("--targets", help="Targets per well: gives lytic units per 1e7 effectors.")
    ] = None,
    sheet: SheetOption = None,
    report: ReportOption = None,
    picture: PictureOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Fit y over log10 x per group: parameters with intervals, EC50 and other levels, or why there are none."""
    from nkloop.assays.curve_study import CurveQuestion, read_curves, study_curves

    question = CurveQuestion.parse(
        model=model.value,
        weights=weights.value,
        fixes=fix,
        bounds=bound,
        levels=level,
        responses=response,
        targets=targets,
    )
    study = study_curves(read_curves(file, question, sheet=sheet), question)
    if report is not None:
        from nkloop.reports.analysis_page import curves_html

        write_file(report, curves_html(study, file.name))
    if picture is not None:
        from nkloop.reports.analysis_charts import curves_chart

        write_pictures({"Dose-response curves": curves_chart(study)}, picture, file.name)
    if json_output:
        print_json(_plain(study))
    else:
        _show(study)


def _plain(study: CurveStudy) -> dict[str, Any]:
    """One curve as it is; several with the same keys summed up, and each under `groups`."""
    plain = [result.model_dump(mode="json") for result in study.curves]
    comparisons = study.model_dump(mode="json", exclude={"curves"})
    if len(plain) == 1:
        return {**plain[0], **comparisons}
    return {
        "parameters": [row for one in plain for row in one["parameters"]],
        "ec50": {one["group"]: one["ec50"] for one in plain},
        "determined": all(one["determined"] for one in plain),
        "reasons": [f"{one['group']}: {reason}" for one in plain for reason in one["reasons"]],
        "rss": sum(one["rss"] or 0.0 for one in plain),
        "aicc": {one["group"]: one["aicc"] for one in plain},
        "groups": plain,
        **comparisons,
    }


def _show(study: CurveStudy) -> None:
    from rich.console import Console

    console = Console()
    for result in study.curves:
        _show_curve(console, result)
    for comparison in (*study.models, *study.arms):
        p = "no F test" if comparison.p is None else f"F {comparison.f:.3g}, p {comparison.p:.2g}"
        console.print(
            f"{comparison.simple} against {comparison.full}: {p}; AICc prefers {comparison.preferred}", highlight=False
        )


def _show_curve(console: Any, result: CurveResult) -> None:
    from rich.table import Table

    title = f"{result.group or 'curve'}: {result.model.upper()}, {result.n} points, {result.verdict}"
    table = Table("parameter", "estimate", "standard error", "95 % interval", "", title=title, title_justify="left")
    for row in result.parameters:
        interval = "" if row.fixed else f"{_number(row.ci_low)} to {_number(row.ci_high)}"
        table.add_row(row.name, _number(row.estimate), _number(row.standard_error), interval, row.note)
    console.print(table)
    console.print(f"EC50 {result.ec50_text}", highlight=False, soft_wrap=True)
    for dose in result.levels:
        name = f"response {dose.level:g}" if dose.of == "response" else f"EC{dose.level:g}"
        units = "" if dose.lytic_units is None else f"; {dose.lytic_units:.0f} lytic units per 1e7 effectors"
        told = f" ({dose.reason})" if dose.reason else ""
        console.print(f"{name}: {dose.text}{units}{told}", highlight=False, soft_wrap=True)
    if result.auc is not None:
        console.print(
            f"area over log10 x: {_number(result.auc)} ({_number(result.auc_low)} to {_number(result.auc_high)})",
            highlight=False,
        )
    for reason in result.reasons:
        console.print(f"[yellow]{result.verdict}:[/] {reason}", soft_wrap=True, highlight=False)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
