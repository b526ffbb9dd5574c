"""What vessels hold before a dose, as people measured it: a table with one line per well or bag (CSV or XLSX).

Columns: `well` (or `bag`), `volume`, optionally `cells` (viable, per volume), and one per component the arms add. Cells
carry their unit, or the header does: `volume [µL]`, `SCF [ng/mL]`, `cells [cells/mL]`. For bags `vessel` may name the
kind of bag each one is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from nkloop.assays.table_cells import Grid, read_grid
from nkloop.errors import AssayError, PlanError, Problem, QuantityError, first_of
from nkloop.frozen import FrozenModel
from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import Ingredient

_HEADER = re.compile(r"^(.+?)\s*(?:[\[(]\s*(.+?)\s*[\])])?$")
_NUMBER = re.compile(r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$")
_VOLUME, _CELLS, _VESSEL = "volume", "cells", "vessel"


class Present(FrozenModel):
    """What one vessel holds."""

    volume_ul: float = Field(gt=0)
    per_ul: dict[str, float]
    """Component to canonical concentration, of the components in the table."""
    cells_per_ul: float | None = None
    """Viable cells; None when they were not counted."""
    label: str = ""
    """What stands on the vessel, where that is another name than the plan's."""
    vessel: str = ""
    """Kind of the closed vessel as the table names it; empty when it does not say."""


def read_present(
    path: Path,
    ingredients: Collection[Ingredient],
    vessels: Collection[str],
    kind: str = "well",
    also: Sequence[Ingredient] = (),
    called: Mapping[str, str] | None = None,
) -> dict[str, Present]:
    """Contents per vessel.

    Args:
        path: the table.
        ingredients: what the arms add; each needs a column, because what remains of it decides the dose.
        vessels: names that must be in the table, each once.
        kind: `well` or `bag`, the header of the first column.
        also: what may have a column besides; the first of a component says in which kind of unit.
        called: other names a vessel may have on its label, each to its name in `vessels`.

    Raises:
        PlanError: with every problem: file, line, column, value, bound and remedy.
    """
    try:
        grid = read_grid(path)
    except AssayError as error:
        raise PlanError.from_problems(error.problems) from error
    reader = _Reader(grid, {i.component: i for i in ingredients}, vessels, kind)
    reader.called = called or {}
    reader.optional = {i.component: i for i in reversed(also) if i.component not in reader.ingredients}
    found = reader.read()
    if reader.problems:
        raise PlanError.from_problems(reader.problems)
    return found


