"""Two recipes side by side: amounts with their factor, stages that came and went, and every other field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nkloop.errors import QuantityError
from nkloop.frozen import FrozenModel
from nkloop.quantities import Amount
from nkloop.recipes.changes import IngredientChange, diff
from nkloop.recipes.models import Recipe

_NAMES = ("id", "component", "name", "substance", "quantity", "day")
_PROVENANCE = ("source", "verified_by")


class FieldChange(FrozenModel):
    """One field that differs; None where a recipe does not have it."""

    field: str
    """Path in words, for example `expansion_i.vessel.kind`."""
    before: str | None
    """As text, with its unit."""
    after: str | None
    factor: float | None = None
    """After divided by before, for numbers and for amounts of one kind."""


class RecipeDiff(FrozenModel):
    """All that differs between two recipes, the revision block left aside."""

    before: str
    """Revision id."""
    after: str
    """Revision id of the recipe compared with it."""
    stages_added: tuple[str, ...] = ()
    """Ids of stages only the second recipe has."""
    stages_removed: tuple[str, ...] = ()
    """Ids of stages only the first recipe has."""
    amounts: tuple[IngredientChange, ...] = ()
    """Amounts of ingredients; those of added and removed stages too."""
    fields: tuple[FieldChange, ...] = ()
    """Everything else, sources and limits included; of added and removed stages nothing."""

    @property
    def is_empty(self) -> bool:
        """True when the two recipes have the same content."""
        return not (self.stages_added or self.stages_removed or self.amounts or self.fields)


def compare(before: Recipe, after: Recipe) -> RecipeDiff:
    """All that differs between two recipes."""
    added = tuple(stage for stage in after.stage_ids if stage not in before.stage_ids)
    removed = tuple(stage for stage in before.stage_ids if stage not in after.stage_ids)
    one_sided = {f"stages.{stage}" for stage in (*added, *removed)}
    a, b = _plain(before), _plain(after)
    common = set(_items(a)) & set(_items(b))
    old, new = dict(_flat(a, common)), dict(_flat(b, common))
    fields = [
        FieldChange(
            field=path.removeprefix("stages."),
            before=old.get(path),
            after=new.get(path),
            factor=_factor(old, new, path),
        )
        for path in dict.fromkeys((*old, *new))
        if old.get(path) != new.get(path) and path not in one_sided and not _is_amount(path)
    ]
    return RecipeDiff(
        before=before.revision_id,
        after=after.revision_id,
        stages_added=added,
        stages_removed=removed,
        amounts=diff(before, after),
        fields=tuple(fields),
    )


def _plain(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude={"revision"})


def _is_amount(path: str) -> bool:
    """Ingredients are told with their factors, what came and what went too."""
    parts = path.split(".")
    in_medium = parts[0] == "stages" and parts[2:3] == ["medium"] and parts[3:4] in (["base"], ["additives"])
    return in_medium and (parts[-1] in {"amount", "component"} or (parts[3] == "additives" and len(parts) == 5))


def _labelled(value: list[Any]) -> Iterator[tuple[str, Any]]:
    """The blocks of a list by name; a name that comes again is counted."""
    seen: dict[str, int] = {}
    for item in value:
        name = next((_told(item[key]) for key in _NAMES if item.get(key) is not None), "").replace(".", "·")
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), item


def _is_blocks(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _items(value: Any, path: str = "") -> Iterator[str]:
    """Paths of all blocks that stand in lists."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _items(inner, f"{path}.{key}" if path else key)
    elif _is_blocks(value):
        for label, item in _labelled(value):
            yield f"{path}.{label}"
            yield from _items(item, f"{path}.{label}")


def _flat(value: Any, common: set[str], path: str = "") -> Iterator[tuple[str, str]]:
    """Every value by its path; a block that only one recipe has is one line."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, common, f"{path}.{key}" if path else key)
    elif _is_blocks(value):
        for label, item in _labelled(value):
            here = f"{path}.{label}"
            if here in common:
                yield from _flat(item, common, here)
            else:
                yield here, _in_one_line(item)
    elif value is not None and value != []:
        yield path, ", ".join(_told(item) for item in value) if isinstance(value, list) else _told(value)


def _in_one_line(item: Mapping[str, Any]) -> str:
    label = next((key for key in _NAMES if item.get(key) is not None), "")
    hidden = {label, "title", *_PROVENANCE} if len(item) > len(_PROVENANCE) + 1 else {label}
    kept = {key: inner for key, inner in item.items() if key not in hidden and inner not in (None, False, "", [])}
    told = {key: dict(_flat(inner, set(), key)) for key, inner in kept.items()}
    return ", ".join(f"{path} {text}" for flat in told.values() for path, text in flat.items())


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _factor(old: Mapping[str, str], new: Mapping[str, str], path: str) -> float | None:
    if path not in old or path not in new or path.rsplit(".", 1)[-1] in _PROVENANCE:
        return None
    a, b = _size(old[path]), _size(new[path])
    return b[1] / a[1] if a is not None and b is not None and a[0] == b[0] and a[1] else None


def _size(text: str) -> tuple[str, float] | None:
    try:
        return "", float(text)
    except ValueError:
        pass
    try:
        amount = Amount.parse(text)
    except QuantityError:
        return None
    return amount.kind.name, amount.magnitude_in(amount.kind.value)
