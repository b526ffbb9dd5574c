"""`nkloop analyse plate`: one killing-assay plate from layout and reader file to lysis, quality, curves and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, find_method, find_workspace, print_json, write_file

if TYPE_CHECKING:
    from datetime import datetime

    from nkloop.assays.lytic import LyticQuestion
    from nkloop.assays.models import AssayResult, Exclusion, PlateLayout
    from nkloop.assays.readings import PlateReading


def plate(
    layout: Annotated[Path, typer.Option("--layout", help="Layout as CSV or XLSX: a long table or a grid.")],
    reading: Annotated[Path, typer.Option("--reading", help="File of the reader, cytometer or imager.")],
    method: Annotated[
        str, typer.Option("--method", help="Assay method, for example ldh, calcein, flow; the layout's when not given.")
    ] = "",
    barcode: Annotated[
        str, typer.Option("--plate", help="Plate of the layout, when the file holds several; told by the reading else.")
    ] = "",
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help='Leave a well out: B2="bubble"; may be given several times.')
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Who decides to exclude; needed with --exclude.")] = "",
    history: Annotated[
        Path | None,
        typer.Option("--history", help="Table of earlier plates, oldest first, with lysis_percent of the reference."),
    ] = None,
    started: Annotated[
        str,
        typer.Option("--started", help="When effectors met targets, like 2026-11-25T08:30:00+00:00."),
    ] = "",
    lytic_percent: Annotated[
        float, typer.Option("--lytic-percent", help="Lysis (%) at which lytic units are counted.")
    ] = 50.0,
    lytic_targets: Annotated[
        float | None, typer.Option("--lytic-targets", help="Targets a lytic unit is counted by; those of a well else.")
    ] = None,
    combination: Annotated[
        Path | None,
        typer.Option("--combination", help="Write each matrix of doses and E:T as a table for: analyse combination."),
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Keep the result in the workspace's database.")] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Write the result as one HTML page.")] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="Write the pictures: .html, interactive; or .svg and .png, one file each."),
    ] = None,
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Analyse one plate; a file that does not fit the layout or the method is refused with what differs."""
    from nkloop.assays.lytic import LyticQuestion

    exclusions, lytic = _exclusions(tuple(exclude or ()), by), LyticQuestion(lytic_percent, lytic_targets)
    read, chosen = _read(layout, reading, method, barcode, started)
    if report is not None or (picture is not None and picture.suffix != ".html"):
        from nkloop.reports.theme import warm_up

        warm_up()
    result, earlier = _analysed(chosen, read, method, exclusions, lytic, history, workspace)
    if record:
        _keep(result, workspace)
    if combination is not None:
        for path, text in _combinations(result, combination):
            write_file(path, text)
    written = _written(result, earlier, report, picture)
    if json_output:
        print_json(_plain(result))
    else:
        _show(result, written)
    if result.verdict == "rejected":
        raise typer.Exit(1)


def _read(
    layout_file: Path, reading_file: Path, method: str, barcode: str, started: str
) -> tuple[PlateReading, PlateLayout]:
    """The reading, and the layout of its plate."""
    from nkloop.assays.layouts import read_layouts
    from nkloop.assays.readings import read_plate_file

    layouts = read_layouts(layout_file, {"method": method or None})
    read = read_plate_file(reading_file, plate=barcode)
    layout = _chosen(layouts, barcode or read.barcode or "", layout_file)
    return read, layout.model_copy(update={"started_at": _moment(started)}) if started else layout


