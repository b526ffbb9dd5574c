"""What outlives a run and is changed by its steps: wells of labware with a barcode, and closed vessels beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from nkloop.worklists.empty_wells import reached
from nkloop.worklists.models import Filling, Step, VesselMove, Worklist

Place = tuple[str, str]
"""Barcode and well; an empty text and the name of a closed vessel."""
GIVEN, DRAWN, MIXED = "given liquid", "drawn from", "mixed"


class Touched(NamedTuple):
    """A well by the barcode of its labware, or a closed vessel by its name, and what was done to it."""

    barcode: str
    """Empty for a closed vessel."""
    well: str
    """Well, or name of the vessel."""
    how: str
    """In words: `GIVEN`, `DRAWN` or `MIXED`."""
    volume_ul: float = 0.0
    """What left it, µL; 0 where nothing did."""

    @property
    def spot(self) -> Place:
        """Where it is, to be looked up."""
        return self.barcode, self.well

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"{self.barcode} {self.well}" if self.barcode else f"vessel {self.well}"

    @property
    def is_given(self) -> bool:
        """True when liquid went into it."""
        return self.how == GIVEN


def touched(worklist: Worklist, numbers: Collection[int] | None = None) -> Iterator[Touched]:
    """Every well of a labware with a barcode, and every closed vessel, that these steps change, as often as they do.

    Without numbers, what all of its steps change.

    A vessel that is made in the run for the run alone (a cell suspension) is none.
    """
    setting = _Setting(worklist)
    for step in worklist.steps:
        if numbers is None or step.number in numbers:
            yield from setting.of(step)


def given_wells(worklist: Worklist) -> set[Place]:
    """Wells of labware with a barcode that a worklist gives into."""
    return {one.spot for one in touched(worklist) if one.is_given and one.barcode}


def held_wells(worklist: Worklist) -> dict[Place, Filling]:
    """Wells of labware with a barcode that a worklist says something is in, and what."""
    barcodes = {item.nickname: item.barcode for item in worklist.deck if item.barcode}
    return {(barcodes[one.labware], one.well): one for one in worklist.fillings if one.labware in barcodes}


def fills_vessels(worklist: Worklist) -> bool:
    """Whether a worklist gives into labware with a barcode, so that it is done once: a vessel is new once."""
    return bool(given_wells(worklist))


def feeds_standing(worklist: Worklist) -> bool:
    """Whether a worklist gives into wells that held something before: planned anew, they would be fed a second time."""
    if worklist.procedure != "cytokine_dosing" or worklist.planned_on:
        return bool(worklist.planned_on)  # what a new medium or assay is filled up from is no feed
    return not given_wells(worklist).isdisjoint(held_wells(worklist))


class _Setting:
    """What stands on the deck and beside it."""

    def __init__(self, worklist: Worklist) -> None:
        self._items = {item.nickname: item for item in worklist.deck}
        self._own = {vessel.name for vessel in worklist.vessels if vessel.is_of_this_run}
        self._held = {(filling.labware, filling.well) for filling in worklist.fillings}

    def of(self, step: Step) -> Iterator[Touched]:
        """What a step changes."""
        if step.action == "mix":
            yield from self._reached(step, step.labware, step.well, MIXED)
        if step.action == "transfer":
            yield from self._reached(step, step.to_labware, step.to_well, GIVEN)
            yield from self._reached(step, step.labware, step.well, DRAWN)
        for move in step.moves:
            yield from self._moved(move)

    def _reached(self, step: Step, nickname: str, well: str, how: str) -> Iterator[Touched]:
        item = self._items.get(nickname)
        if item is None or not item.barcode:
            return
        volume = step.volume_ul if how == DRAWN else 0.0
        first, *others = reached(item.load_name, well, step.channels)
        # nothing can be drawn from empty wells, so that where only the first one holds something it is a trough
        is_trough = (nickname, first) in self._held and not any((nickname, one) in self._held for one in others)
        if how == DRAWN and (is_trough or not others):
            yield Touched(item.barcode, first, how, volume * step.channels)
            return
        for one in (first, *others):
            yield Touched(item.barcode, one, how, volume)

    def _moved(self, move: VesselMove) -> Iterator[Touched]:
        """What people move, out of tubes on the deck and between closed vessels."""
        for vessel, how, volume in ((move.to_vessel, GIVEN, 0.0), (move.from_vessel, DRAWN, move.volume_ul)):
            nickname, _, well = vessel.rpartition(":")
            if (item := self._items.get(nickname)) is not None:
                if item.barcode:
                    yield Touched(item.barcode, well, how, volume)
            elif vessel and vessel not in self._own:
                yield Touched("", vessel, how, volume)
