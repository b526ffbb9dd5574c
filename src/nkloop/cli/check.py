"""`nkloop check`: everything a robot or a person would trip over, found before it touches liquid."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace, print_json

if TYPE_CHECKING:
    from nkloop.runs.checking import CheckedItem


def check(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders; everything when none is named.")] = None,
    json_output: JsonFlag = False,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
) -> None:
    """Verify recipes, benches, labware, protocols and worklists; exit code 1 when anything fails."""
    items = asyncio.run(_checked(workspace, bench, paths or []))
    if json_output:
        print_json({"items": [_plain(item) for item in items], "passed": all(item.passed for item in items)})
    else:
        _show(items)
    if not items or not all(item.passed for item in items):
        raise typer.Exit(1)


async def _checked(workspace: Path, bench: str, paths: list[Path]) -> list[CheckedItem]:
    from nkloop.runs.checking import WorkspaceCheck
    from nkloop.vendor import VendorClient

    found = find_workspace(workspace)
    async with VendorClient(cache=found.state / "analyses", workers=2) as vendor:
        checking = WorkspaceCheck(found, vendor, bench)
        return [item async for item in checking.run(checking.files(paths))]


def _plain(item: CheckedItem) -> dict[str, object]:
    return {
        "kind": item.kind,
        "path": str(item.path),
        "passed": item.passed,
        "checks": list(item.checks),
        "problems": [{"message": p.message, "where": p.where, "remedy": p.remedy} for p in item.problems],
        "seconds": round(item.seconds, 3),
    }


def _show(items: list[CheckedItem]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table("verdict", "kind", "file", "checks", "time", title="nkloop check", title_justify="left")
    for item in items:
        verdict = "[green]passed[/]" if item.passed else "[red]FAILED[/]"
        table.add_row(verdict, item.kind, escape(item.path.name), ", ".join(item.checks), f"{item.seconds:.2f} s")
    console.print(table)
    failed = [item for item in items if not item.passed]
    for item in failed:
        for problem in item.problems:
            console.print(f"[red]error:[/] {escape(str(problem))}", soft_wrap=True)
    if not items:
        console.print("[red]nothing to check here[/]")
    elif failed:
        console.print(f"[red]{len(failed)} of {len(items)} failed.[/]")
    else:
        console.print(f"All {len(items)} passed.")
