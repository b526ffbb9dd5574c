"""Looking into a recipe that is plain data, of which any part may be missing or malformed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nkloop.errors import QuantityError
from nkloop.quantities import Amount
from nkloop.yamlfile.plain import items
from nkloop.yamlfile.problems import Finding, did_you_mean
from nkloop.yamlfile.reader import YamlPath

ModelT = TypeVar("ModelT", bound=BaseModel)


def valid_items(model: type[ModelT], data: Any, path: YamlPath) -> Iterator[tuple[YamlPath, ModelT]]:
    """The items of a list that are valid, each with its path."""
    for place, raw in items(data, path):
        item = valid(model, raw)
        if item is not None:
            yield place, item


def valid(model: type[ModelT], raw: Any) -> ModelT | None:
    """The model, or None: what is wrong with it is told by the model itself."""
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


def amount(value: Any) -> Amount | None:
    """The amount, or None: what is wrong with it is told by the model."""
    if isinstance(value, Amount):
        return value
    try:
        return Amount.parse(value)
    except QuantityError:
        return None


def texts(data: Any, path: YamlPath, key: str) -> list[str]:
    """A text field of every block of a list, as far as it is there."""
    return [raw[key] for _, raw in items(data, path) if isinstance(raw.get(key), str)]


def span(stage: Mapping[str, Any]) -> tuple[float, float] | None:
    """First and last day of a stage, or None when they are no numbers in order."""
    start, stop = stage.get("start_day"), stage.get("end_day")
    if not (isinstance(start, int | float) and isinstance(stop, int | float)):
        return None
    return (float(start), float(stop)) if start < stop else None


def repeated(data: Any, path: YamlPath, key: str, block: str) -> Iterator[Finding]:
    """A finding for each name that a list defines again."""
    seen: set[str] = set()
    for place, raw in items(data, path):
        name = raw.get(key)
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Finding((*place, key), f"'{name}' is defined twice in {block}", "give each its own name")
        seen.add(name)


def unknown(path: YamlPath, what: str, name: str, known: Iterable[str]) -> Finding:
    """A finding for a name that refers to nothing."""
    listed = sorted(known)
    remedy = did_you_mean(name, listed) or "correct the name or define it"
    return Finding(path, f"unknown {what} '{name}', known: {', '.join(listed) or 'none'}", remedy)
