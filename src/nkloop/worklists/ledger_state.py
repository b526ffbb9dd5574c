"""What the contents ledger remembers of wells, tips and pipettes, and how liquid moves between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nkloop.labware.models import LabwareType
from nkloop.worklists.models import DeckItem

SLACK_UL = 1e-6
"""Rounding slack of volume comparisons."""
CELLS, LYSIS, SUBSTRATE, STOP = 1, 2, 4, 8
"""What a liquid is, as far as the order of a procedure depends on it; marks stay with whatever a liquid reaches."""
CELL_PREFIXES = ("donor:", "effector:", "target:")
_CELL_RACKS = frozenset({"cells", "donors"})
"""Nicknames under which the planners put cell suspensions; a CSV names its liquids in free words."""
_WORDS = (("lysis", LYSIS), ("substrate", SUBSTRATE), ("stop", STOP))
PerUl = Mapping[str, float]
"""Component to what one µL holds of it, in canonical units. It is never changed: every well and tip a liquid reaches
shares it, so that drawing and giving it costs nothing, and only where two liquids meet a new one is made."""
NOTHING: PerUl = MappingProxyType({})
_SAME = 1e-3
"""Two liquids whose concentrations differ by less are one liquid."""


class WellState:
    """One well: volume in µL, the liquid in it, and what the order and mixing rules ask for."""

    __slots__ = ("is_cold", "is_uneven", "lot", "lots", "marks", "mixed_at", "per_ul", "upset_by", "volume")

    def __init__(self) -> None:
        self.volume = 0.0
        self.per_ul: PerUl = NOTHING
        self.lots: frozenset[str] = frozenset()
        self.lot: str | None = None
        self.marks = 0
        self.is_cold = False
        self.is_uneven = False
        self.mixed_at = -1000
        self.upset_by = -1
        """Index of the violation whose liquid, or lack of it, came here; -1 for none."""


@dataclass(slots=True)
class Place:
    """A labware on the deck with the state of its wells."""

    item: DeckItem
    type: LabwareType
    wells: dict[str, WellState] = field(default_factory=dict)
    used_tips: set[str] = field(default_factory=set)
    reached: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)

    is_rested: bool = False
    """Cells in it have settled on purpose: it was incubated or centrifuged since the last ones came."""
    is_spun: bool = False
    """It was centrifuged and nothing was added since."""

    def state(self, name: str) -> WellState:
        """The state of a well; made when it is first asked for, which is cheaper than making one every time."""
        found = self.wells.get(name)
        if found is None:
            found = self.wells[name] = WellState()
        return found

    def note_arrival(self, marks: int) -> None:
        """Liquid came: what was spun down is stirred up, and new cells or substrate need their time."""
        self.is_spun = False
        if marks & (CELLS | SUBSTRATE):
            self.is_rested = False


class HeldTip:
    """What one channel's tip holds and has touched."""

    __slots__ = (
        "is_cold",
        "is_spun",
        "lots",
        "marks",
        "per_ul",
        "source",
        "touched",
        "upset_by",
        "volume",
    )

    def __init__(self) -> None:
        self.volume = 0.0
        self.per_ul: PerUl = NOTHING
        self.lots: frozenset[str] = frozenset()
        self.touched: set[str] = set()
        self.source: WellState | None = None
        self.marks = 0
        self.is_cold = False
        self.is_spun = False
        self.upset_by = -1


@dataclass(slots=True)
class PipetteState:
    """A pipette and the tips on it."""

    name: str
    channels: int
    minimum: float
    maximum: float
    tip: str = ""
    capacity: float = 0.0
    most: float = 0.0
    """The largest volume that pipette and tip take, with rounding slack."""
    held: list[HeldTip] = field(default_factory=list)


def marks_of(nickname: str, components: Iterable[str]) -> int:
    """What a liquid is, told from its components and the rack it stands in."""
    marks = CELLS if nickname in _CELL_RACKS else 0
    for name in components:
        if name.startswith((*CELL_PREFIXES, "effectors ")):
            marks |= CELLS
        lowered = name.lower()
        for word, mark in _WORDS:
            if word in lowered:
                marks |= mark
    return marks


def draw(source: WellState, held: HeldTip, volume: float) -> None:
    """Move a volume from a well into a tip."""
    if volume <= 0:
        return
    held.touched.update(source.per_ul)
    held.source, held.marks, held.is_cold = source, source.marks, source.is_cold
    held.per_ul = mixture(held.per_ul, held.volume, source.per_ul, volume) if held.volume > 0 else source.per_ul
    held.volume += volume
    source.volume -= volume
    if source.volume <= 0:
        source.per_ul = NOTHING
    if not source.lots <= held.lots:
        held.lots |= source.lots


def give(held: HeldTip, target: WellState, volume: float, *, touching: bool) -> None:
    """Move a volume from a tip into a well; the well is uneven when it held another liquid.

    `touching` says whether the tip enters what stands in the well; from the rim it does not.
    """
    if volume <= 0:
        return
    if target.volume <= 0:
        target.per_ul = held.per_ul
    elif target.per_ul is not held.per_ul:
        if touching:
            held.touched.update(target.per_ul)
        target.is_uneven = target.is_uneven or not _are_alike(held.per_ul, target.per_ul)
        target.per_ul = mixture(target.per_ul, target.volume, held.per_ul, volume)
    target.marks |= held.marks
    target.volume += volume
    held.volume -= volume
    if held.volume <= SLACK_UL:
        held.volume, held.per_ul = 0.0, NOTHING
    if not held.lots <= target.lots:
        target.lots |= held.lots


def mixture(one: PerUl, one_ul: float, other: PerUl, other_ul: float) -> PerUl:
    """The liquid that two volumes make together."""
    if one is other:
        return one
    share = other_ul / (one_ul + other_ul)
    made = {name: per_ul * (1.0 - share) for name, per_ul in one.items()}
    for name, per_ul in other.items():
        made[name] = made.get(name, 0.0) + per_ul * share
    return made


def _are_alike(one: PerUl, other: PerUl) -> bool:
    if one.keys() != other.keys():
        return False
    return all(abs(per_ul - other[name]) <= _SAME * per_ul for name, per_ul in one.items())
