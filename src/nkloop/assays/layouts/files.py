"""Which form a layout file has, and the two ways to write one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from nkloop.assays.layouts.grid import layouts_from_grid, layouts_to_grid
from nkloop.assays.layouts.table import layouts_from_table, layouts_to_table
from nkloop.assays.models import PlateLayout
from nkloop.assays.readings.cells import read_rows


def read_layouts(path: Path, defaults: Mapping[str, Any] | None = None) -> tuple[PlateLayout, ...]:
    """Layouts of a CSV or XLSX file, a long table or grids.

    Args:
        path: the file.
        defaults: plate facts (`method`, `contact_minutes`, `main_line`, …) for a file that does not tell them.

    Raises:
        AssayError: the file does not describe plates; every problem with its place.
    """
    _, rows = read_rows(path)
    if any(cell.strip().lower() == "well" for cell in rows[0].cells):
        return layouts_from_table(path, defaults or {})
    return layouts_from_grid(path, rows, defaults or {})


def layouts_to_csv(layouts: Iterable[PlateLayout], form: Literal["table", "grid"] = "table") -> str:
    """CSV text of layouts in either form; `read_layouts` gives the same layouts back."""
    return layouts_to_table(layouts) if form == "table" else layouts_to_grid(layouts)
