"""Lot lists as people keep them: a YAML file of the bench, or a table out of a spreadsheet."""

from __future__ import annotations

from pathlib import Path

from nkloop.errors import AssayError, InventoryError
from nkloop.inventory import Inventory

TABLES = (".csv", ".tsv", ".txt", ".xlsx")


def load_lots(path: Path) -> Inventory:
    """Read a lot list; YAML by its ending, everything else as a table.

    Raises:
        InventoryError: with every problem of the file, each with its place and remedy.
    """
    if path.suffix.lower() in {".yaml", ".yml"}:
        return Inventory.load(path)
    if path.suffix.lower() not in TABLES:
        ending = f"ends in '{path.suffix}'" if path.suffix else "has no ending"
        remedy = f"give a lot list as .yaml or as a table: {', '.join(TABLES)}"
        raise InventoryError(f"{ending}, which is no lot list", where=str(path), remedy=remedy)
    from nkloop.runs.lot_table import read_lot_table

    try:
        return read_lot_table(path)
    except AssayError as error:  # the reader of tables serves many kinds of file
        raise InventoryError.from_problems(error.problems) from error
