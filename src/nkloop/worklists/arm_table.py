"""Arm tables people write, as CSV or XLSX: one line per arm (wide), or one line per arm and component (long).

Wide: `arm`, then one column per component. A cell is a concentration with its unit (`50 ng/mL`), a factor of the
recipe's concentration (`x2`), 0 for none of it, or a plain number when the header carries the unit (`SCF [ng/mL]`,
`IL-2 [x]`). An empty cell leaves the recipe's concentration. Long: `arm`, `component`, `amount`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nkloop.assays.table_cells import Grid, read_grid
from nkloop.errors import AssayError, PlanError, Problem, QuantityError
from nkloop.feedback.models import Arm
from nkloop.recipes.models import Recipe
from nkloop.worklists.arm_levels import Level, Levels
from nkloop.worklists.arms import REFERENCE, complete_arms
from nkloop.worklists.recipe_arms import control_arms

_HEADER = re.compile(r"^(.+?)\s*(?:[\[(]\s*(.+?)\s*[\])])?$")
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]*$")
_LONG = ("arm", "component", "amount")
MOST_PROBLEMS = 20


@dataclass
class _Found:
    """Arms as they are read: levels and where the arm stands first."""

    levels: dict[str, dict[str, Level]] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)


def read_arm_table(
    path: Path, recipe: Recipe, stage_id: str, *, sheet: str | None = None, more: Collection[str] = ()
) -> tuple[Arm, ...]:
    """Arms of a table; the reference is added when the table does not name it.

    Args:
        path: CSV or XLSX.
        recipe: gives the concentrations that factors are of.
        stage_id: stage the arms are for.
        sheet: of a workbook; its first when None.
        more: components that lots are at hand of, beyond those of the recipe.

    Raises:
        PlanError: with every problem: file, line, column, value, bound and remedy.
    """
    try:
        grid = read_grid(path, sheet)
    except AssayError as error:
        raise PlanError.from_problems(error.problems) from error
    reader = _Reader(grid, Levels(recipe, stage_id, more))
    is_long = [cell.strip().casefold() for cell in grid.header[:3]] == list(_LONG)
    reader.read_long() if is_long else reader.read_wide()
    if not grid.rows:
        reader.problems.append(Problem("has a header but no arm", grid.source, "write one arm on each line"))
    found = reader.found
    arms: tuple[Arm, ...] = ()
    try:
        arms = complete_arms(recipe, stage_id, [(n, some, found.where[n]) for n, some in found.levels.items() if some])
    except PlanError as error:
        reader.problems += error.problems
    known = {REFERENCE, *(arm.name for arm in control_arms(recipe))}
    idle = [name for name, some in found.levels.items() if not some and name not in known]
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
    """Reads a grid into levels per arm, collecting what is wrong."""

    def __init__(self, grid: Grid, levels: Levels) -> None:
        self.grid, self.levels = grid, levels
        self.found = _Found()
        self.problems: list[Problem] = []

    def read_wide(self) -> None:
        """One line per arm, one column per component; what is wrong is kept in `problems`."""
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
        """One line per arm and component; what is wrong is kept in `problems`."""
        seen: dict[tuple[str, str], int] = {}
        for line, cells in self.grid.rows:
            arm, component, amount = (_text(cells[at] if at < len(cells) else None) for at in range(3))
            name = self._arm(line, arm, is_new=False)
            if (component or amount) and self._is_unknown(component, line, "component"):
                continue
            if name is not None and not amount and component:
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
            self._say("names no component", line, "", f"add a column for {', '.join(self.levels.ingredients)}")
        seen: set[str] = set()
        for at, text in enumerate(header[1:], start=1):
            if not text.strip():
                if any(_text(cells[at]) for _, cells in self.grid.rows if at < len(cells)):
                    self._say(f"column {at + 1} has no header", line, "", "name its component")
                continue
            match = _HEADER.match(text.strip())
            component, unit = (match[1], match[2] or "") if match else (text, "")
            if self._is_unknown(component, line, text):
                continue
            if component in seen:
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
        self.found.levels.setdefault(name, {})
        return name

    def _cell(self, arm: str, component: str, text: str, unit: str, line: int, column: str = "") -> None:
        try:
            self.found.levels[arm][component] = self.levels.read(component, text, unit)
        except QuantityError as error:
            problem = error.problems[0]
            self._say(problem.message, line, column or component, problem.remedy)

    def _is_unknown(self, component: str, line: int, column: str) -> bool:
        refusal = self.levels.refusal(component)
        if refusal is not None:
            self._say(refusal[0], line, column, refusal[1])
        return refusal is not None

    def _where(self, line: int, column: str = "") -> str:
        return f"{self.grid.source}, line {line}" + (f", column {column}" if column else "")

    def _say(self, message: str, line: int, column: str, remedy: str) -> None:
        self.problems.append(Problem(message, self._where(line, column), remedy))


_ONCE = "give each component once"
_OWN = "give each arm its own name"


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
