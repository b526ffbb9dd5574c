"""The worklist CSV a robot gets: one table, records `trash`, `pipette`, `labware`, `liquid` and `step`.

The CSV carries what the robot needs and what a person reads beside it: why tips are new or kept, and what a pause is
for, with its time and temperature. It carries no composition of liquids, no barcodes and no targets. `carried` gives a
worklist without the rest, which is what a round trip keeps.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from nkloop.errors import Problem, WorklistError
from nkloop.worklists import rules
from nkloop.worklists.models import Action, DeckItem, Filling, Liquid, OperatorTask, Procedure, Step, Worklist
from nkloop.worklists.robot_interpreter import COLUMNS

_RECORDS = ("trash", "pipette", "labware", "liquid", "step")
_ACTIONS = get_args(Action)
_TIP = re.compile(r"^[a-z][a-z0-9_]*:[A-P](?:[1-9]|1\d|2[0-4])$")
_WHOLE = {"step", "version", "channels", "mix_before", "mix_after", "rpm"}
_DECIMAL = {"temperature_c", "volume_ul", "mix_volume_ul", "flow_factor", "seconds"}
_REQUIRED = {
    "trash": ("slot",),
    "pipette": ("slot", "load_name"),
    "labware": ("slot", "name", "load_name"),
    "liquid": ("name", "labware", "well", "volume_ul"),
    "step": ("step", "action"),
    "transfer": ("labware", "well", "to_labware", "to_well", "volume_ul"),
    "mix": ("labware", "well", "volume_ul"),
    "pause": ("comment",),
    "shake": ("seconds", "rpm"),
    "delay": ("seconds",),
}
_STEP_FIELDS = (
    *("action", "labware", "well", "to_labware", "to_well", "volume_ul", "channels", "tip"),
    *("mix_before", "mix_after", "mix_volume_ul", "flow_factor", "dispense_at", "seconds", "rpm", "comment"),
)
_OF_TASK = ("labware", "well", "seconds")
"""Columns that speak of the task in the line of a pause."""
_DECK_FIELDS = ("slot", "load_name", "namespace", "version", "module", "adapter", "temperature_c")


def to_csv(worklist: Worklist) -> str:
    """Write the table; numbers keep every digit, so that reading gives the same worklist."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for mount, load_name in worklist.pipettes.items():
        writer.writerow({"record": "pipette", "slot": mount, "load_name": load_name})
    for item in worklist.deck:
        told = {name: _cell(getattr(item, name)) for name in _DECK_FIELDS}
        writer.writerow({"record": "labware", "name": item.nickname, "comment": _line(item.label), **told})
    if worklist.trash_slot:
        writer.writerow({"record": "trash", "slot": worklist.trash_slot})
    for filling in worklist.fillings:
        told = {"name": _line(filling.liquid.name), "labware": filling.labware, "well": filling.well}
        writer.writerow({"record": "liquid", "volume_ul": _cell(filling.volume_ul), **told})
    for step in worklist.steps:
        writer.writerow({"record": "step", "step": step.number, **_step_cells(step)})
    return out.getvalue()


def carried(worklist: Worklist, liquids: Mapping[str, Liquid] | None = None) -> Worklist:
    """The worklist with only what its CSV carries; equal to `from_csv(to_csv(worklist), ...)`."""
    known = liquids or {}

    def plain_step(step: Step) -> Step:
        if step.action != "pause" or step.operator is None:
            return step.model_copy(update={"comment": _line(step.comment), "operator": None})
        instruction = _line(step.operator.instruction)
        task = step.operator.model_copy(update={"instruction": instruction, "force_g": None})
        return step.model_copy(update={"comment": instruction, "operator": task, "tip_policy": ""})

    return Worklist(
        name=worklist.name,
        procedure=worklist.procedure,
        pipettes=worklist.pipettes,
        deck=tuple(i.model_copy(update={"label": _line(i.label), "barcode": None}) for i in worklist.deck),
        fillings=tuple(
            f.model_copy(update={"liquid": known.get(_line(f.liquid.name), _named(_line(f.liquid.name)))})
            for f in worklist.fillings
        ),
        steps=tuple(plain_step(step) for step in worklist.steps),
        trash_slot=worklist.trash_slot,
    )


def from_csv(text: str, *, name: str, procedure: Procedure, liquids: Mapping[str, Liquid] | None = None) -> Worklist:
    """Read the table. Liquids not in `liquids` hold 1 µL of themselves per µL.

    Raises:
        WorklistError: with every problem found, each with its line and column.
    """
    rows, problems = _rows(text)
    if problems:
        raise WorklistError.from_problems(problems)
    built: dict[str, list[Any]] = {record: [] for record in _RECORDS}
    for line, row in rows:
        own = list(_problems_of(line, row))
        problems += own
        if own:
            continue
        try:
            built[row["record"]].append(_built(row, liquids or {}))
        except ValidationError as error:
            problems += [_of_model(line, row, item) for item in error.errors()]
    problems += _problems_across(rows)
    if problems:
        raise WorklistError.from_problems(problems)
    return Worklist.model_validate(
        {
            "name": name,
            "procedure": procedure,
            "pipettes": dict(built["pipette"]),
            "deck": tuple(built["labware"]),
            "fillings": tuple(built["liquid"]),
            "steps": tuple(built["step"]),
            "trash_slot": built["trash"][0] if built["trash"] else "",
        }
    )


