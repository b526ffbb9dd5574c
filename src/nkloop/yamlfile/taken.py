"""Values that pydantic takes for something they do not say: `true` for the number 1, 0 for `false` or for 1970."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel

from nkloop.yamlfile.reader import YamlPath


def mistaken(read: Any, data: Any, path: YamlPath = ()) -> Iterator[tuple[YamlPath, str]]:
    """Paths of such values, and what each was taken for: `float`, `bool` or `date`.

    Args:
        read: what was read.
        data: the plain data it was read from.
        path: of both in the file.
    """
    if isinstance(data, Mapping):
        for key, inside in data.items():
            if isinstance(read, BaseModel) and key in type(read).model_fields:
                yield from mistaken(getattr(read, key), inside, (*path, key))
            elif isinstance(read, Mapping) and key in read:
                yield from mistaken(read[key], inside, (*path, key))
    elif isinstance(data, list):
        if isinstance(read, list | tuple) and len(read) == len(data):
            for index, inside in enumerate(data):
                yield from mistaken(read[index], inside, (*path, index))
    elif isinstance(data, bool):
        if isinstance(read, int | float) and not isinstance(read, bool):
            yield path, "float"
    elif isinstance(data, int | float) and isinstance(read, bool | date):
        yield path, "bool" if isinstance(read, bool) else "date"
