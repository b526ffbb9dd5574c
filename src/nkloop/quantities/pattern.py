"""The regular expression of written amounts of a kind, for editors, forms and JSON Schema."""

from __future__ import annotations

import re

from nkloop.quantities.reading import NUMBER
from nkloop.quantities.units import Kind, spellings

_MICRO = "[uµμ]"
BARE_PERCENT = re.compile(rf"^\s*\+?{NUMBER}\s*%\s*$")
"""A percent that does not say of what."""


def pattern(*kinds: Kind) -> str:
    """A regular expression (ECMA 262) that fits the usual spellings of amounts of these kinds, none below zero.

    It is a little stricter than reading: `ng mL-1` and `ng per mL` are read, but an editor asks for `ng/mL`.
    """
    names = dict.fromkeys(name for kind in kinds for name in spellings(kind))
    tops: dict[str, list[str]] = {}
    for name in names:
        top, slash, bottom = name.partition("/")
        tops.setdefault(bottom if slash else "", []).append(_top(top))
    units = "|".join(
        f"(?:{'|'.join(dict.fromkeys(found))})" + (rf"\s*/\s*{_bottom(bottom)}" if bottom else "")
        for bottom, found in tops.items()
    )
    return rf"^\s*\+?{NUMBER}\s*(?:{units})\s*$"


def _top(name: str) -> str:
    escaped = re.escape(name).replace("%", r"%\s*")
    return re.sub(r"^u", _MICRO, escaped)


def _bottom(name: str) -> str:
    if name in {"cell", "cells"}:
        return name
    letters = [f"[{letter}{letter.upper()}]" for letter in re.escape(name) if letter.isalpha()]
    plain = "".join(letters) if name.isalpha() else re.escape(name)
    return re.sub(r"^\[uU\]", "[uUµμ]", plain)
