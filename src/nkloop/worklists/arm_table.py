"""Arm tables people write, as CSV or XLSX: one line per arm (wide), or one line per arm and component (long).

Wide: `arm`, then one column per component. A cell is a concentration with its unit (`50 ng/mL`), a factor of the
recipe's concentration (`x2`), or a plain number when the header carries the unit (`SCF [ng/mL]`, `IL-2 [x]`). An empty
cell leaves the recipe's concentration. Long: `arm`, `component`, `amount`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nkloop.assays.table_cells import Grid, read_grid
from nkloop.errors import AssayError, PlanError, Problem, QuantityError
from nkloop.feedback.models import Arm
from nkloop.quantities import Amount
from nkloop.recipes.media import Component
from nkloop.recipes.models import Ingredient, Recipe
from nkloop.recipes.ranges import amount_fits
from nkloop.worklists.arms import FACTOR, REFERENCE, complete_arms, varied_in
from nkloop.worklists.recipe_arms import control_arms

_HEADER = re.compile(r"^(.+?)\s*(?:[\[(]\s*(.+?)\s*[\])])?$")
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]*$")
_NUMBER = re.compile(r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$")
_LONG = ("arm", "component", "amount")
MOST_PROBLEMS = 20


@dataclass
class _Found:
    """Arms as they are read: factors and where the arm stands first."""

    factors: dict[str, dict[str, float]] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)


def read_arm_table(path: Path, recipe: Recipe, stage_id: str, *, sheet: str | None = None) -> tuple[Arm, ...]:
    """Arms of a table; the reference is added when the table does not name it.

    Raises:
        PlanError: with every problem: file, line, column, value, bound and remedy.
    """
    try:
        grid = read_grid(path, sheet)
    except AssayError as error:
        raise PlanError.from_problems(error.problems) from error
    varied = varied_in(recipe, stage_id)
    medium = recipe.stage(stage_id).medium
    ingredients = {i.component: i for i in medium.ingredients if i.component in varied}
    reader = _Reader(grid, ingredients, {name: recipe.component(name) for name in ingredients})
    is_long = [cell.strip().casefold() for cell in grid.header[:3]] == list(_LONG)
    reader.read_long() if is_long else reader.read_wide()
    if not grid.rows:
        reader.problems.append(Problem("has a header but no arm", grid.source, "write one arm on each line"))
    found = reader.found
    arms: tuple[Arm, ...] = ()
    try:
        arms = complete_arms(recipe, stage_id, [(n, f, found.where[n]) for n, f in found.factors.items() if f])
    except PlanError as error:
        reader.problems += error.problems
    known = {REFERENCE, *(arm.name for arm in control_arms(recipe))}
    idle = [name for name, factors in found.factors.items() if not factors and name not in known]
    if not reader.problems:
        reader.problems += [Problem(f"arm '{n}' changes nothing", found.where[n], "fill a cell") for n in idle]
    _refuse(reader.problems)
    return arms


def _refuse(problems: list[Problem]) -> None:
    if not problems:
        return
    told = problems[:MOST_PROBLEMS]
    if len(problems) > MOST_PROBLEMS:
        told.append(Problem(f"and {len(problems) - MOST_PROBLEMS} more problems", told[0].where))
    raise PlanError.from_problems(told)


class _Reader:
    """Reads a grid into factors per arm, collecting what is wrong."""

    def __init__(self, grid: Grid, ingredients: Mapping[str, Ingredient], components: Mapping[str, Component]) -> None:
        self.grid, self.ingredients, self.components = grid, ingredients, components
        self.found = _Found()
        self.problems: list[Problem] = []

    def read_wide(self) -> None:
        columns = dict(self._columns())
        if self.problems:
            return
        for line, cells in self.grid.rows:
            name = self._arm(line, _text(cells[0] if cells else None), is_new=True)
            if any(_text(cell) for cell in cells[len(self.grid.header) :]):
                message = f"has {len(cells)} cells, the header has {len(self.grid.header)}"
                self._say(message, line, "", "quote texts that contain the separator")
            for at, (component, unit) in columns.items():
                text = _text(cells[at] if at < len(cells) else None)
                if text and name is not None:
                    self._cell(name, component, text, unit, line)

    def read_long(self) -> None:
        seen: dict[tuple[str, str], int] = {}
        for line, cells in self.grid.rows:
            arm, component, amount = (_text(cells[at] if at < len(cells) else None) for at in range(3))
            name = self._arm(line, arm, is_new=False)
            if component not in self.ingredients and (component or amount):
                self._unknown(component, line, "component")
            elif name is not None and not amount and component:
                self._say("the cell is empty", line, "amount", "write an amount, or leave the line out")
            elif name is not None and (name, component) in seen:
                first = seen[name, component]
                self._say(f"{component} of arm '{name}' stands in line {first} already", line, "component", _ONCE)
            elif name is not None and component:
                seen[name, component] = line
                self._cell(name, component, amount, "", line, column="amount")

    def _columns(self) -> Iterator[tuple[int, tuple[str, str]]]:
        """Position to component and unit of every column but the first."""
        header, line = self.grid.header, self.grid.header_line
        if not header or header[0].strip().casefold() != "arm":
            first = header[0] if header else ""
            self._say(f"the first column is '{first}', must be 'arm'", line, first, "begin the header with arm")
            return
        if len(header) < 2:
            self._say("names no component", line, "", f"add a column for {', '.join(self.ingredients)}")
        seen: set[str] = set()
        for at, text in enumerate(header[1:], start=1):
            if not text.strip():
                if any(_text(cells[at]) for _, cells in self.grid.rows if at < len(cells)):
                    self._say(f"column {at + 1} has no header", line, "", "name its component")
                continue
            match = _HEADER.match(text.strip())
            component, unit = (match[1], match[2] or "") if match else (text, "")
            if component not in self.ingredients:
                self._unknown(component, line, text)
            elif component in seen:
                self._say(f"component {component} has two columns", line, text, _ONCE)
            else:
                seen.add(component)
                yield at, (component, unit)

    def _arm(self, line: int, name: str, *, is_new: bool) -> str | None:
        if not _NAME.match(name):
            reason = f"'{name}' is no arm name" if name else "the arm has no name"
            self._say(reason, line, "arm", "use small letters, digits and '-', as arm-1")
            return None
        if is_new and name in self.found.where:
            self._say(f"arm '{name}' is named twice, first in {self.found.where[name]}", line, "arm", _OWN)
            return None
        self.found.where.setdefault(name, self._where(line))
        self.found.factors.setdefault(name, {})
        return name

    def _cell(self, arm: str, component: str, text: str, unit: str, line: int, column: str = "") -> None:
        try:
            self.found.factors[arm][component] = self._factor(self.ingredients[component], text, unit)
        except QuantityError as error:
            problem = error.problems[0]
            self._say(problem.message, line, column or component, problem.remedy)

    def _factor(self, ingredient: Ingredient, text: str, unit: str) -> float:
        """Factor of the recipe's concentration; raises QuantityError."""
        as_factor = FACTOR.match(text)
        if as_factor or (unit.casefold() in {"x", "×", "factor"} and _NUMBER.match(text)):
            factor = float(as_factor[1] or as_factor[2]) if as_factor else float(text)
            return _positive(factor, text)
        if _NUMBER.match(text):
            if not unit:
                remedy = f"write {ingredient.amount}, x2, or the unit in the header as {ingredient.component} [ng/mL]"
                raise QuantityError(f"'{text}' has no unit", remedy=remedy)
            text = f"{text} {unit}"
        amount = Amount.parse(text, substance=ingredient.component)
        wanted = ingredient.amount.of(ingredient.component)
        if amount.kind is not wanted.kind:
            raise QuantityError(
                f"{amount} is {amount.kind.words}, {ingredient.component} of this stage is {wanted.kind.words}",
                remedy=f"write it like {wanted}, or as a factor such as x2",
            )
        factor = _positive(round(amount.canonical / wanted.canonical, 9), text)
        for finding in amount_fits((), self.components[ingredient.component], amount):
            raise QuantityError(finding.message, remedy=finding.remedy)
        return factor

    def _unknown(self, component: str, line: int, column: str) -> None:
        remedy = f"use {', '.join(self.ingredients)}"
        self._say(f"component '{component}' is not varied in this stage", line, column, remedy)

    def _where(self, line: int, column: str = "") -> str:
        return f"{self.grid.source}, line {line}" + (f", column {column}" if column else "")

    def _say(self, message: str, line: int, column: str, remedy: str) -> None:
        self.problems.append(Problem(message, self._where(line, column), remedy))


_ONCE = "give each component once"
_OWN = "give each arm its own name"


_ABOVE_0 = "write a concentration above 0; to leave the component out, plan with a recipe that lacks it"


def _positive(factor: float, text: str) -> float:
    if factor <= 0:
        raise QuantityError(f"'{text}' must be above 0", remedy=_ABOVE_0)
    return factor


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
