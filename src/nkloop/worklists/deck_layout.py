"""Which slot each labware of a run stands in: free of modules and trash, and out of the way of what moves beside it.

The rules are those Opentrons' analysis enforces: the footprint of modules; on an OT-2 nothing tall left and right of a
heater-shaker in use and no other module beside it; and for eight channels of which some are idle, whose nozzles reach
over the labware behind: no slot at the back of the deck, and nothing behind that is taller than the tips in use are
long (measured with opentrons 9.0.0: with tips of 1000 µL racks of 24 tubes, 80 mm, are passed, tip racks, 99 mm, and
racks of 15 and 50 mL tubes are hit; with tips of 50 µL racks of 24 tubes are hit).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from nkloop.labware.models import LabwareType
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.models import DeckItem

CLEARED_AT_TIPS_MM = {"flex": 85.0, "ot2": 60.0}
"""Height that idle nozzles pass over while others pick up tips, on robots whose channels move together; of the OT-2 not
measured, below its lowest tip rack."""
BESIDE_SHAKER_MM = 53.0
"""Tallest labware left and right of a heater-shaker on an OT-2."""
_FLEX = tuple(f"{row}{column}" for row in "ABCD" for column in "123")
_OT2 = tuple(str(number) for number in range(1, 12))
_SHAKER = "heaterShakerModuleV1"
_ALSO_COVERS: dict[str, dict[str, tuple[str, ...]]] = {
    "flex": {"thermocyclerModuleV2": ("A1", "B1"), "thermocyclerModuleV1": ("A1", "B1")},
    "ot2": {"thermocyclerModuleV2": ("7", "8", "10", "11"), "thermocyclerModuleV1": ("7", "8", "10", "11")},
}
"""Modules that need more than their own slot; on decks with carriers every device has its own place."""


def usable_slots(deck: BenchDeck) -> tuple[str, ...]:
    """Slots that take a labware, in the order they are filled.

    Column 4 of a Flex is out of the pipettes' reach; a STAR or EVO has the slots A1 to D3 that its bench lays out.
    """
    taken = {deck.trash_slot}
    for module in deck.modules:
        taken |= {module.slot, *_ALSO_COVERS.get(deck.model, {}).get(module.load_name, ())}
    return tuple(slot for slot in (_OT2 if deck.model == "ot2" else _FLEX) if slot not in taken)


def place(slot: str) -> str:
    """A slot by row and column: on an OT-2 `4` and `C1` are one place, its fixed trash `12` stands in `A3`."""
    if not slot.isdigit():
        return slot
    row, column = divmod(int(slot) - 1, 3)
    return f"{'DCBA'[row]}{column + 1}"


def behind(slot: str) -> str | None:
    """The slot at the back of another one, None at the back of the deck."""
    if slot[0].isdigit():
        return str(int(slot) + 3) if int(slot) <= 9 else None
    return f"{chr(ord(slot[0]) - 1)}{slot[1]}" if slot[0] != "A" else None


def beside(slot: str) -> tuple[str, ...]:
    """Slots left and right of another one."""
    if slot[0].isdigit():
        number = int(slot)
        return tuple(str(n) for n in (number - 1, number + 1) if 1 <= n <= 12 and (n - 1) // 3 == (number - 1) // 3)
    return tuple(f"{slot[0]}{column}" for column in (int(slot[1]) - 1, int(slot[1]) + 1) if 1 <= column <= 3)


def overhangs(kind: LabwareType, lowest: str, channels: int) -> bool:
    """True when idle nozzles stand behind the labware while its lowest channel is in `lowest`."""
    if channels in {1, 8}:
        return False
    if kind.rows not in {8, 16}:
        return True
    return (ord(lowest[0]) - ord("A")) // (kind.rows // 8) < 7


def arrange(
    items: Sequence[DeckItem],
    kinds: Mapping[str, LabwareType],
    deck: BenchDeck,
    hanging: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, str] | None:
    """Slot of every labware by nickname; the same input always gives the same deck.

    Args:
        items: labware in the order they were asked for; those on a module stay there.
        kinds: labware type by nickname.
        deck: the bench's slots, modules and trash.
        hanging: nicknames over which idle nozzles reach backwards, with the height (mm) that they pass over there.

    Returns:
        None when no arrangement keeps the rules.
    """
    heights = {nickname: kind.height_mm for nickname, kind in kinds.items()}
    fixed = {item.nickname: item.slot for item in items if item.module is not None}
    loose = [item.nickname for item in items if item.module is None]
    free = tuple(slot for slot in usable_slots(deck) if slot not in deck.tip_slots)
    if deck.tip_slots:
        racks = [nickname for nickname in loose if kinds[nickname].kind == "tip_rack"]
        if len(racks) > len(deck.tip_slots):
            return None
        fixed |= dict(zip(racks, deck.tip_slots, strict=False))
        loose = [nickname for nickname in loose if nickname not in racks]
    if deck.has_independent_channels:
        hanging = {}
    bound = [nickname for nickname in loose if nickname in hanging]
    rest = [nickname for nickname in loose if nickname not in hanging]
    for placed, limits in _placings(deck, fixed, bound, free, rest, heights, hanging):
        left = [slot for slot in free if slot not in placed.values()]
        found = _filled(left, rest, heights, limits)
        if found is not None:
            return {**placed, **found}
    return None


def _placings(
    deck: BenchDeck,
    placed: dict[str, str],
    bound: Sequence[str],
    free: Sequence[str],
    rest: Sequence[str],
    heights: Mapping[str, float],
    hanging: Mapping[str, float],
) -> Iterator[tuple[dict[str, str], dict[str, float]]]:
    """Ways to place the bound labware that leave room for the rest, with their limits; slots in the order of `free`.

    One more labware only adds limits, so a beginning that breaks a rule is given up with everything that follows it.
    """
    limits = _limits(deck, placed, hanging)
    if limits is None or any(heights[nickname] > limits.get(slot, math.inf) for nickname, slot in placed.items()):
        return
    if not _has_room(free, [*bound, *rest], heights, limits):
        return
    if not bound:
        yield placed, limits
        return
    for slot in free:
        others = [one for one in free if one != slot]
        yield from _placings(deck, {**placed, bound[0]: slot}, bound[1:], others, rest, heights, hanging)


def _limits(deck: BenchDeck, placed: Mapping[str, str], hanging: Mapping[str, float]) -> dict[str, float] | None:
    """Greatest height by slot, where one is limited; None when idle nozzles would leave the deck."""
    limits: dict[str, float] = {}
    for nickname, slot in placed.items():
        if nickname in hanging:
            back = behind(slot)
            if back is None:
                return None
            limits[back] = hanging[nickname]
    shaker = deck.module_slot(_SHAKER) if deck.model == "ot2" else None
    if shaker is not None and shaker in placed.values():
        for slot in beside(shaker):
            limits[slot] = min(limits.get(slot, math.inf), BESIDE_SHAKER_MM)
    return limits


def _has_room(
    free: Sequence[str], waiting: Sequence[str], heights: Mapping[str, float], limits: Mapping[str, float]
) -> bool:
    """True when the slots take all of the waiting: the tallest go where most height is allowed."""
    tall = sorted((heights[nickname] for nickname in waiting), reverse=True)
    allowed = sorted((limits.get(slot, math.inf) for slot in free), reverse=True)
    return len(tall) <= len(allowed) and all(height <= most for height, most in zip(tall, allowed, strict=False))


def _filled(
    free: Sequence[str], waiting: Sequence[str], heights: Mapping[str, float], limits: Mapping[str, float]
) -> dict[str, str] | None:
    """Each in the first slot that takes it and leaves room for those after it, or None."""
    left, found = list(free), dict[str, str]()
    for number, nickname in enumerate(waiting):
        for slot in left:
            others = [one for one in left if one != slot]
            fits = heights[nickname] <= limits.get(slot, math.inf)
            if fits and _has_room(others, waiting[number + 1 :], heights, limits):
                found[nickname] = slot
                left.remove(slot)
                break
        else:
            return None
    return found
