"""A feeding whose culture wells are fed by columns, out of deep wells that mirror the culture plate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nkloop.labware.models import LabwareType
from nkloop.worklists.builder import DeckFullError, Spot, round_up
from nkloop.worklists.column_parts import column_parts
from nkloop.worklists.dosing_event import ARMS, CELL_FLOW, CULTURE, Event, fed_spot
from nkloop.worklists.mirrored_wells import MirrorWell, Move, mirror_wells, placed_wells, together
from nkloop.worklists.mixtures import DEEP_WELLS, SMALL_OVERAGE, TUBES_15, TUBES_50, Mixture
from nkloop.worklists.plans import WellFeeding

COLUMNS = "columns"
_MIXES = 10


class ColumnEvent(Event):
    """Every deep well is made like the medium of an arm: base and doses, then mixed by columns."""

    source_of: dict[str, Spot]
    """Culture well as the request names it to the deep well it is fed from."""

    def _make(self, mixtures: Sequence[Mixture], index: Mapping[str, int]) -> None:
        mirror = self._mirror(index)
        number = {m: sum(1 for one in mirror if one.mixture == m) for m in range(len(mixtures))}
        wanted = [
            replace(
                mixtures[one.mixture],
                volume_ul=one.volume_ul,
                name=mixtures[one.mixture].name + (f" in {one.well}" if number[one.mixture] > 1 else ""),
            )
            for one in mirror
        ]
        maker = self._maker()
        maker.place_in(wanted, [one.well for one in mirror], ARMS, "Arm media by columns (empty)")
        self._fill(maker)
        self.source_of = {well: (ARMS, one.well) for one in mirror for well in one.feeds}
        self.notes = (*self.notes, *self._told(mirror))

    def _mirror(self, index: Mapping[str, int]) -> tuple[MirrorWell, ...]:
        deep = self.builder.type_of(DEEP_WELLS)
        most = (deep.working_volume_ul - deep.dead_volume_ul) / (1 + SMALL_OVERAGE)
        mirror = self._laid(index, deep, most)
        if not mirror:
            raise DeckFullError(
                f"deep wells of {deep.working_volume_ul:g} µL do not hold what culture wells take",
                where=self.builder.name,
                remedy="feed less at once",
            )
        return mirror

    def _laid(self, index: Mapping[str, int], deep: LabwareType, most_ul: float) -> tuple[MirrorWell, ...]:
        return mirror_wells(self.request.wells, index, deep, most_ul)

    def _told(self, mirror: Sequence[MirrorWell]) -> Iterable[str]:
        fed = sum(len(one.feeds) for one in mirror)
        yield f"{fed} wells are fed out of {len(mirror)} deep wells that stand as their arms do on the plate."

    # -- mixing and feeding -------------------------------------------------------------------------------------

    def _mix_columns(self) -> frozenset[Spot]:
        """Mix before the cells come; without cells the tips that mix also feed."""
        return self._mix_all() if self.cells_in else frozenset()

    def _mix_all(self) -> frozenset[Spot]:
        for top, channels in self._parts():
            self._mix(top, channels)
        return frozenset(one.spot for one in self.made)

    def _parts(self) -> list[tuple[Spot, int]]:
        """Deep wells that are mixed at once: neighbours with the same volume."""
        kind = self.builder.kind(ARMS)
        parts: list[tuple[Spot, int]] = []
        for volume in dict.fromkeys(one.volume_ul for one in self.made):
            for well, channels in column_parts(kind, {m.spot[1] for m in self.made if m.volume_ul == volume}):
                parts += self._reachable((ARMS, well), channels, 0.7 * volume)
        return sorted(parts, key=lambda part: (int(part[0][1][1:]), part[0][1][0]))

    def _reachable(self, top: Spot, channels: int, volume_ul: float) -> list[tuple[Spot, int]]:
        if channels == 1 or self.builder.reaches([top], channels, min(volume_ul, 1000.0)):
            return [(top, channels)]
        return [((top[0], well), 1) for well in self.builder.kind(top[0]).reached(top[1], channels)]

    def _mix(self, top: Spot, channels: int) -> None:
        lowest = self.builder.kind(top[0]).reached(top[1], channels)[-1]
        told = top[1] if channels == 1 else f"{top[1]} to {lowest}"
        self.builder.mix(top, _MIXES, channels=channels, comment=f"mix the media of {told}")

    def _feed_all(self, index: Mapping[str, int], drained: frozenset[str], mixed: frozenset[Spot]) -> None:
        """Everything that leaves comes first, then column by column what is fresh."""
        wells = self.request.wells
        for well in (one for one in wells if one.remove_ul > 0 and one.well not in drained):
            self._drain((CULTURE, well.well), well, f"{well.arm}/{well.donor} in {well.well}")
        spots = (*self.source_of.values(), *map(fed_spot, wells))
        kinds = {name: self.builder.kind(name) for name in {labware for labware, _ in spots}}
        fed = {fed_spot(well): well for well in wells if well.well in self.source_of and well.add_ul > 0}
        moves = [Move(self.source_of[w.well], spot, w.add_ul, _has_cells(w)) for spot, w in fed.items()]
        runs = [part for run in together(moves, kinds) for part in self._possible(run)]
        runs.sort(key=lambda run: (run[0].kind is True, _place(run[0].source), len(run)))
        mixing = {spot: part for part in self._parts() for spot in self._spots(*part)} if not mixed else {}
        held: tuple[Spot, int] | None = None
        for run in runs:
            parts = dict.fromkeys(mixing[one.source] for one in run if one.source in mixing)
            for part in parts:
                self._mix(*part)
                held = part
                mixing = {spot: other for spot, other in mixing.items() if other != part}
            self._give(run, fed, is_held=len(parts) <= 1 and held == (run[0].source, len(run)))
            held = (run[0].source, len(run))

    def _give(self, run: Sequence[Move], fed: Mapping[Spot, WellFeeding], *, is_held: bool) -> None:
        """Wells with cells get new tips; `is_held` says that those in use have touched nothing but this medium."""
        top, cells = run[0], bool(run[0].kind)
        names = ", ".join(f"{fed[one.target].arm}/{fed[one.target].donor}" for one in run)
        self.builder.transfer(
            top.source,
            top.target,
            top.volume_ul,
            channels=len(run),
            fresh=cells or not is_held,
            each_fresh=cells,
            flow=CELL_FLOW if cells else 1.0,
            comment=f"fresh medium for {names} from {top.target[1]}",
        )

    def _possible(self, run: Sequence[Move]) -> list[Sequence[Move]]:
        """The moves at once where the deck lets so many channels get there, else one by one."""
        ends = [run[0].source, run[0].target]
        if len(run) == 1 or self.builder.reaches(ends, len(run), run[0].volume_ul):
            return [run]
        return [(one,) for one in run]

    def _spots(self, top: Spot, channels: int) -> list[Spot]:
        return [(top[0], well) for well in self.builder.kind(top[0]).reached(top[1], channels)]


def _has_cells(well: WellFeeding) -> bool:
    return well.present_ul > 0 and not well.is_transferred


def _place(spot: Spot) -> tuple[str, int, str]:
    return spot[0], int(spot[1][1:]), spot[1][0]


class PlacedEvent(ColumnEvent):
    """One deep well for each arm, where one of its culture wells stands; its other wells are fed by one channel."""

    def _laid(self, index: Mapping[str, int], deep: LabwareType, most_ul: float) -> tuple[MirrorWell, ...]:
        return placed_wells(self.request.wells, index, deep, most_ul)


class CopyEvent(ColumnEvent):
    """The medium of an arm is made once, and shared out to its deep wells before the cells come."""

    def _make(self, mixtures: Sequence[Mixture], index: Mapping[str, int]) -> None:
        mirror = self._mirror(index)
        dead = self.builder.type_of(DEEP_WELLS).dead_volume_ul
        totals = [round_up(one.volume_ul * (1 + SMALL_OVERAGE) + dead) for one in mirror]
        wanted = [
            replace(mixture, volume_ul=sum(t for one, t in zip(mirror, totals, strict=True) if one.mixture == number))
            for number, mixture in enumerate(mixtures)
        ]
        maker, deep = self._maker(), self.builder.place(COLUMNS, DEEP_WELLS, "Arm media by columns (empty)")
        free = [well for well in deep.wells if int(well[1:]) > max(int(one.well[1:]) for one in mirror)]
        largest = max(one.volume_ul for one in wanted) * (1 + SMALL_OVERAGE) + deep.dead_volume_ul
        if len(free) >= len(wanted) and round_up(largest) <= deep.working_volume_ul:
            maker.place_in(wanted, free[: len(wanted)], COLUMNS)
        else:
            maker.place(wanted, nickname=ARMS, label="Arm media (empty)", kinds=(TUBES_15, TUBES_50))
        self._fill(maker)
        for number, made in enumerate(self.made):
            self.builder.mix(made.spot, _MIXES, comment=f"mix the medium of {made.mixture.name}")
            for one, total in zip(mirror, totals, strict=True):
                if one.mixture == number:
                    text = f"medium of {made.mixture.name} into {one.well}"
                    self.builder.transfer(made.spot, (COLUMNS, one.well), total, fresh=False, comment=text)
        self.source_of = {well: (COLUMNS, one.well) for one in mirror for well in one.feeds}
        self.notes = (*self.notes, *self._told(mirror))

    def _mix_columns(self) -> frozenset[Spot]:
        """What is shared out is mixed."""
        return frozenset(self.source_of.values())
