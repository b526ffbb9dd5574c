"""Looking into a file that is plain data, of which any part may be missing or malformed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nkloop.yamlfile.reader import YamlPath

_LARGEST = 1e300
"""A number beyond it, infinity among them, is no quantity of anything."""


def items(data: Any, path: YamlPath) -> Iterator[tuple[YamlPath, Mapping[str, Any]]]:
    """The blocks of a list, each with its path; nothing where there is no such list."""
    for step in path:
        data = data.get(step) if isinstance(data, Mapping) else None
    for index, raw in enumerate(data if isinstance(data, list | tuple) else ()):
        if isinstance(raw, Mapping):
            yield (*path, index), raw


def block(data: Any, name: str) -> Mapping[str, Any]:
    """A block within another; empty where there is none."""
    inside = data.get(name) if isinstance(data, Mapping) else None
    return inside if isinstance(inside, Mapping) else {}


def number(value: Any) -> float | None:
    """A number that can be compared; None for anything else, which the model tells."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if abs(value) > _LARGEST or math.isnan(value) else float(value)
