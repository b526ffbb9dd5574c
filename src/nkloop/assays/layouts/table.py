"""Layouts as one long table: a row per well, every fact in a column of its own, several plates below each other."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from nkloop.assays.layouts.build import build_layout
from nkloop.assays.models import EffectorSample, LayoutWell, PlateLayout, WellRole
from nkloop.assays.readings.values import well_name
from nkloop.assays.table_cells import read_grid
from nkloop.assays.tables import Column, Row, Table, raise_all, read_table
from nkloop.assays.unit_headers import other_unit
from nkloop.errors import Problem
from nkloop.yamlfile.problems import one_of, worded

_TEXT = (
    "plate", "well", "role", "arm", "donor", "sample", "line", "treatment", "treatment_kind", "dose_unit", "method",
    "kind", "main_line", "antigen_negative", "is_car", "started_at",
)  # fmt: skip
COLUMNS = (
    "plate", "well", "role", "arm", "donor", "sample", "line", "nominal_ratio", "true_ratio", "replicate", "block",
    "treatment", "treatment_kind", "dose", "dose_unit", "viability_percent", "purity_percent", "cd16_percent", "is_car",
    "sample_number", "method", "kind", "plate_wells", "main_line", "antigen_negative", "targets_per_well",
    "contact_minutes", "stagger_minutes", "started_at", "seed",
)  # fmt: skip
"""Columns in the order they are written."""
NEEDED = ("well", "role")
ROLES: tuple[str, ...] = get_args(WellRole)
_SAME = {
    "plate": ("barcode",),
    "line": ("target_line", "target"),
    "nominal_ratio": ("et", "e:t", "ratio", "nominal_et"),
    "viability_percent": ("viability",),
    "purity_percent": ("purity",),
    "cd16_percent": ("cd16",),
}
UNITS = {
    **dict.fromkeys(("contact", "stagger", "contact minutes", "stagger minutes"), ("minutes",)),
    **dict.fromkeys(("viability", "purity", "cd16"), ("percent",)),
}
"""Units of the numbers of a layout."""
HAS_TARGETS = {"experimental", "reference_effector", "spontaneous", "maximum", "treated_target"}


def layouts_to_table(layouts: Iterable[PlateLayout]) -> str:
    """CSV text of the table; reading it gives the same layouts."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for layout in layouts:
        samples = {s.name: (number, s) for number, s in enumerate(_everyone(layout), start=1)}
        plate = _plate_cells(layout)
        for well in layout.wells:
            writer.writerow({**plate, **_well_cells(layout, well), **_sample_cells(well, samples)})
    return text.getvalue()


def _everyone(layout: PlateLayout) -> tuple[EffectorSample, ...]:
    return (*layout.samples, *([layout.reference] if layout.reference else []))


def _plate_cells(layout: PlateLayout) -> dict[str, object]:
    return {
        "plate": layout.barcode,
        "method": layout.method,
        "kind": layout.kind,
        "plate_wells": layout.plate_wells,
        "main_line": layout.target_line,
        "targets_per_well": _number(layout.targets_per_well),
        "contact_minutes": _number(layout.contact_minutes),
        "stagger_minutes": "" if layout.stagger_minutes is None else _number(layout.stagger_minutes),
        "started_at": "" if layout.started_at is None else layout.started_at.isoformat(),
        "seed": "" if layout.seed is None else layout.seed,
    }


def _well_cells(layout: PlateLayout, well: LayoutWell) -> dict[str, object]:
    line = layout.line_of(well) if well.role in HAS_TARGETS else well.target_line or ""
    treatment = next((t for t in layout.treatments if t.name == well.treatment), None)
    return {
        "well": well.well,
        "role": well.role,
        "line": line,
        "nominal_ratio": "" if well.nominal_ratio is None else _number(well.nominal_ratio),
        "replicate": well.replicate,
        "block": "" if well.block is None else well.block,
        "treatment": well.treatment or "",
        "treatment_kind": "" if treatment is None else treatment.kind,
        "dose": "" if well.dose is None else _number(well.dose),
        "dose_unit": "" if treatment is None else treatment.unit,
        "antigen_negative": "yes" if line and line in layout.antigen_negative else "",
    }


