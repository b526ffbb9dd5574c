"""What a person says of an assay on the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nkloop.errors import AssayError


def parse_assumed(words: Sequence[str] | None) -> dict[str, float] | float:
    """`5600` for all preparations, or `T=5600` for each.

    Raises:
        AssayError: a word is no number above 0, or both forms are mixed.
    """
    if not words:
        return 1.0
    named = {}
    for word in words:
        name, sign, number = word.rpartition("=")
        value = _number(number, "--assumed", word)
        if not sign:
            if len(words) > 1:
                raise AssayError(f"'{word}' names no preparation", where="--assumed", remedy="write T=5600 for each")
            return value
        named[name.strip()] = value
    return named


def parse_margins(word: str | None) -> tuple[float, float] | None:
    """`0.8:1.25`.

    Raises:
        AssayError: it is not two numbers with 1 between them.
    """
    if word is None:
        return None
    parts = word.split(":")
    if len(parts) != 2:
        raise AssayError(f"'{word}' is not two numbers", where="--margins", remedy="write them like 0.8:1.25")
    low, high = (_number(part, "--margins", word) for part in parts)
    if not low < 1 < high:
        raise AssayError(
            f"{word}: a slope ratio of 1 is not inside", where="--margins", remedy="write them like 0.8:1.25"
        )
    return low, high


def _number(text: str, where: str, word: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise AssayError(f"'{word}' is no number above 0", where=where, remedy="write a number with a decimal point")
    return value
