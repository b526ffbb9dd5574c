"""`nkloop analyse counts`: what a cell counter's file says, sample by sample."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import JsonFlag, print_json

if TYPE_CHECKING:
    from nkloop.assays.readings import SampleCount


def counts(
    file: Annotated[Path, typer.Argument(help="Export of a Vi-CELL BLU, Vi-CELL XR or NucleoView.")],
    json_output: JsonFlag = False,
) -> None:
    """Read the export of a cell counter: viable and total cells per mL and viability of every sample."""
    from nkloop.assays.readings import read_count_file

    found = read_count_file(file)
    if json_output:
        print_json({"samples": [sample.model_dump(mode="json") for sample in found]})
    else:
        _show(found)


def _show(found: tuple[SampleCount, ...]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from nkloop.quantities.display import number

    table = Table("sample", "viable cells/mL", "total cells/mL", "viability", "dilution", "counted at (UTC)")
    for one in found:
        table.add_row(
            escape(one.sample),
            number(one.viable_per_ml),
            number(one.total_per_ml) if one.total_per_ml is not None else "not told",
            f"{one.viability_percent:g} %",
            f"{one.dilution_factor:g}" if one.dilution_factor is not None else "not told",
            f"{one.counted_at:%Y-%m-%d %H:%M}" if one.counted_at else "not told",
        )
    console = Console()
    console.print(table)
    first = found[0]
    console.print(f"{first.format}, {first.instrument or 'instrument not told'}, {first.serial_number or 'no serial'}.")
    for note in dict.fromkeys(note for one in found for note in one.notes):
        console.print(f"note: {note}", soft_wrap=True)
