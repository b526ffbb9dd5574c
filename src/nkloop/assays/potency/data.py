"""The measurements of a potency assay, and how they are read and transformed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nkloop.assays.fitting.solver import Array
from nkloop.assays.potency.models import Design
from nkloop.assays.tables import Column, Table, raise_all, read_table
from nkloop.errors import AssayError, Problem

_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda v: v,
    "log10": lambda v: np.log10(v),
    "ln": lambda v: np.log(v),
    "square": lambda v: np.square(v),
    "sqrt": lambda v: np.sqrt(v),
    "logit": lambda v: np.log(v / (1 - v)),
}
TRANSFORMS = tuple(_FUNCTIONS)
BLOCKS: dict[str, tuple[str, ...]] = {"crd": (), "rbd": ("block",), "latin": ("row", "column"), "4pl": ()}
"""Columns a design takes out as blocks."""
COLUMNS = (
    Column("preparation", "text", synonyms=("sample", "prep")),
    Column("dose", synonyms=("concentration", "x")),
    Column("response", filled=False, synonyms=("y", "signal")),
    Column("block", "text", required=False, filled=False),
    Column("row", "text", required=False, filled=False),
    Column("column", "text", required=False, filled=False, synonyms=("col",)),
    Column("well", "text", required=False, filled=False),
)


@dataclass(frozen=True)
class PotencyData:
    """One row per response; rows without one are left out."""

    preparation: tuple[str, ...]
    log_dose: Array
    """log10 dose."""
    response: Array
    """Transformed response."""
    raw: Array
    """Response as given."""
    blocks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Block column to its value per row."""
    missing: int = 0

    def names(self) -> tuple[str, ...]:
        """Preparations in the order they appear."""
        return tuple(dict.fromkeys(self.preparation))

    def of(self, name: str) -> Array:
        """Which rows belong to a preparation."""
        return np.array([p == name for p in self.preparation])

    def without(self, names: Sequence[str]) -> PotencyData:
        """The same assay with some preparations left out."""
        keep = [i for i, p in enumerate(self.preparation) if p not in names]
        return PotencyData(
            tuple(self.preparation[i] for i in keep),
            self.log_dose[keep],
            self.response[keep],
            self.raw[keep],
            {k: tuple(v[i] for i in keep) for k, v in self.blocks.items()},
            self.missing,
        )


def transformed(values: Array, name: str) -> Array:
    """Responses on the scale of the model.

    Raises:
        AssayError: a value has no transform.
    """
    bad = {
        "log10": values <= 0,
        "ln": values <= 0,
        "sqrt": values < 0,
        "logit": (values <= 0) | (values >= 1),
    }.get(name)
    if bad is not None and bad.any():
        bound = {"logit": "between 0 and 1", "sqrt": "at least 0"}.get(name, "above 0")
        raise AssayError(
            f"the response {values[bad][0]:g} has no {name}: responses must be {bound}",
            remedy="use another --transform, or give shares instead of percent"
            if name == "logit"
            else "use another --transform",
        )
    return _FUNCTIONS[name](values)


def read_potency(path: Path, design: Design, transform: str, *, sheet: str | None = None) -> PotencyData:
    """Rows of a potency assay; an empty response is a missing value.

    Raises:
        AssayError: the file is no such table, a dose is not above 0, a block is missing or used twice.
    """
    table = read_table(path, COLUMNS, sheet=sheet)
    needed = BLOCKS[design]
    raise_all(_problems(table, needed, design))
    rows = [row for row in table.rows if np.isfinite(row.number("response"))]
    if not rows:
        raise AssayError("has no response at all", where=table.source, remedy="fill the column response")
    raw = np.array([row.number("response") for row in rows])
    return PotencyData(
        tuple(row.text("preparation") for row in rows),
        np.log10([row.number("dose") for row in rows]),
        transformed(raw, transform),
        raw,
        {name: tuple(row.text(name) for row in rows) for name in needed},
        len(table.rows) - len(rows),
    )


def _problems(table: Table, needed: Sequence[str], design: str) -> list[Problem]:
    problems = [
        Problem(
            f"design {design} needs a column {name}", table.source, f"add it, or use another --design than {design}"
        )
        for name in needed
        if not table.has(name)
    ]
    seen: dict[tuple[str, ...], int] = {}
    wells: dict[str, int] = {}
    for row in table.rows:
        if row.number("dose") <= 0:
            message = f"dose {row.number('dose'):g} is not above 0"
            problems.append(Problem(message, table.where(row, "dose"), "give the dose itself, not its logarithm"))
        problems += [
            Problem(f"the {name} is empty", table.where(row, name), "name it in every row")
            for name in needed
            if table.has(name) and not row.text(name)
        ]
        well = row.text("well")
        if well and well in wells:
            problems.append(
                Problem(f"well {well} stands on line {wells[well]} already", table.where(row, "well"), "keep one")
            )
        wells.setdefault(well, row.line)
        if design == "latin" and table.has("row") and table.has("column"):
            cell = (row.text("row"), row.text("column"))
            if cell in seen:
                message = f"row {cell[0]}, column {cell[1]} stands on line {seen[cell]} already"
                problems.append(Problem(message, table.where(row, "row"), "a Latin square holds one response per cell"))
            seen.setdefault(cell, row.line)
    return problems
