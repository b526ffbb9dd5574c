"""What arms and carry-over limits refer to, and whether they can mean anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nkloop.quantities import Amount
from nkloop.recipes.media import CarryOverLimit
from nkloop.recipes.plain import repeated, texts, unknown, valid_items
from nkloop.yamlfile.plain import items
from nkloop.yamlfile.problems import Finding

_HARMFUL = {
    "DMSO": Amount(1, "% v/v"),
    "ethanol": Amount(1, "% v/v"),
    "acetate": Amount(10, "mM"),
}
"""Above these a limit protects nothing; a limit so high is a slip."""


def check_arms(data: Any) -> Iterator[Finding]:
    """Everything wrong with the arms of a recipe given as plain data."""
    steps = [step for path, _ in items(data, ("stages",)) for step in _step_ids(data, path)]
    yield from repeated(data, ("arms",), "id", "arms")
    arms = list(items(data, ("arms",)))
    for path, arm in arms:
        left_out = arm.get("without")
        listed = left_out if isinstance(left_out, list | tuple) else []
        for index, name in enumerate(listed):
            if isinstance(name, str) and name not in steps:
                yield unknown((*path, "without", index), "process step", name, steps)
        if arm.get("purpose") == "control" and not listed:
            told = f"control arm '{arm.get('id', '')}' leaves nothing out, so it is the same as the product"
            yield Finding(path, told, "name the process steps it goes without")
    if arms and not any(arm.get("purpose") == "product" for _, arm in arms):
        yield Finding(("arms",), "no arm has purpose product", "add the arm that runs the whole recipe")


def check_process_ids(data: Any) -> Iterator[Finding]:
    """A finding for each process step whose id another one has; ids are unique in the whole recipe."""
    seen: dict[str, str] = {}
    for path, stage in items(data, ("stages",)):
        for place, step in items(stage, ("process",)):
            name, here = step.get("id"), str(stage.get("id", ""))
            if not isinstance(name, str):
                continue
            if name in seen:
                told = f"process step '{name}' is already in stage {seen[name]}"
                yield Finding((*path, *place, "id"), told, "give each step of the recipe its own id")
            seen.setdefault(name, here)


def check_carry_over(data: Any) -> Iterator[Finding]:
    """Everything wrong with the carry-over limits of a recipe given as plain data."""
    yield from repeated(data, ("carry_over",), "substance", "carry_over")
    for path, limit in valid_items(CarryOverLimit, data, ("carry_over",)):
        most = _HARMFUL.get(limit.substance)
        if most is None:
            continue
        if limit.limit.kind is not most.kind:
            told = f"the limit of {limit.substance} is {limit.limit}, which measures {limit.limit.kind.words}"
            yield Finding((*path, "limit"), told, f"write it in {most.unit}")
        elif limit.limit.canonical > most.canonical:
            told = f"a limit of {limit.limit} {limit.substance} is above {most}, which cells do not bear"
            yield Finding((*path, "limit"), told, f"write at most {most}")


def _step_ids(data: Any, path: tuple[str | int, ...]) -> list[str]:
    stage = data
    for part in path:
        stage = stage[part]
    return texts(stage, ("process",), "id")
