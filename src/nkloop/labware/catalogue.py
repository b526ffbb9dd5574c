"""The catalogue: `labware/catalogue.yaml` and the labware definitions of our own beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from nkloop.errors import LabwareError, Problem
from nkloop.frozen import FrozenModel
from nkloop.labware.geometry import check_geometry
from nkloop.labware.models import LabwareType
from nkloop.yamlfile import Positions, YamlSyntaxError, load_yaml
from nkloop.yamlfile.problems import read_once, validate_part

FILE = "catalogue.yaml"
MAKER_NAMESPACE = "opentrons"


class Catalogue(FrozenModel):
    """Every labware that may stand on a deck."""

    entries: tuple[LabwareType, ...]
    own_definitions: tuple[dict[str, Any], ...] = Field(default=(), repr=False)
    """Opentrons schema 2 definitions of the entries that are not the maker's, as an analysis needs them."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the catalogue of a labware folder and the definitions it names.

        Raises:
            LabwareError: with every problem found, each with file and line.
        """
        own = sorted(folder.glob("*.json"))
        names = tuple(path.name for path in own)
        return read_once((cls, names), (folder / FILE, *own), lambda: cls._read(folder))

    @classmethod
    def _read(cls, folder: Path) -> Self:
        path = folder / FILE
        entries: list[LabwareType] = []
        found: list[tuple[tuple[int, int], Problem]] = []
        places: dict[str, str] = {}
        lines: dict[str, int] = {}
        content, positions = _content(path)
        for number in range(len(content["labware"])):
            entry, wrong = validate_part(LabwareType, content, positions, ("labware", number))
            found += wrong
            if entry is None:
                continue
            place = positions.of(("labware", number))
            told = _problems_of(entry, lines.setdefault(entry.load_name, place[0]), place[0])
            where = f"{positions.where(('labware', number))}: labware.{entry.load_name}"
            places.setdefault(entry.load_name, where)
            found += [(place, replace(problem, where=where)) for problem in told]
            entries.append(entry)
        problems = [problem for _, problem in sorted(found, key=lambda one: one[0])]
        definitions, more = _own_definitions(folder, entries, places)
        if problems or more:
            raise LabwareError.from_problems([*problems, *more])
        return cls(entries=tuple(entries), own_definitions=tuple(definitions))

    def __getitem__(self, load_name: str) -> LabwareType:
        """Look a labware up.

        Raises:
            LabwareError: the catalogue does not list it.
        """
        found = next((entry for entry in self.entries if entry.load_name == load_name), None)
        if found is None:
            raise LabwareError(
                f"labware {load_name} is not in the catalogue",
                where=FILE,
                remedy="add it with catalogue number, volumes and provenance, or use one that is listed",
            )
        return found

    def __contains__(self, load_name: object) -> bool:
        return any(entry.load_name == load_name for entry in self.entries)

    @property
    def load_names(self) -> tuple[str, ...]:
        """Load names in the order of the file."""
        return tuple(entry.load_name for entry in self.entries)

    def definition(self, load_name: str) -> dict[str, Any] | None:
        """Our own definition of a labware; None for those the maker defines.

        Raises:
            LabwareError: the catalogue does not list it.
        """
        entry = self[load_name]
        return next((d for d in self.own_definitions if d["parameters"]["loadName"] == entry.load_name), None)


def entry_lines(folder: Path) -> dict[str, int]:
    """Line of the catalogue file at which each entry begins, by load name.

    Raises:
        LabwareError: the file cannot be read.
    """
    content, positions = _content(folder / FILE)
    entries = enumerate(content["labware"])
    return {str(one.get("load_name")): positions.of(("labware", number))[0] for number, one in entries}


def _content(path: Path) -> tuple[dict[str, Any], Positions]:
    """The file with its list of entries, and where in it each value stands."""
    if not path.is_file():
        raise LabwareError("the catalogue cannot be read", where=str(path), remedy="run `nkloop init`")
    try:
        content, positions = load_yaml(path)
    except YamlSyntaxError as error:
        raise LabwareError.from_problems(error.problems) from error
    entries = content.get("labware") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise LabwareError(
            "the catalogue has no list `labware` of entries", where=f"{path}:1", remedy="begin the file with `labware:`"
        )
    return content, positions


def _problems_of(entry: LabwareType, first: int, line: int) -> Iterator[Problem]:
    """What an entry says against itself, or against the entry of its name that stands first."""
    total, working, dead = entry.well_volume_ul, entry.working_volume_ul, entry.dead_volume_ul
    if first != line:
        remedy = "keep one of the entries, or give this one its own load_name"
        yield Problem(f"{entry.load_name} stands twice, first in line {first}", remedy=remedy)
    if working > total:
        told = f"working volume {working:g} µL is above the {total:g} µL of the maker"
        yield Problem(told, remedy=f"lower working_volume_ul to at most {total:g}")
    if entry.kind != "adapter" and not dead < working:
        told = f"dead volume {dead:g} µL leaves nothing of {working:g} µL"
        yield Problem(told, remedy=f"lower dead_volume_ul below {working:g}")


def _own_definitions(
    folder: Path, entries: Iterable[LabwareType], places: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Definitions of the entries that are not the maker's, each checked against its entry, which stands at a place."""
    definitions, problems = [], []
    for entry in entries:
        if entry.namespace == MAKER_NAMESPACE:
            continue
        path = folder / f"{entry.load_name}.json"
        try:
            definition = json.loads(path.read_text(encoding="utf-8"))
        except OSError:
            told = f"namespace '{entry.namespace}' is not the maker's, and there is no definition {path.name} beside it"
            remedy = f"add the labware JSON file, or write `namespace: {MAKER_NAMESPACE}` if the maker defines it"
            problems.append(Problem(told, places[entry.load_name], remedy))
        except json.JSONDecodeError as error:
            problems.append(Problem(f"not readable as JSON: {error.msg}", f"{path}:{error.lineno}", "mend the line"))
        else:
            found = check_geometry(definition, entry)
            problems += [Problem(p.message, f"{path}: {p.where}" if p.where else str(path), p.remedy) for p in found]
            definitions.append(definition)
    return definitions, problems
