"""Third independent check: the worklist run through PyLabRobot with volume and tip tracking on.

PyLabRobot knows volumes and tips only: no dead volumes, no contents, no pipette minimum. It accepts negative and
not-a-number volumes, so these are refused here. After a failed operation with several channels its trackers are off
by that operation; the check therefore ends at the first error.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from nkloop.drivers.pylabrobot import adapter
from nkloop.errors import LabwareError, Problem
from nkloop.labware.models import LabwareType
from nkloop.worklists import rules
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.models import CheckResult, DeckItem, Step, Worklist

_resources, _errors = adapter.part("resources"), adapter.part("resources.errors")
_TRACKED_ERRORS = (
    *(_errors.HasTipError, _errors.NoTipError, _errors.TooLittleLiquidError, _errors.TooLittleVolumeError),
    LabwareError,
)
_CHANNELS = 8
"""Channels per mount: 0 to 7 belong to the left pipette, 8 to 15 to the right one."""
_VOLUME_TOLERANCE_UL = 1e-3


def check_tracking(worklist: Worklist, catalogue: LabwareLookup) -> CheckResult:
    """Run every step on silent PyLabRobot resources and compare the volumes of its wells with the ledger's."""
    started = time.perf_counter()
    adapter.switch_on()
    with ThreadPoolExecutor(1) as thread:
        problems = thread.submit(lambda: asyncio.run(_problems(worklist, catalogue))).result()
    return CheckResult.of("pylabrobot tracking", time.perf_counter() - started, tuple(problems))


async def _problems(worklist: Worklist, catalogue: LabwareLookup) -> list[Problem]:
    bench = _Bench(worklist, catalogue)
    if bench.problems:
        return bench.problems
    ledger = Ledger.of(worklist, catalogue)
    await bench.handler.setup()
    try:
        for step in worklist.steps:
            ledger.apply(step)
            problem = await _attempt(bench, step) or next(_differences(bench, step, ledger), None)
            if problem is not None:
                return [problem]
    finally:
        await bench.handler.stop()
    return []


async def _attempt(bench: _Bench, step: Step) -> Problem | None:
    try:
        await bench.play(step)
    except _TRACKED_ERRORS as error:
        text = error.problems[0].message if isinstance(error, LabwareError) else f"{type(error).__name__}: {error}"
        remedy = "correct volume, well or tip of this step"
        return Problem(text.rstrip("."), f"step {step.number}", remedy, rules.TRACKING_REFUSES)
    return None


def _differences(bench: _Bench, step: Step, ledger: Ledger) -> Iterator[Problem]:
    """Wells of a step whose volume the two checks count differently after it."""
    for nickname, well in ((step.labware, step.well), (step.to_labware, step.to_well)):
        for name in bench.types[nickname].reached(well, step.channels) if well else ():
            tracked, booked = bench.wells[nickname, name].tracker.get_used_volume(), ledger.volume_ul(nickname, name)
            if abs(tracked - booked) > max(_VOLUME_TOLERANCE_UL, 1e-9 * booked):
                yield Problem(
                    f"after it PyLabRobot counts {tracked:g} µL in {nickname} {name}, the ledger {booked:g} µL",
                    f"step {step.number}",
                    "report this with the worklist: the two checks disagree",
                    rules.TRACKING_DIFFERS,
                )


_Backend = adapter.part("liquid_handling.backends.backend").LiquidHandlerBackend


class _SilentBackend(_Backend):  # type: ignore[misc, valid-type]  # PyLabRobot ships no types
    """Accepts everything and says nothing; the trackers of the front end do the checking."""

    @property
    def num_channels(self) -> int:
        return 2 * _CHANNELS

    async def setup(self) -> None:
        """Nothing to connect."""

    async def stop(self) -> None:
        """Nothing to release."""

    def can_pick_up_tip(self, channel_idx: int, tip: Any) -> bool:
        return True

    async def request_tip_presence(self) -> list[bool | None]:
        return [None] * self.num_channels

    async def _nothing(self, *_: Any, **__: Any) -> None:
        return None

    pick_up_tips = drop_tips = aspirate = dispense = _nothing
    pick_up_tips96 = drop_tips96 = aspirate96 = dispense96 = _nothing
    pick_up_resource = move_picked_up_resource = drop_resource = _nothing