def _moment(text: str) -> datetime:
    from datetime import UTC, datetime

    from nkloop.errors import AssayError

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        remedy = "write it like 2026-11-25T08:30:00+00:00"
        raise AssayError(f"'{text}' is not a time", where="--started", remedy=remedy) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _analysed(
    layout: PlateLayout, reading: PlateReading, method_name: str, exclusions: Sequence[Exclusion],
    lytic: LyticQuestion, history_file: Path | None, workspace: Path,
) -> tuple[AssayResult, Sequence[float]]:  # fmt: skip
    """The result, and the earlier plates it was judged by."""
    from nkloop.assays.plate_file import analyse_reading_file, read_history

    method = find_method(method_name or layout.method, workspace)
    history = read_history(history_file, layout.target_line) if history_file is not None else ()
    result = analyse_reading_file(
        layout, reading, method, reference_history=history, exclusions=exclusions, lytic=lytic
    )
    return result, history


def _written(
    result: AssayResult, history: Sequence[float], report: Path | None, pictures: Path | None
) -> tuple[Path, ...]:
    files: dict[Path, str | bytes] = {}
    if report is not None:
        from nkloop.reports.plate_page import plate_html

        files[report] = plate_html(result, history)
    if pictures is not None:
        from nkloop.reports.picture_files import picture_files
        from nkloop.reports.plate_pictures import plate_pictures

        files |= picture_files(plate_pictures(result, history), pictures, title=f"Plate {result.barcode}")
    for path, content in files.items():
        write_file(path, content)
    return tuple(files)


def _keep(result: AssayResult, workspace: Path) -> None:
    from nkloop.errors import RecordError
    from nkloop.records import Records

    records = Records.open(find_workspace(workspace).state)
    try:
        if any(known == result for known in records.results.results()):
            raise RecordError(
                f"this result of plate {result.barcode} is kept already", where="--record", remedy="leave --record out"
            )
        records.results.add_result(result)
    finally:
        records.close()


def _combinations(result: AssayResult, path: Path) -> list[tuple[Path, str]]:
    """A file per treatment, sample and line with the columns `analyse combination` reads.

    Raises:
        AssayError: the plate holds no matrix.
    """
    from nkloop.errors import AssayError

    keys = list(dict.fromkeys((p.treatment, p.sample, p.target_line) for p in result.matrix))
    if not keys:
        raise AssayError(
            "the plate holds no matrix of doses and E:T",
            where="--combination",
            remedy="use it for a plate designed with --kind drug-matrix",
        )
    files = []
    for number, key in enumerate(keys, start=1):
        treatment, sample, line = key
        wells = [
            w
            for w in result.lysis
            if w.target_line == line and w.sample in {sample, ""} and w.treatment in {treatment, ""}
        ]
        # neither drug nor NK cells: no lysis, by definition of lysis
        rows = ["0,0,0", *(f"{w.dose or 0.0!r},{w.true_ratio!r},{w.lysis_percent!r}" for w in wells)]
        target = path.with_stem(f"{path.stem}-{number}") if len(keys) > 1 else path
        files.append((target, "\n".join(["dose_a,dose_b,response", *rows]) + "\n"))
    return files


def _chosen(layouts: Sequence[PlateLayout], barcode: str, file: Path) -> PlateLayout:
    """The plate meant; with one plate in the file a wrong barcode is told by the check of the reading."""
    from nkloop.assays.reading_check import READ_SUFFIX
    from nkloop.errors import AssayError

    if len(layouts) == 1:
        return layouts[0]
    for layout in layouts:
        if barcode in {layout.barcode, layout.barcode + READ_SUFFIX}:
            return layout
    known = ", ".join(layout.barcode for layout in layouts)
    told = f"plate '{barcode}' is not among them" if barcode else "neither --plate nor the reading says which one"
    raise AssayError(
        f"the layout holds {len(layouts)} plates ({known}) and {told}",
        where=str(file),
        remedy="name one with --plate",
    )


