"""The panel out of its file, and lines by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nkloop.assays.panel.models import Panel, TumourLine
from nkloop.errors import AssayError
from nkloop.yamlfile import Finding, validate_yaml
from nkloop.yamlfile.problems import one_of

FILE = Path(__file__).parent / "panel.yaml"


def load_panel(path: Path) -> Mapping[str, TumourLine]:
    """Lines by name, in the order of the file.

    Raises:
        AssayError: the file does not describe lines, or two lines are written alike.
    """
    lines = validate_yaml(Panel, path, AssayError, check=_findings).lines
    return MappingProxyType({line.name: line for line in lines})


@cache
def panel() -> Mapping[str, TumourLine]:
    """The lines killing assays are run against."""
    return load_panel(FILE)


def line_named(name: str) -> TumourLine:
    """A line of the panel by its exact name.

    Raises:
        AssayError: the panel has no line of that name; the remedy names the line that was probably meant.
    """
    known = panel()
    if name in known:
        return known[name]
    # "K562" and "K-562" are the same word to a person, but two labels, two lots and two keys to a computer
    same = next((f"did you mean '{line}'?" for line in known if _bare(line) == _bare(name)), "")
    raise AssayError(
        f"'{name}' is not a line of the tumour panel",
        where="target line",
        remedy=same or one_of(name, known),
    )


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _findings(data: Any) -> Iterator[Finding]:
    lines = data.get("lines") if isinstance(data.get("lines"), list) else []
    seen: dict[str, str] = {}
    for index, line in enumerate(lines):
        if not isinstance(line, dict) or not isinstance(line.get("name"), str):
            continue
        first = seen.setdefault(_bare(line["name"]), line["name"])
        if first is not line["name"]:
            yield Finding(("lines", index, "name"), f"'{line['name']}' is written like '{first}'", "keep one of them")
