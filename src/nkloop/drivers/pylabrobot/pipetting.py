"""Single operations on PyLabRobot's front end, made safe: checked before, in order after, errors in our words.

PyLabRobot books volumes before it asks the device. When a check fails on the last of eight channels, the seven before
it stay booked (0.2.2); negative and not-a-number volumes pass. So everything is checked here first, and after an error
every tracker is put back to what has been confirmed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nkloop.drivers.pylabrobot import adapter
from nkloop.errors import DeviceError, words_of

_SLACK_UL = 1e-6
PITCH_MM = 9.0
"""Narrowest distance between two channels."""
_BEFORE_MOVING = ("HasTipError", "NoTipError", "TooLittleLiquidError")
"""Errors of a channel that PyLabRobot raises of what is looked for before a plunger moves."""


class Outcome(NamedTuple):
    """What became of one operation."""

    moved: tuple[bool, ...]
    """For each channel in the order asked for: whether it certainly did its part."""
    error: DeviceError | None = None
    is_certain: bool = True
    """False when nobody knows what the channels that are not among the moved ones did."""

    @property
    def is_done(self) -> bool:
        """True when every channel did its part."""
        return self.error is None


class Pipetting:
    """The front end of one device during one run. Only the device's owner may call it."""

    def __init__(
        self, handler: Any, where: str, n_sent: Callable[[], int | None] = lambda: None, *, backwards: int = 1
    ) -> None:
        """Work with a front end that has been set up or will be.

        Args:
            handler: PyLabRobot's front end.
            where: what errors say they are about.
            n_sent: counts what was written to the device so far; None when nobody counts it.
            backwards: sign of an offset towards the back of the deck.
        """
        self.handler, self._where, self._n_sent, self._backwards = handler, where, n_sent, backwards

    async def pick_up(self, spots: Sequence[Any], channels: Sequence[int]) -> Outcome:
        """Take tips.

        Raises:
            DeviceError: a spot is empty or a channel holds a tip; nothing was sent.
        """
        for spot, channel in zip(spots, channels, strict=True):
            if self.holds_tip(channel):
                raise self._refused(f"channel {channel} holds a tip already", "drop it first")
            if not spot.has_tip():
                raise self._refused(f"there is no tip at {spot.name}", "put a full rack there")
        return await self._do(self.handler.pick_up_tips, list(spots), channels, ())

    async def drop(self, places: Sequence[Any], channels: Sequence[int]) -> Outcome:
        """Drop the tips of these channels, with what they hold.

        Raises:
            DeviceError: a channel holds no tip; nothing was sent.
        """
        self._require_tips(channels)
        return await self._do(self.handler.drop_tips, list(places), channels, (), allow_nonzero_volume=True)

    async def aspirate(
        self, wells: Sequence[Any], volume_ul: float, channels: Sequence[int], **settings: Any
    ) -> Outcome:
        """Draw a volume with each channel.

        Raises:
            DeviceError: the volume is none, a well holds too little, a tip is too small; nothing was sent.
        """
        self._require_volume(volume_ul)
        self._require_tips(channels)
        for well, total in _totals(wells, volume_ul):
            held = well.tracker.get_used_volume()
            if not well.tracker.is_disabled and total > held + _SLACK_UL:
                raise self._refused(f"{well.name} holds {held:g} µL, {total:g} µL are to be drawn", "fill more")
        for channel in channels:
            room = self._tip(channel).tracker.get_free_volume()
            if volume_ul > room + _SLACK_UL:
                raise self._refused(
                    f"the tip on channel {channel} has room for {room:g} µL, not {volume_ul:g} µL", "take a larger tip"
                )
        return await self._move(self.handler.aspirate, wells, volume_ul, channels, settings)

    async def dispense(
        self, wells: Sequence[Any], volume_ul: float, channels: Sequence[int], **settings: Any
    ) -> Outcome:
        """Give a volume out of each tip.

        Raises:
            DeviceError: the volume is none, a tip holds too little, a well has no room; nothing was sent.
        """
        self._require_volume(volume_ul)
        self._require_tips(channels)
        for well, total in _totals(wells, volume_ul):
            room = well.tracker.get_free_volume()
            if not well.tracker.is_disabled and total > room + _SLACK_UL:
                raise self._refused(f"{well.name} has room for {room:g} µL, not {total:g} µL", "give less")
        for channel in channels:
            held = self._tip(channel).tracker.get_used_volume()
            if volume_ul > held + _SLACK_UL:
                raise self._refused(
                    f"the tip on channel {channel} holds {held:g} µL, not {volume_ul:g} µL", "draw more"
                )
        return await self._move(self.handler.dispense, wells, volume_ul, channels, settings)

    def holds_tip(self, channel: int) -> bool:
        """Whether the front end believes a tip on a channel."""
        return bool(self.handler.head[channel].has_tip)

    def held_ul(self, channel: int) -> float:
        """What the tip on a channel holds; 0 without a tip."""
        return float(self._tip(channel).tracker.get_used_volume()) if self.holds_tip(channel) else 0.0

    async def _move(
        self,
        operation: Any,
        wells: Sequence[Any],
        volume_ul: float,
        channels: Sequence[int],
        settings: dict[str, Any],
    ) -> Outcome:
        n = len(channels)
        trackers = [well.tracker for well in wells] + [self._tip(channel).tracker for channel in channels]
        told = {name: [value] * n if not isinstance(value, list) else value for name, value in settings.items()}
        if n > 1 and len(set(wells)) == 1:
            told["offsets"] = side_by_side(n, self._backwards)
        return await self._do(operation, list(wells), channels, trackers, vols=[volume_ul] * n, spread="custom", **told)

    async def _do(
        self, operation: Any, places: list[Any], channels: Sequence[int], trackers: Sequence[Any], **told: Any
    ) -> Outcome:
        adapter.switch_on()
        failures = adapter.named("liquid_handling.errors:ChannelizedError", self._where)
        vols = told.pop("vols", None)
        arguments = (places,) if vols is None else (places, vols)
        before = self._n_sent()
        try:
            await operation(*arguments, use_channels=list(channels), **told)
        # Whatever a maker's protocol, the operating system or a check of PyLabRobot raises ends the operation; what
        # it means for the channels is told apart below.
        except BaseException as error:
            for tracker in trackers:
                if not tracker.is_disabled:
                    tracker.rollback()
            if not isinstance(error, Exception):
                raise
            if isinstance(error, failures):
                return self._partly(error, channels, moves_plungers=vols is not None)
            return Outcome((False,) * len(channels), self._failed(error), is_certain=self._was_unsent(before))
        return Outcome((True,) * len(channels))

    def _partly(self, error: Any, channels: Sequence[int], *, moves_plungers: bool) -> Outcome:
        """Some channels did it: each that did not is named with its own reason.

        A maker's firmware tells a movement that broke off half-way (clot, plunger blocked) as it tells one that never
        began, so only what is looked for before the plunger moves is certain.
        """
        moved = tuple(channel not in error.errors for channel in channels)
        reasons = "; ".join(f"channel {channel}: {_reason(one)}" for channel, one in sorted(error.errors.items()))
        told = DeviceError(
            f"{len(error.errors)} of {len(channels)} channels failed ({reasons})",
            where=self._where,
            remedy="look at these channels and at what stands under them",
        )
        early = tuple(adapter.named(f"resources.errors:{name}", self._where) for name in _BEFORE_MOVING)
        is_certain = not moves_plungers or all(isinstance(one, early) for one in error.errors.values())
        return Outcome(moved, told, is_certain=is_certain)

    def _failed(self, error: Exception) -> DeviceError:
        return DeviceError(f"the device failed: {words_of(error)}", where=self._where, remedy="look at the device")

    def _was_unsent(self, before: int | None) -> bool:
        """Whether an operation ended before anything was written, so that certainly nothing moved."""
        return before is not None and self._n_sent() == before

    def _tip(self, channel: int) -> Any:
        return self.handler.head[channel].get_tip()

    def _require_tips(self, channels: Sequence[int]) -> None:
        for channel in channels:
            if not self.holds_tip(channel):
                raise self._refused(f"channel {channel} holds no tip", "pick up a tip first")

    def _require_volume(self, volume_ul: float) -> None:
        if not (math.isfinite(volume_ul) and volume_ul > 0):
            raise self._refused(f"{volume_ul} µL is not a volume above 0", "correct the volume")

    def _refused(self, what: str, remedy: str) -> DeviceError:
        return DeviceError(what, where=self._where, remedy=remedy)


def side_by_side(n: int, backwards: int = 1) -> list[Any]:
    """Where channels stand that share a trough: 9 mm apart around its middle, the first at the back.

    PyLabRobot's own spreading wants 9 mm more than eight channels need and refuses the usual troughs of 71.2 mm.
    """
    coordinate = adapter.part("resources").Coordinate
    return [coordinate(0, backwards * ((n - 1) / 2 - number) * PITCH_MM, 0) for number in range(n)]


def _reason(error: Exception) -> str:
    """What a channel tells; errors of a STAR keep their words in `message` and say none by themselves."""
    return str(error) or str(getattr(error, "message", "")) or words_of(error)


def _totals(wells: Sequence[Any], volume_ul: float) -> list[tuple[Any, float]]:
    """What each well gives or gets in all, when several channels stand in one."""
    counted: dict[int, list[Any]] = {}
    for well in wells:
        counted.setdefault(id(well), []).append(well)
    return [(same[0], volume_ul * len(same)) for same in counted.values()]
