"""`nkloop analyse combination`: two agents together against each alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.analyse.files import PictureOption, ReportOption, SheetOption, write_pictures
from nkloop.cli.common import JsonFlag, print_json, write_file

if TYPE_CHECKING:
    from nkloop.assays.combination_models import CombinationResult


def combination(
    file: Annotated[
        Path, typer.Argument(help="CSV or XLSX with the columns dose_a, dose_b, response (percent effect).")
    ],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the bootstrap.")] = 1,
    advice: Annotated[bool, typer.Option("--advice/--no-advice", help="Also Loewe and ZIP, which advise only.")] = True,
    sheet: SheetOption = None,
    report: ReportOption = None,
    picture: PictureOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Excess over Bliss independence and over the highest single agent, with bootstrap intervals."""
    from nkloop.assays.combination_study import read_combination, study_combination

    result = study_combination(read_combination(file, sheet=sheet), seed=seed, advice=advice)
    if report is not None:
        from nkloop.reports.combination_page import combination_html

        write_file(report, combination_html(result, file.name))
    if picture is not None:
        from nkloop.reports.combination_page import combination_charts

        write_pictures(combination_charts(result), picture, file.name)
    if json_output:
        print_json(result.model_dump(mode="json"))
    else:
        _show(result)


def _show(result: CombinationResult) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("dose a", "dose b", "effect %", "Bliss excess (95 %)", "HSA excess (95 %)", title_justify="left")
    table.title = f"{result.n} wells, bootstrap of {result.resampling}"
    for bliss, hsa in zip(result.bliss.cells, result.hsa.cells, strict=True):
        table.add_row(
            f"{bliss.dose_a:g}",
            f"{bliss.dose_b:g}",
            f"{bliss.observed:.1f}",
            _shown(bliss.excess, bliss.ci_low, bliss.ci_high),
            _shown(hsa.excess, hsa.ci_low, hsa.ci_high),
        )
    console.print(table)
    for name, found in (("Bliss", result.bliss.summary), ("HSA", result.hsa.summary)):
        mean = _shown(found.mean_excess, found.ci_low, found.ci_high)
        console.print(f"{name}: mean excess {mean}, {found.reading} than expected", highlight=False)
    for name, advice in (("Loewe", result.loewe), ("ZIP", result.zip)):
        if advice is not None:
            told = f"mean {advice.mean:.3g}" if advice.mean is not None else f"not available: {advice.reason}"
            console.print(f"{name} (advisory; {advice.meaning}): {told}", soft_wrap=True, highlight=False)
    for warning in result.warnings:
        console.print(f"[yellow]warning:[/] {warning}", soft_wrap=True, highlight=False)


def _shown(value: float, low: float | None, high: float | None) -> str:
    return f"{value:+.1f}" + ("" if low is None or high is None else f" ({low:+.1f} to {high:+.1f})")