def _sample_cells(well: LayoutWell, samples: Mapping[str, tuple[int, EffectorSample]]) -> dict[str, object]:
    if well.sample is None or well.sample not in samples:
        return {"sample": well.sample or ""}
    number, sample = samples[well.sample]
    return {
        "arm": sample.arm,
        "donor": sample.donor,
        "sample": sample.name,
        "sample_number": number,
        "true_ratio": "" if well.nominal_ratio is None else f"{sample.true_ratio(well.nominal_ratio):.6g}",
        "viability_percent": _number(sample.viability_percent),
        "purity_percent": _number(sample.purity_percent),
        "cd16_percent": "" if sample.cd16_percent is None else _number(sample.cd16_percent),
        "is_car": "" if sample.is_car is None else "yes" if sample.is_car else "no",
    }


def _number(value: float) -> str:
    """Shortest text that reads back as the same number."""
    return repr(float(value)).removesuffix(".0")


def layouts_from_table(path: Path, defaults: Mapping[str, Any]) -> tuple[PlateLayout, ...]:
    """Read the table; `defaults` gives plate facts (`method`, `contact_minutes`, …) that no column tells.

    Raises:
        AssayError: columns are missing or cells are wrong; every problem with its line and column.
    """
    columns = [
        Column(n, "text" if n in _TEXT else "number", n in NEEDED, n in NEEDED, _SAME.get(n, ())) for n in COLUMNS
    ]
    grid = read_grid(path)
    told = [wrong for header in grid.header if (wrong := other_unit(header, UNITS)) is not None]
    raise_all(Problem(text, f"{grid.source}, line {grid.header_line}", remedy) for text, remedy in told)
    table = read_table(path, columns)
    problems: list[Problem] = []
    plates: dict[str, list[Row]] = {}
    for row in table.rows:
        plates.setdefault(row.text("plate") or str(defaults.get("barcode") or path.stem), []).append(row)
    layouts = [_layout(table, barcode, rows, defaults, problems) for barcode, rows in plates.items()]
    raise_all(problems)
    return tuple(layout for layout in layouts if layout is not None)


def _layout(
    table: Table, barcode: str, rows: Sequence[Row], defaults: Mapping[str, Any], problems: list[Problem]
) -> PlateLayout | None:
    facts = {"barcode": barcode, **_plate_facts(table, rows, defaults, problems)}
    wells = [_well(table, row, problems) for row in rows]
    samples = _samples(table, rows, problems)
    seen: dict[str, int] = {}
    for row, well in zip(rows, wells, strict=True):
        if well is not None and seen.setdefault(str(well["well"]), row.line) != row.line:
            text = f"well {well['well']} of plate {barcode} stands in line {seen[str(well['well'])]} already"
            problems.append(Problem(text, table.where(row, "well"), "give each well one row"))
    if problems:
        return None
    negative = {r.text("line") for r in rows if r.text("antigen_negative").lower() in {"yes", "true", "1"}}
    kinds = {r.text("treatment"): (r.text("treatment_kind"), r.text("dose_unit")) for r in rows if r.text("treatment")}
    try:
        return build_layout(facts, [w for w in wells if w is not None], samples, kinds, negative)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in details["loc"])
        told, remedy = worded(details, [])
        problems.append(Problem(f"{place}: {told}", f"{table.source}, plate {barcode}", remedy or "correct the table"))
        return None


_FACTS: dict[str, Callable[[Row], Any]] = {
    "method": lambda row: row.text("method"),
    "kind": lambda row: row.text("kind"),
    "plate_wells": lambda row: _whole(row, "plate_wells"),
    "main_line": lambda row: row.text("main_line"),
    "targets_per_well": lambda row: row.cells.get("targets_per_well"),
    "contact_minutes": lambda row: row.cells.get("contact_minutes"),
    "stagger_minutes": lambda row: row.cells.get("stagger_minutes"),
    "started_at": lambda row: row.text("started_at"),
    "seed": lambda row: _whole(row, "seed"),
}


