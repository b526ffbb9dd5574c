"""Wells of a culture plate in a form: which there are on a plate of so many wells, and how Prefect is told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_ROWS_COLUMNS = {6: (2, 3), 24: (4, 6), 48: (6, 8), 96: (8, 12)}
"""Wells of a plate to its rows and columns."""


def last_well(kind: str) -> str:
    """The last well of `plate-24`: `D6`."""
    rows, columns = _ROWS_COLUMNS[int(kind.removeprefix("plate-"))]
    return f"{'ABCDEFGH'[rows - 1]}{columns}"


def pattern(kind: str) -> str:
    """Regular expression of the wells of a plate."""
    rows, columns = _ROWS_COLUMNS[int(kind.removeprefix("plate-"))]
    numbers = f"[1-{columns}]" if columns < 10 else f"([1-9]|1[0-{columns - 10}])"
    return f"^[A-{'ABCDEFGH'[rows - 1]}]{numbers}$"


def is_on(well: str, kind: str) -> bool:
    """Whether a plate has a well."""
    return re.match(pattern(kind), well) is not None


def wells_on_plate(kinds: Iterable[str], usual: str) -> dict[str, Any]:
    """JSON Schema that holds the wells of a form to its kind of plate, so that Prefect refuses others at the field.

    Nested alternatives, because the pages of Prefect take a list of conditions (`allOf`) for kinds of form.

    Args:
        kinds: `plate-` and the number of wells.
        usual: kind of a form that names none.
    """
    schema: dict[str, Any] = {}
    for kind in kinds:
        named: dict[str, Any] = {"properties": {"plate_kind": {"const": kind}}}
        if kind != usual:
            named["required"] = ["plate_kind"]
        of_it = {"pattern": pattern(kind), "description": f"the wells of {kind} are A1 to {last_well(kind)}"}
        wells = {"wells": {"items": {"properties": {"well": of_it}}}}
        schema = {"if": named, "then": {"properties": wells}, **({"else": schema} if schema else {})}
    return schema
