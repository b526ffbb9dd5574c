"""Culture wells fed by columns: deep wells in the rows of the culture wells, so that eight channels serve a column."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nkloop.errors import LabwareError
from nkloop.labware.models import LabwareType
from nkloop.worklists.builder import Spot
from nkloop.worklists.plans import WellFeeding

_ROWS = 8
_TOGETHER = 2
"""Fewer channels than this are one."""


@dataclass(frozen=True)
class MirrorWell:
    """A deep well and the culture wells it feeds, all in its row."""

    well: str
    mixture: int
    """Index of the mixture it holds."""
    volume_ul: float
    """What the culture wells draw from it."""
    feeds: tuple[str, ...]
    """Culture wells as the request names them."""


class Move(NamedTuple):
    """One transfer of one channel."""

    source: Spot
    target: Spot
    volume_ul: float
    kind: Hashable
    """Moves of different kinds are never made together."""


@dataclass
class _Column:
    """A deep-well column as it fills up: by row, the mixture and the culture wells."""

    rows: dict[str, tuple[int, list[WellFeeding]]] = field(default_factory=dict)

    def takes(self, wells: Sequence[WellFeeding], index: Mapping[str, int], most_ul: float) -> bool:
        return all(self._takes_one(one, index[one.well], most_ul) for one in wells)

    def _takes_one(self, well: WellFeeding, mixture: int, most_ul: float) -> bool:
        there = self.rows.get(row_of(well))
        if there is None:
            return well.add_ul <= most_ul
        return there[0] == mixture and sum(one.add_ul for one in (*there[1], well)) <= most_ul

    def add(self, wells: Sequence[WellFeeding], index: Mapping[str, int]) -> None:
        for one in wells:
            self.rows.setdefault(row_of(one), (index[one.well], []))[1].append(one)


def row_of(well: WellFeeding) -> str:
    """Row of the well that gets the fresh medium."""
    return _fed_well(well)[0]


def _fed_well(well: WellFeeding) -> str:
    return well.to_well or well.well


def may_mirror(plate: LabwareType, wells: Iterable[WellFeeding]) -> bool:
    """True when the wells of the plate are 9 mm apart and some of those that are fed are neighbours in a column."""
    fed = [_fed_well(well) for well in wells if well.add_ul > 0]
    return plate.rows == _ROWS and len({name[1:] for name in fed}) < len(fed)


def mirror_wells(
    wells: Iterable[WellFeeding], index: Mapping[str, int], deep: LabwareType, most_ul: float
) -> tuple[MirrorWell, ...]:
    """A deep well for every culture well that is fed, in its row; those of one mixture and row share one.

    Columns of the plate share a column of the deep wells where no row asks for two mixtures.

    Args:
        wells: of the request.
        index: well to the mixture it is fed with.
        deep: kind of the deep-well plate.
        most_ul: what can be drawn from one deep well.

    Returns:
        Column by column; empty when a well takes more than a deep well gives.
    """
    fed: dict[str, list[WellFeeding]] = {}
    for well in wells:
        if well.well in index and well.add_ul > 0:
            fed.setdefault(_fed_well(well)[1:], []).append(well)
    columns: list[_Column] = []
    for some in sorted(fed.values(), key=len, reverse=True):
        free = next((one for one in columns if one.takes(some, index, most_ul)), None)
        if free is None:
            free = _Column()
            if not free.takes(some, index, most_ul) or len(columns) == deep.columns:
                return ()
            columns.append(free)
        free.add(some, index)
    return tuple(
        MirrorWell(f"{row}{number}", mixture, sum(w.add_ul for w in some), tuple(w.well for w in some))
        for number, column in enumerate(columns, start=1)
        for row, (mixture, some) in sorted(column.rows.items())
    )


def placed_wells(
    wells: Iterable[WellFeeding], index: Mapping[str, int], deep: LabwareType, most_ul: float
) -> tuple[MirrorWell, ...]:
    """One deep well for every mixture, in the row of its first culture well, so that first wells mirror their columns.

    Takes and returns what `mirror_wells` does; culture wells of a mixture may be in other rows than its deep well.
    """
    fed: dict[int, list[WellFeeding]] = {}
    for well in wells:
        if well.well in index and well.add_ul > 0:
            fed.setdefault(index[well.well], []).append(well)
    first: dict[str, dict[str, int]] = {}
    for mixture, some in fed.items():
        first.setdefault(_fed_well(some[0])[1:], {}).setdefault(row_of(some[0]), mixture)
    volumes = {mixture: sum(one.add_ul for one in some) for mixture, some in fed.items()}
    if max(volumes.values(), default=0.0) > most_ul:
        return ()
    columns: list[dict[str, int]] = []
    for some_rows in sorted(first.values(), key=len, reverse=True):
        free = next((one for one in columns if not one.keys() & some_rows.keys()), None)
        if free is None:
            free = {}
            columns.append(free)
        free |= some_rows
    if len(columns) > deep.columns:
        return ()
    return tuple(
        MirrorWell(f"{row}{number}", mixture, volumes[mixture], tuple(one.well for one in fed[mixture]))
        for number, column in enumerate(columns, start=1)
        for row, mixture in sorted(column.items())
    )


def together(moves: Iterable[Move], kinds: Mapping[str, LabwareType]) -> Iterator[tuple[Move, ...]]:
    """Moves that the channels of one pipette make at once: neighbours in a column at both ends, in one order.

    Args:
        moves: in any order.
        kinds: labware type by nickname.

    Yields:
        Runs from the top down, by target columns; a move that goes with no other is alone.
    """
    run: list[Move] = []
    for move in sorted(moves, key=lambda one: (one.target[0], int(one.target[1][1:]), one.target[1][0])):
        if run and not _follows(run, move, kinds):
            yield tuple(run)
            run = []
        run.append(move)
    if run:
        yield tuple(run)


def _follows(run: Sequence[Move], move: Move, kinds: Mapping[str, LabwareType]) -> bool:
    first, channels = run[0], len(run) + 1
    if (move.volume_ul, move.kind) != (first.volume_ul, first.kind) or channels > _ROWS:
        return False
    ends = ((first.source, move.source), (first.target, move.target))
    return all(_is_reached(kinds[top[0]], top, spot, channels) for top, spot in ends)


def _is_reached(kind: LabwareType, top: Spot, spot: Spot, channels: int) -> bool:
    """Whether the lowest of so many channels stands in `spot` when the uppermost stands in `top`."""
    try:
        return top[0] == spot[0] and channels >= _TOGETHER and kind.reached(top[1], channels)[-1] == spot[1]
    except LabwareError:
        return False