def _exclusions(entries: Sequence[str], by: str) -> tuple[Exclusion, ...]:
    if not entries:
        return ()
    from datetime import UTC, datetime

    from nkloop.assays.models import Exclusion
    from nkloop.assays.readings.values import well_name
    from nkloop.errors import AssayError, Problem

    problems, found = [], []
    if not by.strip():
        problems.append(Problem("wells are excluded by nobody", "--by", "say who decides: --by NAME"))
    for entry in entries:
        name, _, reason = entry.partition("=")
        well, reason = well_name(name.strip()), reason.strip().strip('"')
        if well is None or not reason:
            problems.append(
                Problem(f"'{entry}' names no well with a reason", "--exclude", 'write --exclude B2="air bubble"')
            )
        elif by.strip():
            found.append(Exclusion(well=well, reason=reason, by=by.strip(), at=datetime.now(UTC)))
    if problems:
        raise AssayError.from_problems(problems)
    return tuple(found)


def _plain(result: AssayResult) -> dict[str, Any]:
    """The result as JSON, with one row per sample, line and treatment under `samples`."""
    from nkloop.assays.summary import sample_rows

    everything = result.model_dump(mode="json")
    rows = [row.model_dump(mode="json") for row in sample_rows(result)]
    plain = {
        "barcode": result.barcode,
        "method": result.method,
        "verdict": result.verdict,
        "reasons": list(result.reasons),
        "wells": everything.pop("lysis"),
        "quality": everything.pop("quality"),
        "samples": rows,
        **{k: v for k, v in everything.items() if k not in {"barcode", "method", "verdict", "reasons", "all_wells"}},
    }
    plain["all_wells"] = None if result.all_wells is None else _plain(result.all_wells)
    return plain


def _show(result: AssayResult, written: Sequence[Path]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from nkloop.assays.summary import sample_rows
    from nkloop.reports.numbers import with_interval

    console = Console()
    colour = {"accepted": "green", "flagged": "yellow", "rejected": "red"}[result.verdict]
    console.print(f"Plate {escape(result.barcode)}, {escape(result.method)}: [{colour}]{result.verdict}[/]")
    for reason in result.reasons:
        console.print(f"  {escape(reason)}", soft_wrap=True)
    rows = sample_rows(result)
    if rows:
        table = Table("sample", "line", "ET50 (true E:T)", "AUC (0 to 1)", "lytic units", title_justify="left")
        for row in rows:
            name = f"{row.sample} + {row.treatment}" if row.treatment else row.sample
            units = with_interval(row.lytic_units, row.lytic_units_low, row.lytic_units_high)
            area = with_interval(row.auc, row.auc_low, row.auc_high)
            table.add_row(escape(name), escape(row.target_line), row.et50_text, area, units)
        console.print(table)
        for text in dict.fromkeys(row.lytic_units_text for row in rows):
            console.print(f"Lytic units {text}", soft_wrap=True, highlight=False)
    for effect in result.effects:
        console.print(escape(effect.reason), soft_wrap=True)
    quality = Table("figure", "value", "outcome", "limit", title="Plate quality", title_justify="left")
    for q in result.quality:
        quality.add_row(escape(q.name), "" if q.value is None else f"{q.value:.3g}", q.judged, escape(q.limit))
    console.print(quality)
    for out in result.exclusions:
        console.print(f"{out.well} excluded by {escape(out.by)}: {escape(out.reason)}", soft_wrap=True)
    if result.exclusions:
        with_all = result.all_wells
        told = f"no result: {result.all_wells_reason}" if with_all is None else with_all.verdict
        console.print(f"With every well: {escape(told)}", soft_wrap=True)
        for row in () if with_all is None else sample_rows(with_all):
            console.print(f"  {escape(row.sample)} on {escape(row.target_line)}: ET50 {row.et50_text}", soft_wrap=True)
    flagged = [w for w in result.lysis if w.flags]
    for well in flagged[:12]:
        console.print(f"{well.well}: {well.lysis_percent:.1f} % lysis, {escape('; '.join(well.flags))}")
    if len(flagged) > 12:
        console.print(f"and {len(flagged) - 12} more flagged wells; all with --json")
    for path in written:
        console.print(f"Written: {path}", soft_wrap=True)
