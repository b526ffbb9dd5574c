"""`nkloop bench check`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, find_workspace, print_json

if TYPE_CHECKING:
    from nkloop.runs.benches.report import BenchLine, BenchReport


def check(
    bench: Annotated[str, typer.Argument(help="Bench to look at: a file name in devices/ without .yaml.")],
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Connect to every device of a bench, read only, and compare it with its file; exit code 1 if it may not run.

    The virtual bench of a simulated one is started for as long, as `nkloop run` does.
    """
    report = asyncio.run(_checked(workspace, bench))
    if json_output:
        print_json({**report.model_dump(mode="json"), "passed": report.passed})
    else:
        _show(report)
    if not report.passed:
        raise typer.Exit(1)


async def _checked(workspace: Path, bench: str) -> BenchReport:
    import nkloop.coordination  # noqa: F401 - lets `${block:NAME}` be read
    from nkloop.cli.run.playing import virtual_bench
    from nkloop.drivers.bench import load_bench_file
    from nkloop.runs.benches.check import check_bench
    from nkloop.runs.session import bench_path

    found = find_workspace(workspace)
    file = load_bench_file(bench_path(found, bench))
    with virtual_bench(found, file, quiet=True):
        report = await check_bench(found, bench)
    return report.model_copy(update={"lines": (*report.lines, *await _lock_lines(file.locks))})


async def _lock_lines(names: tuple[str, ...]) -> list[BenchLine]:
    """Who holds the locks; nothing is started to ask."""
    from nkloop.errors import BenchError
    from nkloop.runs.benches.report import BenchLine

    if not names:
        return []
    if not os.environ.get("PREFECT_API_URL"):
        told = f"{', '.join(names)}: not looked at, PREFECT_API_URL is not set"
        remedy = "to look at them: export PREFECT_API_URL=http://127.0.0.1:4200/api beside a running `nkloop serve`"
        return [BenchLine(part="locks", subject="Prefect limits", state="note", found=told, remedy=remedy)]
    from nkloop.coordination.locks import limits_held

    try:
        held = await limits_held(names)
    except BenchError as error:
        told, remedy = error.problems[0].message, error.problems[0].remedy
        return [BenchLine(part="locks", subject="Prefect limits", state="note", found=told, remedy=remedy)]
    return [_lock_line(name, slots) for name, slots in held.items()]


def _lock_line(name: str, slots: tuple[int, int] | None) -> BenchLine:
    from nkloop.runs.benches.report import BenchLine

    if slots is None:
        return BenchLine(part="locks", subject=name, state="ok", found="free; Prefect makes it with the first run")
    limit, active = slots
    if limit != 1:
        remedy = f"prefect gcl update {name} --limit 1"
        return BenchLine(part="locks", subject=name, state="mend", found=f"lets {limit} runs in at once", remedy=remedy)
    if active:
        remedy = "wait for that run, or look for it with `nkloop report` and in the Prefect UI"
        return BenchLine(part="locks", subject=name, state="note", found="held by a run", remedy=remedy)
    return BenchLine(part="locks", subject=name, state="ok", found="free")


def _show(report: BenchReport) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    kind = "simulated" if report.simulated else "REAL"
    console.print(f"[bold]bench {escape(report.bench)}[/]: {escape(report.title)} ({kind})", soft_wrap=True)
    marks = {"ok": "[green]ok  [/]", "note": "[yellow]note[/]", "mend": "[red]MEND[/]"}
    last = ""
    for line in report.lines:
        if line.part != last:
            console.print(f"[bold]{escape(line.part)}[/]")
        last = line.part
        console.print(f"  {marks[line.state]}  {escape(line.subject)}: {escape(line.found)}", soft_wrap=True)
        if line.remedy:
            console.print(f"        do: {escape(line.remedy)}", soft_wrap=True)
    n_wrong = sum(line.state == "mend" for line in report.lines)
    if n_wrong:
        console.print(f"[red]{n_wrong} thing{'s' if n_wrong > 1 else ''} to mend before a run may start.[/]")
    else:
        console.print("Everything is as the file says; nothing was moved.")
