"""Does a layout hold together, and does a reading belong to it?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from nkloop.assays.methods import Method
from nkloop.assays.models import LayoutWell, PlateLayout
from nkloop.assays.readings.values import well_name
from nkloop.errors import AssayError, Problem, ReadingError

UNREAD = frozenset({"medium_ring", "empty"})
"""Roles whose signal nothing depends on."""
_ROWS = {96: "ABCDEFGH", 384: "ABCDEFGHIJKLMNOP"}
_COLUMNS = {96: 12, 384: 24}
_LEAST = {"spontaneous": 2, "maximum": 2, "background": 1, "volume_correction": 1}
"""Wells needed per control: a spread needs two."""


def normal_well(name: str) -> str:
    """`a01` and `A1` are the same well.

    Raises:
        ReadingError: this is not the name of a well.
    """
    well = well_name(name.strip())
    if well is None:
        raise ReadingError(f"'{name}' is not a well name", remedy="use names like A1")
    return well


def check_layout(layout: PlateLayout, method: Method) -> None:
    """Refuse a layout that cannot give lysis values.

    Raises:
        AssayError: wells used twice, controls missing, unknown samples, E:T missing or too few.
    """
    problems = [
        *_well_problems(layout),
        *_control_problems(layout, method),
        *_line_problems(layout, method),
        *_sample_problems(layout, method),
    ]
    if problems:
        raise AssayError.from_problems(problems)


def signals_of(
    layout: PlateLayout,
    values: Mapping[str, float] | Iterable[tuple[str, float]],
    *,
    absent: Collection[str] = (),
) -> dict[str, float]:
    """The finite signal of every well of the layout that was read.

    Wells that hold nothing may be missing, and those in `absent` (over range, or left out with a reason).

    Raises:
        ReadingError: a needed well is missing or not a number, a well is given twice or is not on the plate.
    """
    pairs = values.items() if isinstance(values, Mapping) else values
    named = [(normal_well(well), value) for well, value in pairs]
    where = f"reading of plate {layout.barcode}"
    twice = sorted(well for well, n in Counter(well for well, _ in named).items() if n > 1)
    if twice:
        raise ReadingError(f"wells given twice: {_listed(twice)}", where=where, remedy="keep one value per well")
    read = dict(named)
    problems = []
    roles = {w.well: w.role for w in layout.wells}
    foreign = sorted(set(read) - set(roles))
    if foreign:
        problems.append(
            Problem(f"wells that the layout does not have: {_listed(foreign)}", where, "check plate and layout")
        )
    needed = [well for well, role in roles.items() if role not in UNREAD and well not in absent]
    missing = [well for well in needed if well not in read]
    if missing:
        problems.append(Problem(f"wells without a value: {_listed(missing)}", where, "read the whole plate"))
    broken = [well for well in needed if well in read and not math.isfinite(read[well])]
    if broken:
        problems.append(Problem(f"wells whose value is not a number: {_listed(broken)}", where, "read the plate again"))
    if problems:
        raise ReadingError.from_problems(problems)
    return {well: float(read[well]) for well in roles if well in read and math.isfinite(read[well])}


def _well_problems(layout: PlateLayout) -> list[Problem]:
    where = f"layout of plate {layout.barcode}"
    problems = []
    counts = Counter(w.well for w in layout.wells)
    twice = sorted(well for well, n in counts.items() if n > 1)
    if twice:
        problems.append(Problem(f"wells used twice: {_listed(twice)}", where, "give each well one role"))
    bad = sorted(well for well in counts if well_name(well) != well)
    if bad:
        problems.append(Problem(f"not well names: {_listed(bad)}", where, "use names like A1"))
    size = layout.plate_wells
    beyond = sorted(w for w in set(counts) - set(bad) if w[0] not in _ROWS[size] or int(w[1:]) > _COLUMNS[size])
    if beyond:
        problems.append(Problem(f"not on a plate of {size} wells: {_listed(beyond)}", where, "correct the plate size"))
    return problems


def _control_problems(layout: PlateLayout, method: Method) -> list[Problem]:
    where = f"layout of plate {layout.barcode}"
    problems = []
    for role in method.controls:
        per_line = role in {"spontaneous", "maximum"} and len(layout.lines) > 1
        for line in layout.lines if per_line else (None,):
            least, found = _LEAST.get(role, 1), len(layout.with_role(role, line=line))
            if found < least:
                of = f" of {line}" if line else ""
                message = f"{found} {role.replace('_', ' ')} wells{of}, {method.name} needs at least {least}"
                advice = "add the control wells; a plate without them cannot be analysed"
                problems.append(Problem(message, where, advice))
    return problems


def _line_problems(layout: PlateLayout, method: Method) -> list[Problem]:
    where = f"layout of plate {layout.barcode}"
    problems = []
    known = {t.name for t in layout.treatments}
    for well in layout.wells:
        if well.treatment is not None and well.treatment not in known:
            message = f"well {well.well} holds '{well.treatment}', which is not among the treatments of the plate"
            problems.append(Problem(message, where, "name the treatment with its kind and unit"))
    treated = {w.treatment for w in layout.wells if w.treatment is not None}
    alone = {w.treatment for w in layout.with_role("treated_target")}
    for treatment in layout.treatments:
        if treatment.name in treated - alone and treatment.kind != "isotype":
            message = f"no wells with targets and {treatment.name} without effectors"
            advice = "add them: what the treatment kills by itself must be known"
            problems.append(Problem(message, where, advice))
    return problems


def _sample_problems(layout: PlateLayout, method: Method) -> list[Problem]:
    where = f"layout of plate {layout.barcode}"
    known = {s.name: s for s in (*layout.samples, *([layout.reference] if layout.reference else []))}
    problems = []
    cells = [w for w in layout.wells if w.role in {"experimental", "effector_only", "reference_effector"}]
    for well in cells:
        if well.sample not in known or well.nominal_ratio is None:
            problems.append(
                Problem(f"{well.role} well {well.well} has no known sample or no E:T", where, "complete the layout")
            )
    for sample in known.values():
        if sample.true_ratio(1.0) <= 0:
            problems.append(
                Problem(f"sample {sample.name} has a true E:T of 0", where, "correct its purity and viability")
            )
    alone = {(w.sample, w.nominal_ratio) for w in cells if w.role == "effector_only"}
    if method.terms.effector_only:
        borrowed = {ratio for _, ratio in alone}
        for well in layout.with_role("reference_effector"):
            if well.nominal_ratio not in borrowed:
                message = f"reference well {well.well} has no effector-only well at its E:T on the plate"
                problems.append(Problem(message, where, "test the reference at an E:T of the samples"))
    for sample in layout.samples:
        for line in layout.lines:
            wells = layout.with_role("experimental", sample.name, line=line)
            if wells or len(layout.lines) == 1:
                problems += _series_problems(layout, wells, sample.name)
        if method.terms.effector_only:
            problems += _alone_problems(layout.with_role("experimental", sample.name), sample.name, alone, where)
    return problems


def _series_problems(layout: PlateLayout, wells: tuple[LayoutWell, ...], name: str) -> list[Problem]:
    ratios = {w.nominal_ratio for w in wells if w.nominal_ratio is not None}
    least = 3 if layout.kind == "killing" else 1
    if len(ratios) >= least:
        return []
    message = f"sample {name} stands at {len(ratios)} E:T, a curve needs at least 3"
    return [Problem(message, f"layout of plate {layout.barcode}", "test at least 3 E:T")]


def _alone_problems(
    wells: tuple[LayoutWell, ...], name: str, alone: set[tuple[str | None, float | None]], where: str
) -> list[Problem]:
    ratios = {w.nominal_ratio for w in wells if w.nominal_ratio is not None}
    lacking = sorted(r for r in ratios if (name, r) not in alone)
    if not lacking:
        return []
    shown = ", ".join(f"{r:g}" for r in lacking)
    return [
        Problem(
            f"sample {name} has no effector-only wells at E:T {shown}",
            where,
            "add effector-only wells at every E:T, effectors give signal too",
        )
    ]


def _listed(wells: list[str]) -> str:
    shown = ", ".join(wells[:8])
    return shown if len(wells) <= 8 else f"{shown} and {len(wells) - 8} more"
