"""What each column of an assay plate receives, and which columns of a block give it with eight channels.

Effectors and targets are given in one round each. A plate column can be given by eight channels when a column of the
block holds, row by row, what the eight wells receive: cells in their rows, assay medium in the rows of the outer ring.
Wells of columns for which no block column is worth building are given one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nkloop.assays.models import LayoutWell

ROWS = "ABCDEFGH"
OVERAGE = 0.10
"""Share of each liquid made in addition to what the assay wells take."""
_WITH_EFFECTORS = {"experimental", "reference_effector", "effector_only"}
_WITH_TARGETS = {"experimental", "reference_effector", "spontaneous", "maximum"}


@dataclass(frozen=True, slots=True)
class Portion:
    """What one well receives in one round."""

    kind: Literal["medium", "effectors", "targets"]
    sample: str = ""
    ratio: float = 0.0
    """Nominal E:T, for effectors."""


MEDIUM = Portion("medium")
TARGETS = Portion("targets")
Pattern = tuple[Portion | None, ...]
"""A column from row A to row H; None is a well that stays empty."""


@dataclass(frozen=True, slots=True)
class BlockColumn:
    """A column of the deep-well block and the plate columns it gives."""

    pattern: Pattern
    plate_columns: tuple[int, ...]

    def need_ul(self, volume_ul: float, dead_ul: float) -> float:
        """Volume each of its wells must hold, when each plate well takes `volume_ul`."""
        return len(self.plate_columns) * volume_ul * (1 + OVERAGE) + dead_ul

    def rows_of(self, portion: Portion) -> tuple[str, ...]:
        """Rows that hold a portion."""
        return tuple(row for row, there in zip(ROWS, self.pattern, strict=True) if there == portion)


@dataclass(frozen=True, slots=True)
class Round:
    """How one round is given."""

    blocks: tuple[BlockColumn, ...] = ()
    singles: dict[str, Portion] = field(default_factory=dict)
    """Wells that get cells one by one."""
    medium: tuple[str, ...] = ()
    """Wells whose share of this round is plain medium, given before any cells."""


def effector_round(wells: Iterable[LayoutWell], *, wide: bool) -> Round:
    """How effectors are given; wells without effectors get medium instead. `wide` allows eight channels."""
    return _share_out({well.well: portion for well in wells if (portion := _effectors_of(well)) is not None}, wide)


def target_round(wells: Iterable[LayoutWell], *, wide: bool) -> Round:
    """How targets are given; wells without targets get medium instead. `wide` allows eight channels."""
    given = {well.well: TARGETS if well.role in _WITH_TARGETS else MEDIUM for well in wells if well.role != "empty"}
    return _share_out(given, wide)


def has_effectors(well: LayoutWell) -> bool:
    """Whether a well gets effector cells."""
    return well.role in _WITH_EFFECTORS


def has_targets(well: LayoutWell) -> bool:
    """Whether a well gets target cells."""
    return well.role in _WITH_TARGETS


def _effectors_of(well: LayoutWell) -> Portion | None:
    if well.role == "empty":
        return None
    if has_effectors(well):
        return Portion("effectors", well.sample or "", well.nominal_ratio or 0.0)
    return MEDIUM


def _share_out(given: Mapping[str, Portion], wide: bool) -> Round:
    columns: dict[Pattern, list[int]] = {}
    for number in sorted({int(name[1:]) for name in given}):
        columns.setdefault(tuple(given.get(f"{row}{number}") for row in ROWS), []).append(number)
    blocks = tuple(_worth_building(columns)) if wide else ()
    done = {f"{row}{number}" for block in blocks for number in block.plate_columns for row in ROWS}
    rest = {name: portion for name, portion in given.items() if name not in done}
    singles = {name: portion for name, portion in rest.items() if portion != MEDIUM}
    return Round(blocks, singles, tuple(name for name in rest if name not in singles))


def _worth_building(columns: Mapping[Pattern, Sequence[int]]) -> Iterable[BlockColumn]:
    """Patterns that take fewer steps from a block column than well by well, the most used first.

    Filling a block column takes one step a row, except where a dilution that has to be made anyway is made in it.
    """
    made: set[Portion] = set()
    for pattern, numbers in sorted(columns.items(), key=lambda entry: (-len(entry[1]), entry[1])):
        present = {portion for portion in pattern if portion is not None}
        if None in pattern or present == {MEDIUM}:
            continue
        fresh = {portion for portion in present if portion.kind == "effectors"} - made
        if len(ROWS) - len(fresh) + len(numbers) < len(ROWS) * len(numbers):
            made |= fresh
            yield BlockColumn(pattern, tuple(numbers))
