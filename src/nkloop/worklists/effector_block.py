"""Which well of the deep-well block holds which suspension of a killing assay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nkloop.errors import PlanError
from nkloop.labware.models import LabwareType
from nkloop.worklists.effectors import Level, PlateTooLargeError
from nkloop.worklists.plate_columns import MEDIUM, ROWS, BlockColumn, Portion, Round


@dataclass(frozen=True, slots=True)
class PlacedColumn:
    """A block column with its place and the volume each of its wells must hold."""

    number: int
    column: BlockColumn
    need_ul: float

    @property
    def anchor(self) -> str:
        """The well that names the column for eight channels."""
        return f"A{self.number}"

    def wells_of(self, portion: Portion) -> tuple[str, ...]:
        """Block wells that hold a portion."""
        return tuple(f"{row}{self.number}" for row in self.column.rows_of(portion))


@dataclass(frozen=True, slots=True)
class EffectorBlock:
    """The filled block."""

    effectors: tuple[PlacedColumn, ...]
    targets: tuple[PlacedColumn, ...]
    levels: dict[str, tuple[Level, ...]]
    """Sample to its dilutions, highest E:T first."""
    own_column: dict[str, PlacedColumn]
    """Samples whose whole series lies in one block column, every dilution once; equal medium may serve all rows."""


def arrange(
    effectors: Round, targets: Round, *, effector_ul: float, target_ul: float, block: LabwareType
) -> EffectorBlock:
    """Give every suspension its wells: block columns first, then the dilutions that are given one by one.

    Raises:
        PlanError: a well of a sample has no E:T.
        PlateTooLargeError: the block has too few columns.
    """
    _refuse_without_ratio(effectors)
    placed = _placed(effectors.blocks, 1, effector_ul, block)
    levels: dict[str, tuple[Level, ...]] = {}
    used = len(placed)
    for sample in _samples(effectors):
        loose = used + 1
        levels[sample] = _levels(sample, effectors, placed, loose, effector_ul)
        used = max(used, *(int(level.well[1:]) for level in levels[sample]))
    for_targets = _placed(targets.blocks, used + 1, target_ul, block)
    if used + len(for_targets) > block.columns:
        raise PlateTooLargeError(
            f"the suspensions of the plate need {used + len(for_targets)} columns, the block has {block.columns}",
            where="effector block",
            remedy="use fewer samples or ratios",
        )
    own = {sample: column for sample in levels if (column := _own_column(levels[sample], placed)) is not None}
    return EffectorBlock(placed, for_targets, levels, own)


def _placed(
    columns: Sequence[BlockColumn], first: int, volume_ul: float, block: LabwareType
) -> tuple[PlacedColumn, ...]:
    return tuple(
        PlacedColumn(number, column, round(column.need_ul(volume_ul, block.dead_volume_ul), 2))
        for number, column in enumerate(columns, start=first)
    )


def _levels(
    sample: str, given: Round, placed: Sequence[PlacedColumn], loose: int, effector_ul: float
) -> tuple[Level, ...]:
    """Dilutions of a sample: made in its first block well, or in a column of its own when it has none."""
    made = []
    free = iter(f"{row}{loose}" for row in ROWS)
    portions = _portions(given, sample)
    if len(portions) > len(ROWS):
        raise PlateTooLargeError(
            f"{sample} has {len(portions)} E:T, a column of the block takes {len(ROWS)}",
            where=sample,
            remedy="use fewer ratios",
        )
    for portion in portions:
        wells = [(well, column.need_ul) for column in placed for well in column.wells_of(portion)]
        home, need = wells[0] if wells else (next(free), 0.0)
        serves = sorted((name for name, one in given.singles.items() if one == portion), key=_plate_order)
        made.append(Level(portion.ratio, home, need, tuple(wells[1:]), tuple(serves)))
    return tuple(made)


def _own_column(levels: Sequence[Level], placed: Sequence[PlacedColumn]) -> PlacedColumn | None:
    homes = {level.well for level in levels}
    for one in placed:
        rows = (row for row, portion in zip(ROWS, one.column.pattern, strict=True) if portion != MEDIUM)
        cells = {f"{row}{one.number}" for row in rows}
        if cells == homes and not any(level.copies for level in levels):
            return one
    return None


def _portions(given: Round, sample: str) -> list[Portion]:
    return sorted({one for one in _all(given) if one.sample == sample}, key=lambda one: -one.ratio)


def _samples(given: Round) -> list[str]:
    return list(dict.fromkeys(one.sample for one in _all(given) if one.sample))


def _all(given: Round) -> Iterable[Portion]:
    for block in given.blocks:
        yield from (portion for portion in block.pattern if portion is not None)
    yield from given.singles.values()


def _refuse_without_ratio(given: Round) -> None:
    for portion in _all(given):
        if portion.kind == "effectors" and not portion.ratio > 0:
            raise PlanError(
                f"a well of {portion.sample} has no E:T", where=portion.sample, remedy="lay the plate out anew"
            )


def _plate_order(well: str) -> tuple[int, str]:
    return int(well[1:]), well[0]
