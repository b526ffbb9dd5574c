"""The catalogue: `labware/catalogue.yaml` and the labware definitions of our own beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from nkloop.errors import LabwareError, Problem
from nkloop.frozen import FrozenModel
from nkloop.labware.geometry import check_geometry
from nkloop.labware.models import LabwareType
from nkloop.yamlfile import Positions, YamlSyntaxError, load_yaml

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
        path = folder / FILE
        entries: list[LabwareType] = []
        problems: list[Problem] = []
        lines: dict[str, int] = {}
        raw_entries, positions = _raw_entries(path)
        for number, raw in enumerate(raw_entries):
            line, _ = positions.of(("labware", number))
            try:
                entry = LabwareType.model_validate(raw)
            except ValidationError as error:
                name = str(raw.get("load_name", "entry"))
                problems += [_of_model(path, positions, number, name, item) for item in error.errors()]
                continue
            if entry.load_name in lines:
                first = lines[entry.load_name]
                problems.append(Problem(f"{entry.load_name} stands twice, first in line {first}", f"{path}:{line}"))
            lines.setdefault(entry.load_name, line)
            problems += _problems_of(entry, f"{path}:{line}")
            entries.append(entry)
        definitions, more = _own_definitions(folder, entries)
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
    raw, positions = _raw_entries(folder / FILE)
    return {str(one.get("load_name")): positions.of(("labware", number))[0] for number, one in enumerate(raw)}


def _raw_entries(path: Path) -> tuple[list[dict[str, Any]], Positions]:
    """The entries, and where in the file they stand."""
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
    return entries, positions


def _of_model(path: Path, positions: Positions, number: int, name: str, item: Any) -> Problem:
    field = str(item["loc"][0]) if item["loc"] else ""
    line, _ = positions.of(("labware", number, field), key=True)
    return Problem(f"{name}, {field}: {item['msg']}", f"{path}:{line}", "see the other entries for the form")


def _problems_of(entry: LabwareType, where: str) -> Iterator[Problem]:
    """What an entry says against itself."""
    total, working, dead = entry.well_volume_ul, entry.working_volume_ul, entry.dead_volume_ul
    if working > total:
        yield Problem(
            f"{entry.load_name}: working volume {working:g} µL is above the {total:g} µL of the maker",
            where,
            "lower working_volume_ul",
        )
    if entry.kind != "adapter" and not dead < working:
        yield Problem(
            f"{entry.load_name}: dead volume {dead:g} µL leaves nothing of {working:g} µL",
            where,
            "lower dead_volume_ul",
        )


def _own_definitions(folder: Path, entries: Iterable[LabwareType]) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Definitions of the entries that are not the maker's, each checked against its entry."""
    definitions, problems = [], []
    for entry in entries:
        if entry.namespace == MAKER_NAMESPACE:
            continue
        path = folder / f"{entry.load_name}.json"
        try:
            definition = json.loads(path.read_text(encoding="utf-8"))
        except OSError:
            problems.append(Problem(f"{entry.load_name} has no definition", str(path), "add the labware JSON file"))
        except json.JSONDecodeError as error:
            problems.append(Problem(f"not readable as JSON: {error.msg}", f"{path}:{error.lineno}", "mend the line"))
        else:
            found = check_geometry(definition, entry)
            problems += [Problem(p.message, f"{path}: {p.where}" if p.where else str(path), p.remedy) for p in found]
            definitions.append(definition)
    return definitions, problems
