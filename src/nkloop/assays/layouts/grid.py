"""Layouts drawn as plates: lines that describe plate and samples, then the grid people paste from a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nkloop.assays.layouts.build import build_layout
from nkloop.assays.layouts.codes import RESERVED, cell_of, well_of
from nkloop.assays.layouts.table import UNITS
from nkloop.assays.models import EffectorSample, PlateLayout
from nkloop.assays.readings.cells import Row
from nkloop.assays.readings.grid import grid_at
from nkloop.assays.tables import raise_all
from nkloop.assays.unit_headers import other_unit
from nkloop.errors import AssayError, Problem
from nkloop.yamlfile.problems import did_you_mean, one_of, worded

_FACTS = {
    "plate": "barcode",
    "kind": "kind",
    "method": "method",
    "target line": "main_line",
    "targets per well": "targets_per_well",
    "contact minutes": "contact_minutes",
    "stagger minutes": "stagger_minutes",
    "started at": "started_at",
    "seed": "seed",
}
_LISTS = ("sample", "reference", "treatment", "antigen negative")
_SIZES = {96: ("ABCDEFGH", 12), 384: ("ABCDEFGHIJKLMNOP", 24)}


def layouts_to_grid(layouts: Iterable[PlateLayout]) -> str:
    """CSV text of the grids; reading it gives the same layouts.

    Raises:
        AssayError: a name could be read in two ways inside a cell.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for layout in layouts:
        _refuse_names(layout)
        facts = {"main_line": layout.target_line, **layout.model_dump(mode="json", exclude={"wells", "samples"})}
        writer.writerows([name, facts[field]] for name, field in _FACTS.items() if facts[field] is not None)
        writer.writerows(["sample", *_cells(s)] for s in layout.samples)
        writer.writerows(["reference", *_cells(s)] for s in ([layout.reference] if layout.reference else []))
        writer.writerows(["treatment", t.name, t.kind, t.unit] for t in layout.treatments)
        if layout.antigen_negative:
            writer.writerow(["antigen negative", *layout.antigen_negative])
        letters, width = _SIZES[layout.plate_wells]
        wells = {w.well: w for w in layout.wells}
        writer.writerow(["", *range(1, width + 1)])
        for letter in letters:
            row = (wells.get(f"{letter}{c}") for c in range(1, width + 1))
            writer.writerow([letter, *("." if w is None else cell_of(w) for w in row)])
    return text.getvalue()


def layouts_from_grid(path: Path, rows: Sequence[Row], defaults: Mapping[str, Any]) -> tuple[PlateLayout, ...]:
    """Read grids; each is described by the lines above it.

    Raises:
        AssayError: lines or cells that mean nothing, samples that no line describes; all with their line.
    """
    problems: list[Problem] = []
    layouts, place = [], 0
    facts, lists = dict(defaults), {name: [] for name in _LISTS}  # type: dict[str, Any], dict[str, list[Row]]
    while place < len(rows):
        row = rows[place]
        grid = grid_at(rows, place)
        name = row.cells[0].strip().rstrip(":").lower()
        if grid is not None:
            cells = grid.cells()
            facts = {"barcode": path.stem, "plate_wells": 96 if grid.width == 12 else 384, **facts}
            layout = _layout(path, row.line, facts, lists, cells, problems)
            layouts += [layout] if layout is not None else []
            facts, lists, place = dict(defaults), {name: [] for name in _LISTS}, grid.end
            continue
        if name in _FACTS:
            facts[_FACTS[name]] = row.cell(1)
        elif name in _LISTS:
            lists[name].append(row)
        else:
            hint = one_of(name, [*_FACTS, *_LISTS])
            told = other_unit(name, UNITS) or (f"'{row.cells[0]}' is not understood above a grid", hint)
            problems.append(Problem(told[0], f"{path}:{row.line}", told[1]))
        place += 1
    if not layouts and not problems:
        problems.append(Problem("there is no grid in the file", str(path), "draw rows A, B, … below columns 1, 2, …"))
    raise_all(problems)
    return tuple(layouts)


