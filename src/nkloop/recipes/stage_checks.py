"""What must fit together inside a stage and from one stage to the next: samples, limits, vessels, process steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from nkloop.quantities.display import number
from nkloop.recipes.media import Component
from nkloop.recipes.plain import amount, span, unknown, valid, valid_items
from nkloop.recipes.ranges import amount_fits
from nkloop.recipes.stages import Control, Criterion, ExpectedRange, Limit, ProcessStep, Sampling, Vessel
from nkloop.yamlfile.plain import items
from nkloop.yamlfile.problems import Finding
from nkloop.yamlfile.reader import YamlPath

_TIGHT = 1e-9
_MOST_SAMPLED = 0.1
"""Share of the smallest culture that the samples of one stage may take together."""
_COUNTED = {"fold_expansion": "viable_cells_per_ml"}
"""Quantities that are worked out from another one."""
_ROLE = {"coat": "coating", "add": "vector"}


def check_stages(data: Any, components: Mapping[str, Component], names: list[str]) -> Iterator[Finding]:
    """Everything wrong inside the stages of a recipe given as plain data, and between one and the next."""
    stages = list(items(data, ("stages",)))
    for path, stage in stages:
        days = span(stage)
        if days is not None:
            yield from _samples(path, stage, days)
            yield from _controls(path, stage)
        yield from _process(path, stage, days, components, names)
        yield from _each_once(path, stage)
        yield from _can_be_met(path, stage)
    yield from _criteria_are_measured(stages)
    for (_, before), (path, after) in pairwise(stages):
        yield from _limits_follow(path, before, after)
        yield from _cells_suffice(path, before, after)


def _samples(path: YamlPath, stage: Mapping[str, Any], days: tuple[float, float]) -> Iterator[Finding]:
    total, latest = 0.0, -1.0
    for place, sample in valid_items(Sampling, stage, ("sampling",)):
        where = (*path, *place, "day")
        total += sample.volume.canonical
        if not days[0] - _TIGHT <= sample.day <= days[1] + _TIGHT:
            told = f"sample on day {sample.day:g} is outside the stage, day {days[0]:g} to {days[1]:g}"
            yield Finding(where, told, "days are days of the whole culture: correct the day or move it to its stage")
        elif sample.day <= latest:
            told = f"sample on day {sample.day:g} follows one on day {latest:g}"
            yield Finding(where, told, "list samples in the order of their days, one for each day")
        latest = max(latest, sample.day)
    vessel = valid(Vessel, stage.get("vessel"))
    if vessel is not None and total > _MOST_SAMPLED * vessel.volume[0].canonical + _TIGHT:
        told = f"samples take {number(total / 1000)} mL, more than {_MOST_SAMPLED:.0%} of the smallest culture"
        yield Finding((*path, "sampling"), f"{told} of {vessel.volume[0]}", "take less, or use a larger vessel")


def _controls(path: YamlPath, stage: Mapping[str, Any]) -> Iterator[Finding]:
    measured = {s.day: s.measures for _, s in valid_items(Sampling, stage, ("sampling",))}
    for place, control in valid_items(Control, stage, ("controls",)):
        wanted = _COUNTED.get(control.quantity, control.quantity)
        for index, day in enumerate(control.days):
            if wanted not in measured.get(day, ()):
                told = f"{wanted} is not measured on day {day:g}" if day in measured else f"no sample on day {day:g}"
                remedy = f"add {wanted} to the sampling of day {day:g}, or leave the day out"
                yield Finding((*path, *place, "days", index), f"control of {control.quantity}: {told}", remedy)


def _process(
    path: YamlPath,
    stage: Mapping[str, Any],
    days: tuple[float, float] | None,
    components: Mapping[str, Component],
    names: list[str],
) -> Iterator[Finding]:
    latest = -1.0
    for place, step in valid_items(ProcessStep, stage, ("process",)):
        where = (*path, *place)
        if days is not None and not days[0] - _TIGHT <= step.day <= days[1] + _TIGHT:
            told = f"step on day {step.day:g} is outside the stage, day {days[0]:g} to {days[1]:g}"
            yield Finding((*where, "day"), told, "correct the day or move the step to its stage")
        elif step.day < latest:
            told = f"step on day {step.day:g} follows one on day {latest:g}"
            yield Finding((*where, "day"), told, "list steps in the order they are done")
        latest = max(latest, step.day)
        if step.component is None:
            continue
        component = components.get(step.component)
        if step.component not in names:
            yield unknown((*where, "component"), "component", step.component, names)
        elif component is not None:
            yield from _dose_fits(where, step, component)


def _dose_fits(where: YamlPath, step: ProcessStep, component: Component) -> Iterator[Finding]:
    wanted = _ROLE.get(step.kind)
    if wanted == "coating" and component.role != "coating":
        told = f"{component.name} is a {component.role}, not a coating"
        yield Finding((*where, "component"), told, "name a component with role coating")
    if component.role == "vector" and not step.second_person:
        told = f"{component.name} is a vector, but nobody checks step '{step.id}'"
        yield Finding(where, told, "set second_person to true")
    if step.amount is not None:
        yield from amount_fits((*where, "amount"), component, step.amount)


def _each_once(path: YamlPath, stage: Mapping[str, Any]) -> Iterator[Finding]:
    for block in ("entry", "exit", "expected"):
        seen: set[str] = set()
        for place, raw in items(stage, (block,)):
            quantity = str(raw.get("quantity", ""))
            if quantity in seen:
                yield Finding((*path, *place, "quantity"), f"{quantity} stands twice in {block}", "keep one of them")
            seen.add(quantity)


def _can_be_met(path: YamlPath, stage: Mapping[str, Any]) -> Iterator[Finding]:
    expected = {e.quantity: e for _, e in valid_items(ExpectedRange, stage, ("expected",))}
    for block in ("exit", "controls"):
        for place, limit in valid_items(Criterion if block == "exit" else Control, stage, (block,)):
            known = expected.get(limit.quantity)
            if known is not None and _apart(limit, known.low, known.high):
                told = f"{limit.quantity} must be {limit.words}, but {known.words} is expected"
                yield Finding((*path, *place), told, "correct the limit or the expected range: no culture meets both")


def _apart(limit: Limit, low: float, high: float) -> bool:
    return (limit.low is not None and limit.low > high) or (limit.high is not None and limit.high < low)


def _criteria_are_measured(stages: list[tuple[YamlPath, Mapping[str, Any]]]) -> Iterator[Finding]:
    before: set[str] = set()
    for path, stage in stages:
        samples = [s for _, s in valid_items(Sampling, stage, ("sampling",))]
        days = span(stage)
        here: set[str] = {quantity for sample in samples for quantity in sample.measures}
        first = {q for s in samples if days and abs(s.day - days[0]) < _TIGHT for q in s.measures}
        for block, known in (("entry", before | first), ("exit", here)):
            for place, criterion in valid_items(Criterion, stage, (block,)):
                wanted = _COUNTED.get(criterion.quantity, criterion.quantity)
                if samples and wanted not in known:
                    told = f"{block} asks for {criterion.quantity}, but {wanted} is never measured"
                    told += " before the stage or on its first day" if block == "entry" else " in this stage"
                    yield Finding((*path, *place, "quantity"), told, f"add {wanted} to a sample")
        before = here


def _limits_follow(path: YamlPath, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Finding]:
    leaving = {c.quantity: c for _, c in valid_items(Criterion, before, ("exit",))}
    for place, entry in valid_items(Criterion, after, ("entry",)):
        gone = leaving.get(entry.quantity)
        if gone is None:
            continue
        too_low = entry.low is not None and (gone.low is None or gone.low < entry.low)
        too_high = entry.high is not None and (gone.high is None or gone.high > entry.high)
        if too_low or too_high:
            told = f"entry asks for {entry.quantity} {entry.words}, but '{before.get('id', '')}' lets {gone.words} go"
            yield Finding((*path, *place), told, "make the exit of the stage before as strict as this entry")


def _cells_suffice(path: YamlPath, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Finding]:
    """The fullest vessel at the best expected expansion must give the cells that the smallest next vessel needs."""
    yielded, needed = _cells(before, 1), _cells(after, 0)
    folds = [e.high for _, e in valid_items(ExpectedRange, before, ("expected",)) if e.quantity == "fold_expansion"]
    if yielded is None or needed is None or not folds:
        return
    if yielded * folds[0] < needed:
        told = f"stage '{before.get('id', '')}' gives at most {number(yielded * folds[0])} cells"
        told += f" (fullest vessel, {folds[0]:g}-fold), but this one needs at least {number(needed)} to start"
        yield Finding((*path, "seeding_density"), told, "correct seeding density, vessel volume or expected expansion")


def _cells(stage: Mapping[str, Any], which: int) -> float | None:
    vessel, density = valid(Vessel, stage.get("vessel")), amount(stage.get("seeding_density"))
    if vessel is None or density is None or density.kind.name != "CELL_DENSITY":
        return None
    return vessel.volume[which].canonical * density.canonical