class _Spot(_resources.TipSpot):  # type: ignore[misc, name-defined]  # PyLabRobot ships no types
    """A tip spot that is only itself: comparing geometries costs more than all other work of the check."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class _Bin(_resources.Trash):  # type: ignore[misc, name-defined]  # PyLabRobot ships no types
    """A trash that is only itself, as above."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class _Bench:
    """PyLabRobot resources for the wells and tips the worklist names."""

    def __init__(self, worklist: Worklist, catalogue: LabwareLookup) -> None:
        self.problems: list[Problem] = []
        self.deck = _resources.Deck(size_x=1000, size_y=1000, size_z=1000)
        self.handler = adapter.part("liquid_handling").LiquidHandler(backend=_SilentBackend(), deck=self.deck)
        self.trash = _Bin("trash", size_x=100, size_y=100, size_z=50)
        self.deck.assign_child_resource(self.trash, location=_resources.Coordinate(0, 0, 0))
        self.types: dict[str, LabwareType] = {}
        self.racks: dict[str, Any] = {}
        self.wells: dict[tuple[str, str], Any] = {}
        self.tips: dict[tuple[str, str], Any] = {}
        self.n_tips: dict[str, int] = {}
        self.worklist = worklist
        for item in worklist.deck:
            self._place(item, catalogue)
        if not self.problems:
            self._fill(worklist)

    def _place(self, item: DeckItem, catalogue: LabwareLookup) -> None:
        try:
            self.types[item.nickname] = catalogue[item.load_name]
        except (LabwareError, KeyError):
            told = f"labware '{item.load_name}' is not known"
            self.problems.append(Problem(told, item.nickname, "correct the name", rules.LABWARE_UNKNOWN))
            return
        self.racks[item.nickname] = _resources.Resource(item.nickname, size_x=120, size_y=80, size_z=40)
        self.deck.assign_child_resource(self.racks[item.nickname], location=_resources.Coordinate(0, 0, 0))

    def _fill(self, worklist: Worklist) -> None:
        for filling in worklist.fillings:
            where = f"filling {filling.labware} {filling.well}"
            try:
                well = self._well(filling.labware, filling.well)
            except LabwareError as error:
                self.problems.append(replace(error.problems[0], where=where, rule=rules.TRACKING_REFUSES))
                continue
            volume = well.tracker.get_used_volume() + filling.volume_ul
            if volume > well.max_volume + _VOLUME_TOLERANCE_UL:
                told = f"{volume:g} µL do not fit ({well.max_volume:g} µL)"
                self.problems.append(Problem(told, where, "fill less", rules.OVERFILL))
            well.tracker.set_volume(volume)

    def _type(self, nickname: str) -> LabwareType:
        if nickname not in self.types:
            raise LabwareError(f"labware '{nickname}' is not on the deck", remedy="correct the name")
        return self.types[nickname]

    def _reached(self, nickname: str, well: str, channels: int) -> list[Any]:
        return [self._well(nickname, name) for name in self._type(nickname).reached(well, channels)]

    def _well(self, nickname: str, name: str) -> Any:
        key = (nickname, name)
        if key not in self.wells:
            kind = self._type(nickname)
            kind.reached(name, 1)
            volume = kind.working_volume_ul
            well = _resources.Well(f"{nickname}.{name}", size_x=8, size_y=8, size_z=40, max_volume=volume or 1e-9)
            self.racks[nickname].assign_child_resource(well, location=_resources.Coordinate(0, 0, 0))
            self.wells[key] = well
        return self.wells[key]

    def _spots(self, tip: str, channels: int) -> list[Any]:
        rack, _, well = tip.partition(":")
        kind = self._type(rack)
        if kind.kind != "tip_rack":
            raise LabwareError(f"'{rack}' is not a tip rack", remedy="name a tip rack")
        return [self._spot(rack, name, kind) for name in kind.reached(well, channels)]

    def _spot(self, rack: str, name: str, kind: LabwareType) -> Any:
        if (rack, name) not in self.tips:
            spot = _Spot(f"{rack}.{name}", size_x=8, size_y=8, make_tip=_tip_maker(kind))
            self.racks[rack].assign_child_resource(spot, location=_resources.Coordinate(0, 0, 0))
            spot.tracker.add_tip(spot.make_tip())
            self.tips[rack, name] = spot
        return self.tips[rack, name]

    async def play(self, step: Step) -> None:
        """Carry out one step."""
        if step.action == "pause":
            for held in list(self.n_tips):
                await self._drop(held)
        if step.action not in {"transfer", "mix"}:
            return
        mount = self.worklist.mount_of(step)
        if mount is None:
            raise LabwareError(f"no pipette with {step.channels} channels", remedy="use a pipette of the worklist")
        if step.tip:
            await self._drop(mount)
            spots = self._spots(step.tip, step.channels)
            await self.handler.pick_up_tips(spots, use_channels=_channels(mount, step.channels))
            self.n_tips[mount] = len(spots)
        use = _channels(mount, step.channels)
        source = self._reached(step.labware, step.well, step.channels)
        if step.action == "mix":
            await self._mix(source, use, step.volume_ul)
            return
        if step.mix_before:
            await self._mix(source, use, step.mix_volume_ul)
        target = self._reached(step.to_labware, step.to_well, step.channels)
        await self._move(source, target, use, step.volume_ul)
        if step.mix_after:
            await self._mix(target, use, step.mix_volume_ul)

    async def _drop(self, mount: str) -> None:
        number = self.n_tips.pop(mount, 0)
        if number:
            await self.handler.drop_tips([self.trash] * number, use_channels=_channels(mount, number))

    async def _mix(self, wells: list[Any], use: list[int], volume: float) -> None:
        """One repetition tells as much as many."""
        await self._move(wells, wells, use, volume)

    async def _move(self, source: list[Any], target: list[Any], use: list[int], volume: float) -> None:
        if not (math.isfinite(volume) and volume > 0):
            raise LabwareError(f"{volume} µL is not a volume above 0", remedy="correct the volume")
        volumes = [volume] * len(use)
        await self.handler.aspirate(source, volumes, use_channels=use, spread="custom")
        await self.handler.dispense(target, volumes, use_channels=use, spread="custom")


def _channels(mount: str, channels: int) -> list[int]:
    """PyLabRobot's channels for those at work on a mount, counted from its uppermost."""
    first = 0 if mount == "left" else _CHANNELS
    return list(range(first, first + channels))


def _tip_maker(kind: LabwareType) -> Any:
    capacity = kind.working_volume_ul or kind.well_volume_ul

    def make(name: str) -> Any:
        return adapter.make_tip(name, length_mm=50, overlap_mm=8, volume_ul=capacity, has_filter=True)

    return make