def _layout(
    path: Path,
    line: int,
    facts: Mapping[str, Any],
    lists: Mapping[str, Sequence[Row]],
    cells: Sequence[tuple[int, str, str]],
    problems: list[Problem],
) -> PlateLayout | None:
    before = len(problems)
    samples = [(_role(name), _sample(path, row, problems)) for name in ("sample", "reference") for row in lists[name]]
    known = {s.name for _, s in samples if s is not None}
    wells = []
    for number, well, cell in cells:
        told = well_of(well, cell)
        if told is None:
            text = f"well {well} holds '{cell}', which is neither a control nor a sample with its E:T"
            problems.append(
                Problem(text, f"{path}:{number}", "write S, M, BG, VC, ring, or a sample like arm-1/U1 10:1")
            )
        elif told["sample"] is not None and told["sample"] not in known:
            text = f"well {well} names sample '{told['sample']}', which no line above describes"
            advice = did_you_mean(told["sample"], known) or "add: sample, name, arm, donor, viability %, purity %"
            problems.append(Problem(text, f"{path}:{number}", advice))
        else:
            wells.append(told)
    treatments = {row.cell(1): (row.cell(2), row.cell(3)) for row in lists["treatment"]}
    negative = [cell for row in lists["antigen negative"] for cell in row.cells[1:] if cell]
    if len(problems) > before:
        return None
    told_facts = dict(facts)
    if isinstance(told_facts.get("started_at"), str):
        try:
            told_facts["started_at"] = datetime.fromisoformat(told_facts["started_at"])
        except ValueError:
            problems.append(Problem(f"'{told_facts['started_at']}' is not a time", f"{path}:{line}", "write ISO 8601"))
            return None
    try:
        return build_layout(told_facts, wells, [(r, s) for r, s in samples if s is not None], treatments, negative)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            place = ".".join(str(step) for step in details["loc"])
            text, remedy = worded(details, [])
            advice = remedy or "correct the lines above the grid"
            problems.append(Problem(f"{place}: {text}", f"{path}:{line}", advice))
        return None


def _role(name: str) -> str:
    return "reference_effector" if name == "reference" else "experimental"


def _cells(sample: EffectorSample) -> list[object]:
    car = "" if sample.is_car is None else "car" if sample.is_car else "untransduced"
    numbers = (sample.viability_percent, sample.purity_percent, sample.cd16_percent)
    return [
        sample.name,
        sample.arm,
        sample.donor,
        *("" if n is None else repr(n).removesuffix(".0") for n in numbers),
        car,
    ]


def _sample(path: Path, row: Row, problems: list[Problem]) -> EffectorSample | None:
    try:
        return EffectorSample.model_validate(
            {
                "name": row.cell(1),
                "arm": row.cell(2),
                "donor": row.cell(3),
                "viability_percent": row.cell(4) or None,
                "purity_percent": row.cell(5) or None,
                "cd16_percent": row.cell(6) or None,
                "is_car": {"car": True, "untransduced": False}.get(row.cell(7)),
            }
        )
    except ValidationError as error:
        for details in error.errors(include_url=False):
            text = f"{details['loc'][0]} of sample {row.cell(1)}: {worded(details, [])[0]}"
            advice = "write: sample, name, arm, donor, viability %, purity %, CD16 %, car or untransduced"
            problems.append(Problem(text, f"{path}:{row.line}", advice))
        return None


def _refuse_names(layout: PlateLayout) -> None:
    samples = (*layout.samples, *([layout.reference] if layout.reference else []))
    names = [*(s.name for s in samples), *(t.name for t in layout.treatments), *layout.lines]
    bad = [name for name in names if RESERVED.search(name) or name != " ".join(name.split())]
    if bad:
        raise AssayError(
            f"the names {', '.join(repr(n) for n in bad)} could be misread in a grid",
            where=f"layout of plate {layout.barcode}",
            remedy="write the long table, or use names without a blank before + @ # ~ and without bare numbers",
        )