class _Reader:
    def __init__(self, grid: Grid, ingredients: Mapping[str, Ingredient], vessels: Collection[str], kind: str) -> None:
        self.grid, self.ingredients, self.vessels, self.kind = grid, ingredients, vessels, kind
        self.optional: dict[str, Ingredient] = {}
        self.called: Mapping[str, str] = {}
        self.problems: list[Problem] = []

    def read(self) -> dict[str, Present]:
        """Contents by vessel; what is wrong is kept in `problems`."""
        columns = self._columns()
        if self.problems:
            return {}
        found: dict[str, Present] = {}
        for line, cells in self.grid.rows:
            label = str(cells[0] or "").strip() if cells else ""
            name = self.called.get(label, label)
            if name not in self.vessels:
                remedy = f"use one of: {', '.join(list(self.vessels)[:8])}"
                self._say(f"{self.kind} '{label}' has no arm in this plan", line, self.kind, remedy)
                continue
            if name in found:
                self._say(f"{self.kind} {name} stands twice", line, self.kind, "give each once")
                continue
            values = self._values(line, cells, columns)
            if values is not None:
                found[name] = values if label == name else values.model_copy(update={"label": label})
        labels = (str(cells[0] or "").strip() for _, cells in self.grid.rows if cells)
        named = {self.called.get(label, label) for label in labels}
        if missing := [name for name in self.vessels if name not in named]:
            shown = first_of(missing, 8)
            message = f"has no line for {self.kind} {shown}"
            self.problems.append(Problem(message, self.grid.source, "state what every vessel of the plan holds"))
        return found

    @property
    def _own_columns(self) -> tuple[str, ...]:
        """Columns that are no components."""
        return (_VOLUME, _CELLS, _VESSEL) if self.kind == "bag" else (_VOLUME, _CELLS)

    def _columns(self) -> dict[str, tuple[int, str]]:
        """Quantity to its column and the unit of its header."""
        header, line = self.grid.header, self.grid.header_line
        if header[0].strip().casefold() != self.kind:
            self._say(f"the first column is '{header[0]}', must be '{self.kind}'", line, header[0], "rename it")
            return {}
        known: dict[str, tuple[int, str]] = {}
        for at, text in enumerate(header[1:], start=1):
            match = _HEADER.match(text.strip())
            name, unit = (match[1], match[2] or "") if match else (text, "")
            if name in known:
                self._say(f"{name} has two columns", line, text, "keep one of them")
            elif name in self._own_columns or name in self.ingredients or name in self.optional:
                known[name] = (at, unit)
            elif name:
                remedy = f"use {', '.join((*self._own_columns, *self.ingredients))}"
                self._say(f"'{name}' is nothing the arms of this plan add", line, text, remedy)
        for name in (_VOLUME, *self.ingredients):
            if name not in known:
                what = "the volume" if name == _VOLUME else f"what remains of {name}"
                self._say(f"has no column {name}: {what} is not known", line, "", f"add a column {name}")
        return known

    def _values(self, line: int, cells: tuple[object, ...], columns: Mapping[str, tuple[int, str]]) -> Present | None:
        before = len(self.problems)
        volume = self._amount(line, cells, columns, _VOLUME, Kind.VOLUME)
        counted = self._amount(line, cells, columns, _CELLS, Kind.CELL_DENSITY) if _CELLS in columns else None
        per_ul = {}
        asked = {**self.ingredients, **{name: one for name, one in self.optional.items() if name in columns}}
        for name, ingredient in asked.items():
            wanted = ingredient.amount.of(name)
            value = self._amount(line, cells, columns, name, wanted.kind)
            per_ul[name] = value or 0.0
        if volume is not None and volume <= 0:
            self._say("the volume is 0, there is nothing to dose", line, _VOLUME, "leave the line and its arm out")
        if len(self.problems) > before or volume is None:
            return None
        vessel = _text(cells, columns[_VESSEL][0]) if _VESSEL in columns else ""
        return Present(volume_ul=volume, per_ul=per_ul, cells_per_ul=counted, vessel=vessel)

    def _amount(
        self, line: int, cells: tuple[object, ...], columns: Mapping[str, tuple[int, str]], name: str, kind: Kind
    ) -> float | None:
        at, unit = columns[name]
        text = _text(cells, at)
        if not text:
            self._say("the cell is empty", line, name, "write an amount; 0 with its unit when there is none")
            return None
        try:
            written = f"{text} {unit}" if _NUMBER.match(text) and unit else text
            amount = Amount.parse(written, substance=name)
            if amount.kind is not kind:
                raise QuantityError(f"{amount} is {amount.kind.words}", remedy=f"write {kind.words}, as 5 {kind.value}")
            if amount.canonical < 0:
                raise QuantityError(f"{amount} is negative", remedy="write at least 0")
            return amount.to("v/v") if kind is Kind.FRACTION else amount.canonical
        except QuantityError as error:
            problem = error.problems[0]
            self._say(problem.message, line, name, problem.remedy)
            return None

    def _say(self, message: str, line: int, column: str, remedy: str) -> None:
        where = f"{self.grid.source}, line {line}" + (f", column {column}" if column else "")
        self.problems.append(Problem(message, where, remedy))


def _text(cells: tuple[object, ...], at: int) -> str:
    return str(cells[at]).strip() if at < len(cells) and cells[at] is not None else ""