def _plate_facts(
    table: Table, rows: Sequence[Row], defaults: Mapping[str, Any], problems: list[Problem]
) -> dict[str, Any]:
    """What is the same for all wells of a plate; two different values in one column are a problem."""
    facts = {key: value for key, value in defaults.items() if value is not None and key in _FACTS}
    for name, take in _FACTS.items():
        values: dict[Any, Row] = {}
        for row in rows:
            value = take(row)
            if value not in (None, ""):
                values.setdefault(value, row)
        if len(values) > 1:
            last = list(values.values())[-1]
            text = f"{name} has {len(values)} values on one plate: {', '.join(str(v) for v in values)}"
            problems.append(Problem(text, table.where(last, name), "a plate has one; write the same in every row"))
        elif values:
            facts[name] = next(iter(values))
    if "started_at" in facts and isinstance(facts["started_at"], str):
        try:
            facts["started_at"] = datetime.fromisoformat(facts["started_at"])
        except ValueError:
            text = f"'{facts.pop('started_at')}' is not a time"
            problems.append(Problem(text, f"{table.source}, column started_at", "write 2026-11-25T14:30:00+00:00"))
    return facts


def _well(table: Table, row: Row, problems: list[Problem]) -> dict[str, Any] | None:
    name, role = well_name(row.text("well")), row.text("role").lower().replace(" ", "_").replace("-", "_")
    if name is None:
        text = f"'{row.text('well')}' is not a well name"
        problems.append(Problem(text, table.where(row, "well"), "use names like A1"))
    if role not in ROLES:
        hint = one_of(role, ROLES)
        problems.append(Problem(f"'{row.text('role')}' is not the role of a well", table.where(row, "role"), hint))
    if name is None or role not in ROLES:
        return None
    for column, lowest in (("nominal_ratio", 0.0), ("replicate", 1.0), ("block", 1.0), ("dose", 0.0)):
        value = row.cells.get(column)
        if isinstance(value, float) and (value < lowest or (column == "nominal_ratio" and value == 0)):
            bound = "above 0" if column == "nominal_ratio" else f"at least {lowest:g}"
            problems.append(Problem(f"{value:g} must be {bound}", table.where(row, column), "correct the number"))
    return {
        "well": name,
        "role": role,
        "sample": _sample_name(row) or None,
        "nominal_ratio": row.cells.get("nominal_ratio"),
        "replicate": _whole(row, "replicate"),
        "block": _whole(row, "block"),
        "target_line": row.text("line") or None,
        "treatment": row.text("treatment") or None,
        "dose": row.cells.get("dose"),
    }


def _sample_name(row: Row) -> str:
    if row.text("sample"):
        return row.text("sample")
    return "/".join(part for part in (row.text("arm"), row.text("donor")) if part)


def _samples(table: Table, rows: Sequence[Row], problems: list[Problem]) -> list[tuple[str, EffectorSample]]:
    """(role, sample) in the order of their numbers, else of their first rows."""
    found: dict[str, tuple[float, str, EffectorSample]] = {}
    for row in rows:
        name = _sample_name(row)
        if not name or name in found:
            continue
        lacking = [c for c in ("viability_percent", "purity_percent") if row.cells.get(c) is None]
        if lacking:
            text = f"sample {name} has no {' and no '.join(lacking)}, so its true E:T is not known"
            problems.append(Problem(text, table.where(row, lacking[0]), "fill the column, 100 only if it was measured"))
            continue
        arm, _, donor = name.partition("/")
        car = row.text("is_car").lower()
        try:
            sample = EffectorSample(
                name=name,
                arm=row.text("arm") or arm,
                donor=row.text("donor") or donor,
                viability_percent=row.number("viability_percent"),
                purity_percent=row.number("purity_percent"),
                cd16_percent=row.number("cd16_percent") if row.cells.get("cd16_percent") is not None else None,
                is_car=None if not car else car in {"yes", "true", "1"},
            )
        except ValidationError as error:
            details = error.errors(include_url=False)[0]
            column = str(details["loc"][0])
            text = f"{details['input']} {details['msg'].lower().removeprefix('input ')}"
            problems.append(Problem(text, table.where(row, column), "correct the number"))
            continue
        number = row.cells.get("sample_number")
        order = number if isinstance(number, float) else len(found) + 1.0
        found[name] = (order, row.text("role"), sample)
    return [(role, sample) for _, role, sample in sorted(found.values(), key=lambda item: item[0])]


def _whole(row: Row, column: str) -> int | None:
    value = row.cells.get(column)
    return int(value) if isinstance(value, float) and value == int(value) else None