def _built(row: dict[str, str], liquids: Mapping[str, Liquid]) -> Any:
    """What a sound line says: mount and load name, a deck item, a filling or a step."""
    if row["record"] == "trash":
        return row["slot"]
    if row["record"] == "pipette":
        return row["slot"], row["load_name"]
    if row["record"] == "labware":
        return _deck_item(row)
    if row["record"] == "step":
        return _step(row)
    liquid = liquids.get(row["name"], _named(row["name"]))
    return Filling(labware=row["labware"], well=row["well"], volume_ul=float(row["volume_ul"]), liquid=liquid)


def _named(name: str) -> Liquid:
    return Liquid(name=name, per_ul={name: 1.0})


def _line(text: str) -> str:
    """Text on one line: a line break inside a cell would shift every line number after it."""
    return " ".join(text.split())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def _step_cells(step: Step) -> dict[str, str]:
    """Cells of a step; what has its default stays empty."""
    cells = {}
    for field in _STEP_FIELDS:
        value = getattr(step, field)
        is_default = value == Step.model_fields[field].default and field != "action"
        cells[field] = "" if is_default else _cell(value)
    cells["slot"], cells["name"] = step.mount, _line(step.tip_policy)
    cells["comment"] = _line(step.operator.instruction if step.operator else step.comment)
    return cells | (_task_cells(step.operator) if step.operator else {})


def _task_cells(task: OperatorTask) -> dict[str, str]:
    """What a pause is for: kind, labware and wells separated by spaces, how long and at which temperature."""
    return {
        "name": task.kind,
        "labware": " ".join(task.labware),
        "well": " ".join(task.wells),
        "seconds": _cell(60 * task.minutes) if task.minutes else "",
        "temperature_c": _cell(task.temperature_c),
    }


def _task(row: dict[str, str]) -> OperatorTask:
    return OperatorTask.model_validate(
        {
            "kind": row["name"] or "confirm",
            "instruction": row["comment"],
            "labware": tuple(row["labware"].split()),
            "wells": tuple(row["well"].split()),
            "minutes": float(row["seconds"] or 0) / 60,
            "temperature_c": float(row["temperature_c"]) if row["temperature_c"] else None,
        }
    )


def _rows(text: str) -> tuple[list[tuple[int, dict[str, str]]], list[Problem]]:
    """Non-empty lines with their numbers, or why the table cannot be read."""
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""))
    header = [cell.strip() for cell in next(reader, [])]
    if len(header) <= 1:
        found = "separated by semicolons" if ";" in "".join(header) else "without columns" if header else "empty"
        remedy = "save the file as comma-separated CSV with the columns of a worklist"
        return [], [_problem(1, "record", f"the file is {found}", remedy, rules.CSV_SHAPE)]
    missing = [column for column in COLUMNS if column not in header]
    unknown = [column for column in header if column not in COLUMNS]
    remedy = "save the file as comma-separated CSV with the columns " + ",".join(COLUMNS)
    problems = [_problem(1, column, "the column is missing", remedy, rules.CSV_SHAPE) for column in missing]
    problems += [
        _problem(1, column or "(empty)", "the column is not known", remedy, rules.CSV_SHAPE) for column in unknown
    ]
    if not problems and header != COLUMNS:
        problems = [
            _problem(1, "record", "the columns are in another order, or one stands twice", remedy, rules.CSV_SHAPE)
        ]
    rows = []
    for cells in reader if not problems else ():
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(COLUMNS):
            what = f"{len(cells)} cells instead of {len(COLUMNS)}"
            problems.append(
                _problem(reader.line_num, "record", what, "quote texts that contain a comma", rules.CSV_SHAPE)
            )
            continue
        rows.append((reader.line_num, dict(zip(COLUMNS, (cell.strip() for cell in cells), strict=True))))
    return rows, problems


