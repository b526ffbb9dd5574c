"""Tips: which rack a tip comes from, and why a new one is taken or the old one kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nkloop.labware.models import LabwareType
from nkloop.worklists.bench_deck import BenchDeck, PipetteSpec, TipRackSpec
from nkloop.worklists.models import DeckItem


@dataclass(slots=True)
class TipRack:
    """A rack on the deck and the tips taken out of it."""

    nickname: str
    spec: TipRackSpec
    kind: LabwareType
    label: str = ""
    used: set[str] = field(default_factory=set)

    def item(self, slot: str) -> DeckItem:
        """The rack as it stands in a slot."""
        kind = self.kind
        return DeckItem(
            nickname=self.nickname,
            slot=slot,
            load_name=kind.load_name,
            namespace=kind.namespace,
            version=kind.version,
            label=self.label,
        )

    def take(self, channels: int) -> tuple[str, ...]:
        """The tips that `offered` names; they are used from now on."""
        names = self.offered(channels)
        self.used.update(names)
        return names

    def offered(self, channels: int) -> tuple[str, ...]:
        """Names of the next fresh tips, from the uppermost down; empty when the rack has no such tips.

        All eight come as whole columns from the left, fewer from the right. Two to seven are taken by the front nozzles
        while the idle ones stand behind them, so no tip may be left in the rows behind: a column is emptied from the
        back, a begun one first.
        """
        columns = list(range(1, self.kind.columns + 1))
        for column in columns if channels == 8 else self._begun_first(columns[::-1], channels):
            rows = self.kind.reached(f"A{column}", 8)
            fresh = [name for name in rows if name not in self.used]
            is_emptied_from_back = rows[8 - len(fresh) :] == tuple(fresh)
            if len(fresh) >= channels and (channels == 1 or is_emptied_from_back) and (channels < 8 or len(fresh) == 8):
                return tuple(fresh[:channels])
        return ()

    def _begun_first(self, columns: Sequence[int], channels: int) -> list[int]:
        """For parts of a column, columns that are already begun come first."""
        if channels == 1:
            return list(columns)
        return sorted(columns, key=lambda column: not self.used.intersection(self.kind.reached(f"A{column}", 8)))


def new_rack(spec: TipRackSpec, kind: LabwareType, number: int) -> TipRack:
    """The full rack of its kind with that number on the deck."""
    size = f"{spec.volume_ul:g}{'' if spec.filter else '_plain'}{'_wide' if spec.wide_bore else ''}"
    nickname = f"tips_{size}" if number == 1 else f"tips_{size}_{number}"
    words = f"{'Wide-bore ' if spec.wide_bore else ''}{'Filter tips' if spec.filter else 'Tips'}"
    return TipRack(nickname, spec, kind, f"{words} {spec.volume_ul:g} µL, rack {number}")


def fitting(deck: BenchDeck, pipette: PipetteSpec, volume_ul: float, *, gentle: bool = False) -> Iterator[TipRackSpec]:
    """Racks whose tips fit the pipette and take the volume, best first.

    Filter tips come before plain ones, smaller before larger; for cells (`gentle`) wide-bore tips come first of all,
    for everything else they are not used.
    """
    takes = [rack for rack in deck.tips if _fits(deck, pipette, rack) and (gentle or not rack.wide_bore)]
    largest = max((rack.volume_ul for rack in takes), default=0.0)
    asked = min(volume_ul, largest)
    enough = [rack for rack in takes if rack.volume_ul >= asked - 1e-6]
    yield from sorted(enough, key=lambda rack: (not rack.wide_bore, not rack.filter, rack.volume_ul))


def _fits(deck: BenchDeck, pipette: PipetteSpec, rack: TipRackSpec) -> bool:
    """Pipettes take every tip up to their size; those of an OT-2 each have their own."""
    if deck.model != "ot2":
        return rack.volume_ul <= pipette.max_volume_ul
    return pipette.max_volume_ul / 2 <= rack.volume_ul <= pipette.max_volume_ul


def why_new(touched: frozenset[str] | None, source: frozenset[str]) -> str:
    """Why a new tip is taken, in one phrase.

    Args:
        touched: components the tip held so far has touched; None when none is held.
        source: components of what is drawn next.
    """
    if touched is None:
        return "new: no tip is held"
    foreign = sorted(touched - source)
    if foreign:
        return f"new: the last one touched {', '.join(foreign[:3])}{' and more' if len(foreign) > 3 else ''}"
    return "new: each source and target its own"


def why_kept(touched: frozenset[str] | None, source: frozenset[str]) -> str:
    """Why the tip in use is kept, in one phrase."""
    if not touched:
        return "kept: it has touched nothing yet"
    if touched <= source:
        return "kept: it has touched nothing but what it draws again"
    return "kept: what it touched goes where it goes"
