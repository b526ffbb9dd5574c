"""Which slot each labware of a run stands in: free of modules and trash, and out of the way of what moves beside it.

The rules are those Opentrons' analysis enforces: the footprint of modules; on an OT-2 nothing tall left and right of a
heater-shaker in use and no other module beside it; and for eight channels of which some are idle, whose nozzles reach
over the labware behind: no slot at the back of the deck, and nothing tall behind (measured with opentrons 9.0.0: racks
of 24 tubes, 80 mm, are passed; tip racks, 99 mm, and racks of 15 and 50 mL tubes are hit).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from nkloop.labware.models import LabwareType
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.models import DeckItem

CLEARED_MM = {"flex": 85.0, "ot2": 60.0}
"""Height that idle nozzles of a pipette with tips pass over; of the OT-2 not measured, below its lowest tip rack."""
BESIDE_SHAKER_MM = 53.0
"""Tallest labware left and right of a heater-shaker on an OT-2."""
_FLEX = tuple(f"{row}{column}" for row in "ABCD" for column in "123")
_OT2 = tuple(str(number) for number in range(1, 12))
_SHAKER = "heaterShakerModuleV1"
_ALSO_COVERS: dict[str, dict[str, tuple[str, ...]]] = {
    "flex": {"thermocyclerModuleV2": ("A1", "B1"), "thermocyclerModuleV1": ("A1", "B1")},
    "ot2": {"thermocyclerModuleV2": ("7", "8", "10", "11"), "thermocyclerModuleV1": ("7", "8", "10", "11")},
}


def usable_slots(deck: BenchDeck) -> tuple[str, ...]:
    """Slots that take a labware, in the order they are filled; column 4 of a Flex is out of the pipettes' reach."""
    taken = {deck.trash_slot}
    for module in deck.modules:
        taken |= {module.slot, *_ALSO_COVERS[deck.model].get(module.load_name, ())}
    return tuple(slot for slot in (_FLEX if deck.model == "flex" else _OT2) if slot not in taken)


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


@dataclass(slots=True)
class _Search:
    """Tries slots in order, one labware after the other, and goes back where a rule is broken."""

    deck: BenchDeck
    kinds: Mapping[str, LabwareType]
    hanging: Collection[str]
    found: dict[str, str] = field(default_factory=dict)

    def run(self, free: Sequence[str], waiting: Sequence[DeckItem]) -> bool:
        """Give every waiting labware a slot; False when there is no way."""
        if not waiting:
            return True
        for slot in free:
            self.found[waiting[0].nickname] = slot
            if self._keeps_rules() and self.run([one for one in free if one != slot], waiting[1:]):
                return True
            del self.found[waiting[0].nickname]
        return False

    def _keeps_rules(self) -> bool:
        height = {slot: self.kinds[nickname].height_mm for nickname, slot in self.found.items()}
        for nickname in self.hanging:
            back = behind(self.found[nickname]) if nickname in self.found else ""
            if back is None or height.get(back, 0.0) > CLEARED_MM[self.deck.model]:
                return False
        shaker = self.deck.module_slot(_SHAKER) if self.deck.model == "ot2" else None
        in_use = shaker is not None and shaker in self.found.values()
        return not in_use or all(height.get(slot, 0.0) <= BESIDE_SHAKER_MM for slot in beside(shaker or ""))


def arrange(
    items: Sequence[DeckItem], kinds: Mapping[str, LabwareType], deck: BenchDeck, hanging: Collection[str] = ()
) -> dict[str, str] | None:
    """Slot of every labware by nickname; the same input always gives the same deck.

    Args:
        items: labware in the order they were asked for; those on a module stay there.
        kinds: labware type by nickname.
        deck: the bench's slots, modules and trash.
        hanging: nicknames over which idle nozzles reach backwards.

    Returns:
        None when no arrangement keeps the rules.
    """
    fixed = {item.nickname: item.slot for item in items if item.module is not None}
    search = _Search(deck, kinds, hanging, dict(fixed))
    waiting = [item for item in items if item.nickname not in fixed]
    # what is bound by a rule looks for its place first; the rest fills up in the order it was asked for
    waiting.sort(key=lambda item: item.nickname not in hanging)
    return search.found if search.run(usable_slots(deck), waiting) else None
