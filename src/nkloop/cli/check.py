"""`nkloop check`: everything a robot or a person would trip over, found before it touches liquid."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, command_name, find_workspace, print_json

if TYPE_CHECKING:
    from nkloop.runs.checking import CheckedItem


def check(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders; everything when none is named.")] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Print the page of the rules named instead, as V012; without one, list all."),
    ] = False,
    json_output: JsonFlag = False,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
) -> None:
    """Verify recipes, benches, labware, protocols and worklists; exit code 1 when anything fails."""
    if explain:
        _explain([str(path) for path in paths or []], json_output)
        return
    items = asyncio.run(_checked(workspace, bench, paths or []))
    if json_output:
        print_json({"items": [_plain(item) for item in items], "passed": all(item.passed for item in items)})
    else:
        _show(items)
    if not items or not all(item.passed for item in items):
        raise typer.Exit(1)


async def _checked(workspace: Path, bench: str, paths: list[Path]) -> list[CheckedItem]:
    from nkloop.runs.checking import WorkspaceCheck
    from nkloop.vendor import VendorClient, answers_folder

    found = find_workspace(workspace)
    async with VendorClient(cache=answers_folder(found.state), workers=2) as vendor:
        checking = WorkspaceCheck(found, vendor, bench)
        return [item async for item in checking.run(checking.files(paths))]


def _explain(named: list[str], json_output: bool) -> None:
    from nkloop.worklists.rule_pages import rule_of, rule_page
    from nkloop.worklists.rules import RULES

    chosen = [rule_of(one) for one in named] or list(RULES)
    if json_output:
        print_json({"rules": [one.model_dump() for one in chosen]})
    elif named:
        typer.echo("\n".join(rule_page(one) for one in chosen), nl=False)
    else:
        for one in chosen:
            typer.echo(f"{one.id}  {one.severity:<7}  {one.name:<26}  {one.title}")


def _plain(item: CheckedItem) -> dict[str, object]:
    return {
        "kind": item.kind,
        "path": str(item.path),
        "passed": item.passed,
        "checks": list(item.checks),
        "problems": [asdict(problem) for problem in item.problems],
        "seconds": round(item.seconds, 3),
    }


def _show(items: list[CheckedItem]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from nkloop.cli.problems import as_read

    console = Console()
    table = Table("verdict", "kind", "file", "checks", "time", title="nkloop check", title_justify="left")
    for item in items:
        verdict = "[green]passed[/]" if item.passed else "[red]FAILED[/]"
        table.add_row(verdict, item.kind, escape(item.path.name), ", ".join(item.checks), f"{item.seconds:.2f} s")
    console.print(table)
    failed = [item for item in items if not item.passed]
    for problem in dict.fromkeys(as_read(problem) for item in failed for problem in item.problems):
        rule = f" {problem.rule}" if problem.rule else ""
        console.print(f"[red]error{rule}:[/] {escape(str(problem))}", soft_wrap=True)
    if not items:
        console.print("[red]nothing to check here[/]")
    elif failed:
        console.print(f"[red]{len(failed)} of {len(items)} failed.[/]")
        if rule := next((p.rule for item in failed for p in item.problems if p.rule), ""):
            console.print(f"What a rule protects and what to do: {command_name()} check --explain {rule}")
    else:
        console.print(f"All {len(items)} passed.")
