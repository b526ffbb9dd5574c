"""A recipe as a long table for spreadsheets: one row per value, read back with every bad row named.

Columns: `block` (what the row belongs to), `stage`, `item` (which component, day or quantity), `field`, `value`,
`source`, `verified_by`. Lists are separated by semicolons; an item that comes again in a block is numbered: `SCF #2`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nkloop.errors import Problem, RecipeError
from nkloop.recipes.checks import find_problems
from nkloop.recipes.models import Recipe
from nkloop.recipes.writing import without_empty
from nkloop.yamlfile.problems import did_you_mean, validate_plain
from nkloop.yamlfile.reader import Positions, YamlPath

COLUMNS = ("block", "stage", "item", "field", "value", "source", "verified_by")
_TEXTS = frozenset(
    {"id", "title", "name", "component", "reference", "note", "instruction", "action", "why", "reason", "parent"}
    | {"starting_material", "derived_from", "approved_by", "approved_at", "substance"}
)
"""Fields whose value is text even when it looks like a number."""
_AGAIN = re.compile(r" #\d+$")


class _Block(NamedTuple):
    """Where the rows of a block stand in a recipe."""

    path: tuple[str, ...]
    """From the top, or from the stage."""
    key: str = ""
    """Field that the item names; empty for a block that stands once."""
    in_stage: bool = False
    lists: tuple[str, ...] = ()
    """Fields that hold several values."""


BLOCKS = {
    "recipe": _Block(()),
    "source": _Block(("sources",), "*"),
    "component": _Block(("components",), "name", lists=("plausible",)),
    "carry_over": _Block(("carry_over",), "substance"),
    "error_limits": _Block(("error_limits",)),
    "stage": _Block((), in_stage=True),
    "vessel": _Block(("vessel",), in_stage=True, lists=("volume",)),
    "refresh": _Block(("refresh",), in_stage=True),
    "settling": _Block(("settling",), in_stage=True),
    "process": _Block(("process",), "id", in_stage=True),
    "medium": _Block(("medium",), in_stage=True),
    "mixing": _Block(("medium", "mixing"), in_stage=True),
    "base": _Block(("medium", "base"), in_stage=True),
    "ingredient": _Block(("medium", "additives"), "component", in_stage=True),
    "sampling": _Block(("sampling",), "day", in_stage=True, lists=("measures",)),
    "control": _Block(("controls",), "quantity", in_stage=True, lists=("days",)),
    "entry": _Block(("entry",), "quantity", in_stage=True),
    "exit": _Block(("exit",), "quantity", in_stage=True),
    "expected": _Block(("expected",), "quantity", in_stage=True),
    "arm": _Block(("arms",), "id", lists=("without",)),
    "vary": _Block(("loop", "vary"), "component", lists=("stages",)),
    "objective": _Block(("loop", "objective")),
    "loop": _Block(("loop",)),
    "revision": _Block(("revision",)),
}


def recipe_from_table(source: str, header: Sequence[str], rows: Sequence[tuple[int, tuple[object, ...]]]) -> Recipe:
    """The recipe that a table holds.

    Args:
        source: name of the file, for messages.
        header: names of its columns, in any order.
        rows: line of the file (row of the sheet, from 1) and cells of each row.

    Raises:
        RecipeError: with every problem of the table, each with line and column (counted from 1), value and remedy.
    """
    names = [name.strip().lower().replace(" ", "_") for name in header]
    missing = [name for name in COLUMNS[:5] if name not in names]
    if missing:
        raise RecipeError(
            f"column {', '.join(missing)} is missing",
            where=f"{source}:1",
            remedy=f"name the columns {', '.join(COLUMNS)}",
        )
    reader = _Reader(source, names)
    for line, cells in rows:
        reader.take(line, cells)
    if reader.problems:
        raise RecipeError.from_problems(reader.problems)
    return validate_plain(Recipe, reader.data, reader.positions, RecipeError, check=find_problems)


def table_rows(recipe: Recipe) -> Iterator[tuple[str, ...]]:
    """The rows of a recipe, without header, in the order of `COLUMNS`."""
    plain = without_empty(recipe.model_dump(mode="json"))
    for name, block in BLOCKS.items():
        if not block.in_stage:
            yield from _rows(name, block, plain, "")
    for stage in plain["stages"]:
        for name, block in BLOCKS.items():
            if block.in_stage:
                yield from _rows(name, block, stage, stage["id"])


def csv_text(recipe: Recipe) -> str:
    """The table as CSV with commas."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(table_rows(recipe))
    return stream.getvalue()


