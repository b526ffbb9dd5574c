"""What no single field of a recipe can see: references between its parts, and amounts against plausible ranges.

The checks look at plain data, so that they also run on a file whose fields are not all valid and everything wrong
is told at once; what a model already refuses is passed over here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from nkloop.errors import Problem
from nkloop.quantities import Kind
from nkloop.quantities.display import exact
from nkloop.recipes.arm_checks import check_arms, check_carry_over, check_process_ids
from nkloop.recipes.models import Component, Ingredient, Recipe, Refresh, VariedComponent
from nkloop.recipes.plain import amount as amount_of
from nkloop.recipes.plain import repeated, unknown, valid
from nkloop.recipes.ranges import amount_fits
from nkloop.recipes.stage_checks import check_stages
from nkloop.yamlfile.plain import items
from nkloop.yamlfile.problems import Finding, field_path
from nkloop.yamlfile.reader import YamlPath

_NOT_IN_MEDIUM = {"vector", "coating"}
_DENSITY_PER_ML = (1e3, 1e8)
"""Living suspension and bag cultures lie well inside; outside is a slip of the unit (cells/µL, cells/L)."""
_SHORTEST_REFRESH_D = 0.25
"""More than four exchanges a day is a slip of the unit (h or min for d)."""


class _Placed(NamedTuple):
    """A valid ingredient, the stage it is in, and its path in the file."""

    path: YamlPath
    stage: str
    ingredient: Ingredient


def check_recipe(recipe: Recipe) -> tuple[Problem, ...]:
    """Everything wrong between the parts of a recipe that was built in memory; empty when nothing is."""
    data = recipe.model_dump(mode="json")
    return tuple(Problem(f.message, field_path(data, f.path), f.remedy) for f in find_problems(data))


def find_problems(data: Any) -> Iterator[Finding]:
    """Everything wrong between the parts of a recipe given as plain data, in no particular order."""
    components = {c.name: c for c in (valid(Component, raw) for _, raw in items(data, ("components",))) if c}
    names = [raw["name"] for _, raw in items(data, ("components",)) if isinstance(raw.get("name"), str)]
    ingredients = tuple(_ingredients(data))
    yield from repeated(data, ("components",), "name", "components")
    yield from repeated(data, ("stages",), "id", "stages")
    for placed in ingredients:
        yield from _ingredient_fits(placed, components, names)
    yield from _sources_exist(data)
    yield from _stages_follow(data)
    yield from _cultures_are_plausible(data)
    yield from check_stages(data, components, names)
    yield from check_process_ids(data)
    yield from check_arms(data)
    yield from check_carry_over(data)
    yield from _own_parent(data)
    yield from _loop_can_vary(data, ingredients, names)


def _own_parent(data: Any) -> Iterator[Finding]:
    if isinstance(data, Mapping) and data.get("derived_from") is not None and data["derived_from"] == data.get("id"):
        yield Finding(("derived_from",), f"'{data['id']}' is derived from itself", "name another recipe, or null")


def _raw_ingredients(data: Any) -> Iterator[tuple[YamlPath, str, Any]]:
    for path, stage in items(data, ("stages",)):
        medium = stage.get("medium")
        base = medium.get("base") if isinstance(medium, Mapping) else None
        yield (*path, "medium", "base"), str(stage.get("id", "")), base
        for inner, raw in items(stage, ("medium", "additives")):
            yield (*path, *inner), str(stage.get("id", "")), raw


def _ingredients(data: Any) -> Iterator[_Placed]:
    for path, stage, raw in _raw_ingredients(data):
        ingredient = valid(Ingredient, raw)
        if ingredient is not None:
            yield _Placed(path, stage, ingredient)


def _ingredient_fits(placed: _Placed, components: Mapping[str, Component], names: list[str]) -> Iterator[Finding]:
    path, name, amount = placed.path, placed.ingredient.component, placed.ingredient.amount
    if name not in names:
        yield unknown((*path, "component"), "component", name, names)
        return
    component = components.get(name)
    if component is None:
        return
    if path[-1] == "base" and component.role != "base":
        yield Finding(
            (*path, "component"),
            f"{name} is a {component.role}, not a base medium",
            "name a component with role base here and list the others as additives",
        )
    elif path[-1] != "base" and component.role in _NOT_IN_MEDIUM:
        yield Finding(
            (*path, "component"),
            f"{name} is a {component.role}, which does not go into a medium",
            "add it by a step under process",
        )
    yield from amount_fits((*path, "amount"), component, amount)


def _sources_exist(data: Any) -> Iterator[Finding]:
    sources = data.get("sources") if isinstance(data, Mapping) else None
    known = sources.keys() if isinstance(sources, Mapping) else ()
    for path, name in _source_keys(data, ()):
        if name not in known:
            yield unknown(path, "source", name, known)


def _source_keys(data: Any, path: YamlPath) -> Iterator[tuple[YamlPath, str]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key == "source" and isinstance(value, str):
                yield (*path, key), value
            elif (*path, key) != ("sources",):
                yield from _source_keys(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _source_keys(value, (*path, index))


def _stages_follow(data: Any) -> Iterator[Finding]:
    before, end = "the culture", 0.0
    for path, stage in items(data, ("stages",)):
        start, stop = stage.get("start_day"), stage.get("end_day")
        if not (isinstance(start, int | float) and isinstance(stop, int | float)):
            return  # told by the model; later stages cannot be judged
        if abs(start - end) > 1e-9:
            verb = "starts" if before == "the culture" else "ends"
            yield Finding(
                (*path, "start_day"),
                f"stage starts on day {start:g}, but {before} {verb} on day {end:g}",
                "stages follow each other without gap or overlap, from day 0",
            )
        before, end = f"stage '{stage.get('id', '')}'", float(stop)


def _cultures_are_plausible(data: Any) -> Iterator[Finding]:
    low, high = _DENSITY_PER_ML
    for path, stage in items(data, ("stages",)):
        density = amount_of(stage.get("seeding_density"))
        if density and density.kind is Kind.CELL_DENSITY and not low <= density.to("cells/mL") <= high:
            told = f"{density} is outside {exact(low)} to {exact(high)} cells/mL"
            yield Finding((*path, "seeding_density"), told, "check the unit: densities are written in cells/mL")
        refresh = valid(Refresh, stage.get("refresh"))
        start, stop = stage.get("start_day"), stage.get("end_day")
        if refresh is None or not (isinstance(start, int | float) and isinstance(stop, int | float)):
            continue
        if stop > start and not _SHORTEST_REFRESH_D <= refresh.every.to("d") <= stop - start:
            shortest, longest = f"{_SHORTEST_REFRESH_D * 24:g} h", f"{stop - start:g} d"
            told = f"every {refresh.every} is outside {shortest} to the {longest} of the stage"
            yield Finding((*path, "refresh", "every"), told, "check the unit: d for days, h for hours")


def _loop_can_vary(data: Any, ingredients: tuple[_Placed, ...], names: list[str]) -> Iterator[Finding]:
    stages = [raw["id"] for _, raw in items(data, ("stages",)) if isinstance(raw.get("id"), str)]
    given = {(p.stage, p.ingredient.component): p.ingredient.amount for p in ingredients}
    named = {(stage, str(raw.get("component"))) for _, stage, raw in _raw_ingredients(data) if isinstance(raw, Mapping)}
    varied: set[tuple[str, str]] = set()
    for path, raw in items(data, ("loop", "vary")):
        entry = valid(VariedComponent, raw)
        if entry is None:
            continue
        if entry.component not in names:
            yield unknown((*path, "component"), "component", entry.component, names)
            continue
        for index, stage in enumerate(entry.stages):
            place, pair = (*path, "stages", index), (stage, entry.component)
            if stage not in stages:
                yield unknown(place, "stage", stage, stages)
            elif pair not in named:
                told = f"{entry.component} is not in the medium of stage {stage}, so the loop cannot vary it there"
                yield Finding(place, told, "add it to that medium or leave the stage out here")
            elif pair in given and given[pair].kind is Kind.FRACTION:
                told = f"{entry.component} is given in {given[pair].unit}; varying it would break the sum of 100 %"
                yield Finding((*path, "component"), told, "vary only components given as mass, activity or molarity")
            if pair in varied:
                yield Finding(place, f"{entry.component} in stage {stage} is varied twice", "keep one of the entries")
            varied.add(pair)
