"""`nkloop lots list`: the stock of a bench in the order it is used."""

from __future__ import annotations

from datetime import date
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
    write_file,
)

if TYPE_CHECKING:
    from nkloop.inventory import Inventory
    from nkloop.inventory.overview import LotRow

WIDTH = 100
"""Columns the table fits into."""


def list_lots(
    component: Annotated[str | None, typer.Option("--component", help="Only lots of this component.")] = None,
    soon: Annotated[int, typer.Option("--soon", min=0, help="Point out lots that end within so many days.")] = 30,
    lots: Annotated[Path | None, typer.Option("--lots", help="List this file instead of the bench's stock.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table to this file, too.")] = None,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """List lots by component, first expired first: what is left, reserved and free, and what ends soon."""
    from datetime import UTC, datetime

    from nkloop.inventory.overview import overview
    from nkloop.runs.lot_files import load_lots
    from nkloop.runs.stock import seed_path, stock_of

    found = find_workspace(workspace)
    seed = seed_path(found, bench)
    stock = None if lots else stock_of(found, bench, at=datetime.now(UTC))
    source = lots or seed
    inventory = stock or load_lots(source)
    _known(inventory, component)
    rows = overview(inventory, date.today(), component=component, soon_days=soon)
    if csv is not None:
        write_file(csv, _csv(rows))
    told = f"stock of bench {bench}" if stock else f"list {source}"
    if json_output:
        print_json({"bench": bench, "source": told, "lots": [row.model_dump(mode="json") for row in rows]})
        return
    _show(rows, told)
    if stock is None and lots is None:
        typer.echo(
            f"This is the bench's own list; what runs take is not counted. Start counting with:\n"
            f"  {command_name()} lots import {seed} --by NAME --bench {bench}{elsewhere()}"
        )


def _known(inventory: Inventory, component: str | None) -> None:
    from nkloop.errors import InventoryError
    from nkloop.yamlfile.problems import one_of

    if component is not None and component not in inventory.components:
        remedy = one_of(component, inventory.components)
        raise InventoryError(f"no lot of '{component}' is listed", where="--component", remedy=remedy)


def _show(rows: tuple[LotRow, ...], source: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from nkloop.inventory.picking import shown

    console = Console(width=None if Console().is_terminal else WIDTH, highlight=False)
    table = Table(title=f"Lots: {source}", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("lot", no_wrap=True)
    table.add_column("component")
    table.add_column("strength", no_wrap=True)
    table.add_column("use by", no_wrap=True)
    for name in ("left", "reserved", "free"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("in", justify="right", no_wrap=True)
    table.add_column("remarks", overflow="fold")
    for row in rows:
        volumes = (shown(ul) if ul else "0" for ul in (row.remaining_ul, row.reserved_ul, row.free_ul))
        style = "red" if not row.free_ul else "yellow" if row.remarks and "ends" in row.remarks[0] else ""
        cells = (row.lot, row.component, row.concentration, str(row.use_by), *volumes, str(row.n_containers))
        table.add_row(*(Text(cell) for cell in cells), Text(", ".join(row.remarks)), style=style)
    console.print(table)
    console.print('"left" is in all containers; "free" is what a plan can get today; "in" counts containers.')


def _csv(rows: tuple[LotRow, ...]) -> str:
    import csv
    import io

    from nkloop.inventory.overview import LotRow

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(LotRow.model_fields)
    for row in rows:
        plain = row.model_dump(mode="json") | {"remarks": "; ".join(row.remarks)}
        writer.writerow(["" if value is None else value for value in plain.values()])
    return out.getvalue()