def xlsx_bytes(recipe: Recipe) -> bytes:
    """The table as a workbook with one sheet."""
    from openpyxl import Workbook  # slow to import: only this format needs it

    book = Workbook()
    sheet = book.active
    sheet.title = "recipe"
    sheet.append(COLUMNS)
    for row in table_rows(recipe):
        sheet.append(row)
    for cells in sheet.iter_rows():
        for cell in cells:
            cell.data_type = "s"  # text stays text: 1e5 and =x are no numbers and formulas
    sheet.freeze_panes = "A2"
    for letter, width in zip("ABCDEFG", (12, 16, 24, 20, 60, 18, 18), strict=True):
        sheet.column_dimensions[letter].width = width
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _rows(name: str, block: _Block, data: Mapping[str, Any], stage: str) -> Iterator[tuple[str, ...]]:
    here: Any = data
    for step in block.path:
        here = here.get(step, {} if not block.key or block.key == "*" else [])
    if not block.key:
        yield from _fields(name, block, here, stage, "")
    elif block.key == "*":
        for item, fields in here.items():
            yield from _fields(name, block, fields, stage, item)
    else:
        seen: dict[str, int] = {}
        for fields in here:
            label = _cell(fields[block.key])
            seen[label] = seen.get(label, 0) + 1
            item = label if seen[label] == 1 else f"{label} #{seen[label]}"
            yield from _fields(name, block, {k: v for k, v in fields.items() if k != block.key}, stage, item)


def _fields(name: str, block: _Block, fields: Mapping[str, Any], stage: str, item: str) -> Iterator[tuple[str, ...]]:
    cited = (_cell(fields.get("source")), _cell(fields.get("verified_by")))
    told = [
        (key, "; ".join(_cell(one) for one in value) if isinstance(value, list) else _cell(value))
        for key, value in fields.items()
        if key not in {"source", "verified_by"}
        and not (name == "stage" and key == "id")
        and not isinstance(value, dict)
        and not (isinstance(value, list) and key not in block.lists)
    ]
    for index, (key, value) in enumerate(told):
        yield (name, stage, item, key, value, *(cited if index == 0 else ("", "")))


def _typed(field: str, text: str) -> Any:
    """A number or truth value where the field can hold one; texts stay texts."""
    if field in _TEXTS:
        return text
    if text in {"true", "false"}:
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


class _Reader:
    """Builds plain data row by row and remembers where each value stands."""

    def __init__(self, source: str, names: list[str]) -> None:
        self.data: dict[str, Any] = {}
        self.positions = Positions(Path(source))
        self.problems: list[Problem] = []
        self._source, self._names = source, names
        self._stages: dict[str, int] = {}
        self._items: dict[tuple[str, str, str], int] = {}

    def take(self, line: int, cells: Sequence[object]) -> None:
        """Take one row in, or note what is wrong with it."""
        row = {name: _cell(cell) for name, cell in zip(self._names, cells, strict=False)}
        name, stage, field = row["block"].strip(), row.get("stage", "").strip(), row.get("field", "").strip()
        block = BLOCKS.get(name)
        if block is None:
            remedy = did_you_mean(name, BLOCKS) or f"use {', '.join(BLOCKS)}"
            self._refuse(line, "block", f"block '{name}' is not known", remedy)
        elif block.in_stage and not stage:
            self._refuse(line, "stage", f"a row of block {name} names no stage", "write the id of the stage")
        elif block.key and not row.get("item", "").strip():
            self._refuse(line, "item", f"a row of block {name} names no item", "write what the row is about")
        elif not field:
            self._refuse(line, "field", "the row names no field", "write the name of the field")
        else:
            self._put(line, block, name, row, stage, field)

    def _put(self, line: int, block: _Block, name: str, row: Mapping[str, str], stage: str, field: str) -> None:
        here, path = self._place(line, block, name, stage, row.get("item", "").strip())
        value: Any = row.get("value", "")
        if field in here:
            self._refuse(line, "field", f"{field} stands twice for the same item", "keep one of the rows")
            return
        if value:
            parts = [_typed(field, part.strip()) for part in value.split(";")]
            here[field] = parts if field in block.lists else _typed(field, value)
        self.positions.place((*path, field), line, self._column("value"))
        for cited in ("source", "verified_by"):
            if row.get(cited, "").strip():
                here.setdefault(cited, row[cited].strip())
                self.positions.place((*path, cited), line, self._column(cited))

    def _place(self, line: int, block: _Block, name: str, stage: str, item: str) -> tuple[dict[str, Any], YamlPath]:
        """The block of fields a row writes into, made when it is new, and its path."""
        here: Any = self.data
        path: YamlPath = ()
        if block.in_stage:
            index = self._stages.setdefault(stage, len(self._stages))
            stages = here.setdefault("stages", [])
            if index == len(stages):
                stages.append({"id": stage})
            here, path = stages[index], ("stages", index)
            self.positions.place_new(path, line, self._column("stage"))
        for step in block.path[:-1] if block.key else block.path:
            here, path = here.setdefault(step, {}), (*path, step)
            self.positions.place_new(path, line, self._column("block"))
        if not block.key:
            return here, path
        items = here.setdefault(block.path[-1], {} if block.key == "*" else [])
        path = (*path, block.path[-1])
        self.positions.place_new(path, line, self._column("block"))
        if block.key == "*":
            here, path = items.setdefault(item, {}), (*path, item)
        else:
            index = self._items.setdefault((name, stage, item), len(items))
            if index == len(items):
                items.append({block.key: _typed(block.key, _AGAIN.sub("", item))})
            here, path = items[index], (*path, index)
            self.positions.place_new((*path, block.key), line, self._column("item"))
        self.positions.place_new(path, line, self._column("item"))
        return here, path

    def _column(self, name: str) -> int:
        return self._names.index(name) + 1 if name in self._names else 1

    def _refuse(self, line: int, column: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(message, f"{self._source}:{line}:{self._column(column)}", remedy))
