"""`nkloop lots import`: a lot list becomes the stock of a bench, or adds to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import (
    BenchOption,
    JsonFlag,
    WorkspaceOption,
    command_name,
    elsewhere,
    find_workspace,
    print_json,
    required_text,
)

if TYPE_CHECKING:
    from nkloop.inventory import Inventory
    from nkloop.records.stock_models import ImportReport
    from nkloop.workspace import Workspace


def import_list(
    file: Annotated[Path, typer.Argument(help="Lot list: .yaml, or a table as .csv or .xlsx.")],
    by: Annotated[str, typer.Option("--by", help="Who imports; not needed for --dry-run.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and write nothing.")] = False,
    correct: Annotated[bool, typer.Option("--correct", help="Take over values that contradict the stock.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; needed with --correct.")] = "",
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Add the lots and containers of a list to the stock of a bench; amounts that are known are never overwritten."""
    from nkloop.errors import InventoryError
    from nkloop.records.stock_import import conflict_problems
    from nkloop.runs.lot_files import load_lots
    from nkloop.runs.session import bench_path

    found = find_workspace(workspace)
    bench_path(found, bench)
    listed = load_lots(file)
    _warn_of_slips(listed, file, found)
    if not dry_run:
        by = required_text(by, "--by", "who imports the list, or try it with --dry-run")
    if correct:
        reason = required_text(reason, "--reason", "why the saved values are wrong")
    report = _report(found, bench, listed, by, reason, dry_run=dry_run, correct=correct)
    if json_output:
        print_json({"bench": bench, "dry_run": dry_run, "changes": report.n_changes, **report.model_dump(mode="json")})
    else:
        _show(report, bench, dry_run=dry_run)
        _warn_of_unseen(found, bench, {one.lot for one in report.lots})
    if report.conflicts:
        raise InventoryError.from_problems(conflict_problems(report))


def _warn_of_slips(listed: Inventory, file: Path, found: Workspace) -> None:
    """Components that are a slip of one the recipes have; the lot may be of a recipe that is yet to come."""
    from rich.console import Console
    from rich.markup import escape

    from nkloop.cli.problems import as_read
    from nkloop.runs.lot_names import misspelt_components

    for problem in misspelt_components(listed, file, found):
        told = escape(str(as_read(problem)))
        Console(stderr=True).print(f"[yellow]warning:[/] {told}", soft_wrap=True, highlight=False)


def _warn_of_unseen(found: Workspace, bench: str, imported: set[str]) -> None:
    """Lots of the bench's own list that no plan sees any more, because a stock takes the place of the list."""
    from rich.console import Console
    from rich.markup import escape

    from nkloop.runs.lot_files import load_lots
    from nkloop.runs.stock import seed_path, stock_of

    stock = stock_of(found, bench)
    seen = imported | ({lot.id for lot in stock.lots} if stock is not None else set())
    seed = seed_path(found, bench)
    unseen = sorted({lot.component for lot in load_lots(seed).lots if lot.id not in seen})
    if unseen:
        Console(stderr=True).print(
            f"[yellow]warning:[/] plans on bench {bench} use its stock, not its list any more; the list also has "
            f"{escape(', '.join(unseen))}. Import it too: `{command_name()} lots import {escape(str(seed))}"
            f"{elsewhere()}`",
            soft_wrap=True,
        )


def _report(
    found: Workspace, bench: str, listed: Inventory, by: str, reason: str, *, dry_run: bool, correct: bool
) -> ImportReport:
    from datetime import UTC, datetime

    from nkloop.runs.stock import opened

    with opened(found) as records:
        if dry_run:
            return records.stock.compare(bench, listed, correct=correct)
        at = datetime.now(UTC)
        return records.stock.import_lots(bench, listed, by=by, at=at, reason=reason, correct=correct)


def _show(report: ImportReport, bench: str, *, dry_run: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    colour = {"new": "green", "changed": "yellow", "containers added": "green", "conflict": "red"}
    for one in report.lots:
        if one.action == "unchanged" and not one.details:
            continue
        told = "; ".join(one.details)
        console.print(f"[{colour.get(one.action, 'dim')}]{one.action:17}[/] {one.lot}: {told}", soft_wrap=True)
    unchanged = sum(1 for one in report.lots if one.action == "unchanged")
    stay = f"{unchanged} stay{'s as it is' if unchanged == 1 else ' as they are'}"
    if report.conflicts:
        clash = _lots(len(report.conflicts), "contradicts", "contradict")
        console.print(f"[red]{clash} the stock of bench {bench}; nothing is written.[/]")
    elif dry_run:
        console.print(f"{_lots(report.n_changes, 'would change')}, {stay}. Nothing was written.")
    else:
        console.print(f"{_lots(report.n_changes, 'changed')} in the stock of bench {bench}, {stay}.")
        console.print(f"See them with `{command_name()} lots list{elsewhere()}`.")


def _lots(n: int, one: str, many: str = "") -> str:
    """`1 lot contradicts`, `3 lots contradict`."""
    return f"{n} lot{'' if n == 1 else 's'} {one if n == 1 else many or one}"
