"""The arm of a liquid handler during a run: which tips it holds on which channels, and the moves of each step.

A worklist knows two pipettes; an arm with independent channels has neither. Each pipette of the worklist stands for
some channels. Where both would need the same channel, the tip of the other pipette is thrown away, or put back into
its own place of the rack when the worklist goes on with it later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from nkloop.drivers.pylabrobot.family import Family
from nkloop.drivers.pylabrobot.moves import Move, height_mm, moves_of
from nkloop.drivers.pylabrobot.pipetting import Outcome, Pipetting
from nkloop.drivers.pylabrobot.resources import Table
from nkloop.drivers.pylabrobot.settings import LiquidClass
from nkloop.errors import DeviceError
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.models import Step, Worklist

Operate = Callable[[str, dict[str, Any], Callable[[], Awaitable[Outcome]]], Awaitable[Outcome]]


class Stopped(Exception):
    """The run was asked to stop; the command under way has ended."""


@dataclass
class _Held:
    """Tips of one pipette of the worklist."""

    tip: str
    channels: tuple[int, ...]
    is_parked: bool = False
    """Put back into the rack, to be taken again."""


class Hands:
    """Carries steps out through `operate`, which fences and records each operation."""

    def __init__(
        self,
        worklist: Worklist,
        catalogue: LabwareLookup,
        family: Family,
        pipetting: Pipetting,
        table: Table,
        operate: Operate,
    ) -> None:
        self._worklist, self._family, self._pipetting, self._table = worklist, family, pipetting, table
        self._operate = operate
        self._ledger = Ledger.of(worklist, catalogue)
        self._held: dict[str, _Held] = {}
        self._liquid: LiquidClass | None = None
        self.moved_ul: tuple[float, ...] = ()
        """What each channel has given to the target of the step under way; empty while nothing has left the source."""
        self.lost = ""
        """What was drawn in the step under way and will be thrown away, in words; empty when nothing is."""
        self._is_certain = True
        self._is_even = True
        self._mixes_in_tip = False

    async def carry_out(self, step: Step) -> None:
        """Do every move of a transfer or a mix.

        Raises:
            Stopped: between two moves.
            DeviceError: a move failed; `moved_ul`, `lost` and `ending` say how far the step came.
        """
        self.begin()
        mount = self._worklist.mount_of(step)
        if mount is None:
            raise DeviceError(f"no pipette with {step.channels} channels", where=f"step {step.number}")
        for move in moves_of(step):
            if move.operation.kind == "pick_up":
                await self._take_tips(step, mount)
            else:
                await self._hold_again(step, mount)
                await self._move(step, mount, move)

    def begin(self) -> None:
        """Forget how far the last step came."""
        self.moved_ul, self.lost = (), ""
        self._is_certain, self._is_even, self._mixes_in_tip = True, True, False

    @property
    def ending(self) -> Literal["failed", "unknown"]:
        """What a step that did not come to its end is in the journal.

        It is failed when every well is known: nothing was drawn, or all channels drew and all or none of them gave.
        When the channels did not do the same, a plunger may have stopped in its movement, or a tip is thrown away in
        the middle of a mix, its wells are neither those of a step done nor of one not begun, and a person has to look.
        """
        return "failed" if self._is_certain and self._is_even and not self._mixes_in_tip else "unknown"

    async def drop_all(self) -> None:
        """Throw every tip away; those put back into their rack stay there."""
        for mount in list(self._held):
            await self._drop(mount)
        self._ledger.drop_all()

    # -- tips ---------------------------------------------------------------------------------------------------

    async def _take_tips(self, step: Step, mount: str) -> None:
        await self._drop(mount)
        channels = self._family.channels(mount, step.channels)
        await self._make_room(step, mount, channels)
        # before the pick-up: where it fails on some channels, the others hold tips that have to be dropped
        self._held[mount] = _Held(step.tip, channels)
        await self._pick_up(step.tip, channels)
        self._ledger.pick_up(step.channels, step.tip, mount)

    async def _hold_again(self, step: Step, mount: str) -> None:
        held = self._held.get(mount)
        if held is None:
            raise DeviceError("the pipette holds no tip", where=f"step {step.number}", remedy="name a tip in the step")
        if held.is_parked:
            await self._make_room(step, mount, held.channels)
            held.is_parked = False
            await self._pick_up(held.tip, held.channels)

    async def _make_room(self, step: Step, mount: str, channels: tuple[int, ...]) -> None:
        """Free the channels that another pipette of the worklist uses."""
        for other, held in list(self._held.items()):
            if other == mount or held.is_parked or not self._family.excludes(channels, held.channels):
                continue
            if self._goes_on(other, step.number):
                await self._park(held)
            else:
                await self._drop(other)

    def _goes_on(self, mount: str, number: int) -> bool:
        """Whether a later step works with the tips a pipette holds now."""
        for step in self._worklist.steps:
            if step.number <= number:
                continue
            if step.action == "pause":
                return False
            if step.action in {"transfer", "mix"} and self._worklist.mount_of(step) == mount:
                return not step.tip
        return False

    async def _pick_up(self, tip: str, channels: tuple[int, ...]) -> None:
        rack, _, well = tip.partition(":")
        spots = self._table.spots(rack, well, len(channels))
        params = {"labwareId": rack, "wellName": well, "channels": list(channels)}
        await self._done("pickUpTip", params, lambda: self._pipetting.pick_up(spots, channels))

    async def _park(self, held: _Held) -> None:
        rack, _, well = held.tip.partition(":")
        spots = self._table.spots(rack, well, len(held.channels))
        params = {"labwareId": rack, "wellName": well, "channels": list(held.channels)}
        await self._done("returnTip", params, lambda: self._pipetting.drop(spots, held.channels))
        held.is_parked = True

    async def _drop(self, mount: str) -> None:
        held = self._held.pop(mount, None)
        if held is None or held.is_parked:
            return
        there = [channel for channel in held.channels if self._pipetting.holds_tip(channel)]
        if there:
            places = self._family.trash(self._table.deck, len(there))
            params = {"labwareId": "waste", "channels": there}
            await self._done("dropTip", params, lambda: self._pipetting.drop(places, there))

    # -- liquid -------------------------------------------------------------------------------------------------

    async def _move(self, step: Step, mount: str, move: Move) -> None:
        operation, held = move.operation, self._held[mount]
        kind = self._table.kinds[operation.labware]
        names = kind.reached(operation.well, operation.channels)
        wells = self._table.wells(operation.labware, operation.well, operation.channels)
        is_drawn = operation.kind == "aspirate"
        if is_drawn:
            self._liquid = self._class_of(operation.labware, names[0])
        do = self._pipetting.aspirate if is_drawn else self._pipetting.dispense
        settings = self._settings(step, move, names)
        params = {
            "labwareId": operation.labware,
            "wellName": operation.well,
            "volume": operation.volume_ul,
            "channels": list(held.channels),
            "flowRate": settings.get("flow_rates"),
        }
        outcome = await self._done(
            operation.kind, params, lambda: do(wells, operation.volume_ul, held.channels, **settings), move
        )
        self._book(mount, move, outcome)

    async def _done(
        self, kind: str, params: dict[str, Any], work: Callable[[], Awaitable[Outcome]], move: Move | None = None
    ) -> Outcome:
        outcome = await self._operate(kind, params, work)
        if outcome.error is None:
            return outcome
        self._is_certain = outcome.is_certain
        if move is not None:
            self._note(move, outcome)
        raise outcome.error

    def _note(self, move: Move, outcome: Outcome) -> None:
        """Remember what a move did channel by channel."""
        operation, moved = move.operation, outcome.moved
        self._is_even = self._is_even and len(set(moved)) == 1
        is_drawn = operation.kind == "aspirate"
        if is_drawn:
            drawn = operation.volume_ul * sum(moved)
            self.lost = f"; {drawn:g} µL drawn from {operation.labware} {operation.well} are lost" if drawn else ""
        if move.is_mix:
            self._mixes_in_tip = any(moved) if is_drawn else not all(moved)
        elif is_drawn:
            self.moved_ul = (0.0,) * len(moved) if any(moved) else ()
        else:
            self.moved_ul = tuple(operation.volume_ul if did else 0.0 for did in moved)
            missing = operation.volume_ul * (len(moved) - sum(moved))
            told = "did not arrive" if outcome.is_certain else "arrived in part or not at all"
            self.lost = f"; {missing:g} µL of it {told}" if missing else ""

    def _book(self, mount: str, move: Move, outcome: Outcome) -> None:
        """Our ledger is the record: contents follow what was done."""
        self._note(move, outcome)
        operation = move.operation
        place = (operation.channels, operation.labware, operation.well, operation.volume_ul, mount)
        if operation.kind == "aspirate":
            self._ledger.aspirate(*place)
        else:
            self._ledger.dispense(*place, touching=not operation.at_rim)

    def _settings(self, step: Step, move: Move, names: tuple[str, ...]) -> dict[str, Any]:
        """Heights, flow rates and what the maker's backend needs besides."""
        operation, liquid, n = move.operation, self._liquid, len(names)
        levels = [self._ledger.volume_ul(operation.labware, name) for name in names]
        shared = n if len(set(names)) == 1 else 1
        kind, outline = self._table.kinds[operation.labware], self._table.outlines[operation.labware]
        told: dict[str, Any] = {"liquid_height": height_mm(move, levels, kind, outline, shared=shared)}
        is_drawn = operation.kind == "aspirate"
        if liquid is not None:
            told["flow_rates"] = (liquid.aspirate_ul_s if is_drawn else liquid.dispense_ul_s) * step.flow_factor
            if liquid.blow_out_ul and not move.is_mix:
                told["blow_out_air_volume"] = liquid.blow_out_ul
        if is_drawn:
            return told | self._family.aspiration(liquid, n, is_mix=move.is_mix)
        return told | self._family.dispensing(liquid, n, is_mix=move.is_mix, at_rim=operation.at_rim)

    def _class_of(self, labware: str, well: str) -> LiquidClass | None:
        return self._family.settings.class_of(frozenset(self._ledger.well(labware, well).amounts))