def _problems_of(line: int, row: dict[str, str]) -> Iterable[Problem]:
    """What is wrong with one line taken by itself."""
    if row["record"] not in _RECORDS:
        yield _problem(line, "record", f"record '{row['record']}' is not known", f"use {', '.join(_RECORDS)}")
        return
    required = list(_REQUIRED[row["record"]])
    if row["record"] == "step" and row["action"]:
        if row["action"] not in _ACTIONS:
            yield _problem(line, "action", f"action '{row['action']}' is not known", f"use {', '.join(_ACTIONS)}")
        required += _REQUIRED.get(row["action"], ())
    for column in required:
        if not row[column]:
            yield _problem(line, column, f"a {row['action'] or row['record']} line needs it", "fill the cell")
    for column in COLUMNS:
        if row[column] and column in _WHOLE | _DECIMAL:
            yield from _number_problems(line, column, row[column])
    if row["tip"] and not _TIP.match(row["tip"]):
        yield _problem(
            line, "tip", f"'{row['tip']}' does not name a tip", "write <tip rack name>:<well>, as tips_200:A1"
        )
    if row["record"] in ("pipette", "step") and row["slot"] not in ("", "left", "right"):
        yield _problem(line, "slot", f"'{row['slot']}' is not a mount", "use left or right")


def _number_problems(line: int, column: str, text: str) -> Iterable[Problem]:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        yield _problem(line, column, f"'{text}' is not a number", "write digits and a decimal point, without a unit")
    elif value < 0:
        yield _problem(line, column, f"{text} is negative, must be at least 0", "write an amount of at least 0")
    elif column in _WHOLE and value != int(value):
        yield _problem(line, column, f"{text} is not a whole number", "write a whole number")


def _problems_across(rows: list[tuple[int, dict[str, str]]]) -> Iterable[Problem]:
    """What lines say of each other: names that exist once, steps in order, labware that is there."""
    names = [row["name"] for _, row in rows if row["record"] == "labware"]
    mounts: set[str] = set()
    seen: set[str] = set()
    last = 0
    for line, row in rows:
        if row["record"] == "labware":
            if row["name"] in seen:
                yield _problem(
                    line, "name", f"two labware are called {row['name']}", "give each its own name", rules.CSV_ACROSS
                )
            seen.add(row["name"])
        elif row["record"] == "pipette":
            if row["slot"] in mounts:
                yield _problem(
                    line, "slot", f"two pipettes on the {row['slot']} mount", "use the other mount", rules.CSV_ACROSS
                )
            mounts.add(row["slot"])
        elif row["record"] in ("liquid", "step"):
            places = {"labware": row["labware"], "to_labware": row["to_labware"], "tip": row["tip"].partition(":")[0]}
            if row["action"] == "pause":
                places = {"labware": next((one for one in row["labware"].split() if one not in names), "")}
            for column, place in places.items():
                if place and place not in names:
                    yield _problem(
                        line, column, f"no labware is called '{place}'", "add its labware line", rules.LABWARE_MISSING
                    )
        if row["record"] == "step" and row["step"].isdigit():
            if int(row["step"]) <= last:
                yield _problem(
                    line, "step", f"step {row['step']} after step {last}", "number the steps upwards", rules.CSV_ACROSS
                )
            last = int(row["step"])
    if not any(row["record"] == "step" for _, row in rows):
        yield _problem(1, "record", "the worklist has no step", "add step lines", rules.CSV_ACROSS)


def _deck_item(row: dict[str, str]) -> DeckItem:
    return DeckItem(
        nickname=row["name"],
        slot=row["slot"],
        load_name=row["load_name"],
        namespace=row["namespace"] or "opentrons",
        version=int(float(row["version"] or 1)),
        label=row["comment"],
        module=row["module"] or None,
        adapter=row["adapter"] or None,
        temperature_c=float(row["temperature_c"]) if row["temperature_c"] else None,
    )


def _step(row: dict[str, str]) -> Step:
    told: dict[str, Any] = {"number": int(float(row["step"])), "mount": row["slot"]}
    is_pause = row["action"] == "pause"
    for field in _STEP_FIELDS:
        if row[field] and not (is_pause and field in _OF_TASK):
            value = row[field]
            told[field] = int(float(value)) if field in _WHOLE else float(value) if field in _DECIMAL else value
    if is_pause:
        told["operator"] = _task(row)
    else:
        told["tip_policy"] = row["name"]
    return Step.model_validate(told)


def _problem(line: int, column: str, message: str, remedy: str, rule: str = rules.CSV_CELL) -> Problem:
    return Problem(message, f"worklist line {line}, column {column}", remedy, rule)


_FORMATS = {
    "slot": "is not a slot: A1 to D4 on a Flex, 1 to 11 on an OT-2",
    "nickname": "is not a name: small letters, digits and underscores, a letter first",
}
"""What a pattern of a model means in words."""


def _of_model(line: int, row: dict[str, str], item: Any) -> Problem:
    """A refusal of the model, told with the column it is about."""
    field = str(item["loc"][0]) if item["loc"] else ""
    column = {"nickname": "name", "number": "step", "label": "comment"}.get(field, field) or row["record"]
    given = f"'{row[column]}': " if column in row else ""
    said = _FORMATS.get(field) or str(item["msg"]).replace("Input should be", "must be")
    return _problem(line, column, f"{given}{said}", "correct the cell")
