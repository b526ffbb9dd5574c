"""Rules of closed vessels: what people move between bags, bioreactors and dose tubes, followed like a robot's work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nkloop.errors import Problem
from nkloop.quantities.display import number
from nkloop.worklists import rules
from nkloop.worklists.bag_weights import ml
from nkloop.worklists.models import Step, Vessel, VesselMove, Worklist

_VOLUME_SHARE, _DENSITY_SHARE, _SLACK_UL = 0.01, 0.05, 1.0


@dataclass(slots=True)
class Held:
    """What a vessel holds while people move liquid."""

    volume_ul: float
    cells: float

    @property
    def cells_per_ul(self) -> float:
        """Density; 0 when it is empty."""
        return self.cells / self.volume_ul if self.volume_ul > 0 else 0.0

    def take(self, volume_ul: float, *, is_without_cells: bool) -> float:
        """Draw mixed culture, or supernatant; returns the cells in it."""
        is_mixed = self.volume_ul > 0 and not is_without_cells
        share = min(1.0, volume_ul / self.volume_ul) if is_mixed else 0.0
        cells = self.cells * share
        self.volume_ul, self.cells = self.volume_ul - volume_ul, self.cells - cells
        return cells


def held_at_start(worklist: Worklist, tubes: Mapping[str, float]) -> dict[str, Held]:
    """What closed vessels hold before anybody moves anything, and tubes on the deck (`labware:well`) hold, by name."""
    held = {name: Held(volume, 0.0) for name, volume in tubes.items()}
    return held | {v.name: Held(v.volume_ul, v.volume_ul * v.cells_per_ul) for v in worklist.vessels}


def carry(move: VesselMove, held: Mapping[str, Held]) -> None:
    """Follow one move with its cells; base medium comes from nowhere, waste and samples go nowhere."""
    cells = 0.0
    if move.from_vessel in held:
        cells = held[move.from_vessel].take(move.volume_ul, is_without_cells=move.is_without_cells)
    if move.to_vessel in held:
        target = held[move.to_vessel]
        target.volume_ul, target.cells = target.volume_ul + move.volume_ul, target.cells + cells


def vessel_problems(worklist: Worklist, tubes: Mapping[tuple[str, str], float]) -> Iterator[Problem]:
    """What is wrong with what people move.

    Args:
        worklist: its vessels and the moves of its operator tasks.
        tubes: volume in each well of the deck at the end of the robot's work, by nickname and well.
    """
    if not worklist.vessels:
        return
    known = {vessel.name: vessel for vessel in worklist.vessels}
    held = held_at_start(worklist, {f"{labware}:{well}": volume for (labware, well), volume in tubes.items()})
    found: list[Problem] = []
    for step in worklist.steps:
        for move in step.moves:
            found += _moved(step, move, known, held)
    yield from found
    if not found:
        for vessel in worklist.vessels:
            yield from _ended(vessel, held[vessel.name])


def _moved(step: Step, move: VesselMove, known: Mapping[str, Vessel], held: Mapping[str, Held]) -> Iterator[Problem]:
    where = f"step {step.number}"
    unknown = [name for name in (move.from_vessel, move.to_vessel) if name and name not in held]
    if unknown:
        told = f"'{unknown[0]}' is no vessel of the worklist and no well of its deck"
        yield Problem(told, where, "name a vessel that is there", rules.VESSEL_RANGE)
        return
    carry(move, held)
    source, vessel = held.get(move.from_vessel), known.get(move.from_vessel)
    if source is not None and vessel is None and source.volume_ul < -_SLACK_UL:
        told = f"{ml(move.volume_ul)} are taken out of {move.from_vessel}, which holds less"
        yield Problem(told, where, "fill more into the tube", rules.VESSEL_RANGE)
    if source is not None and vessel is not None and source.volume_ul < vessel.residual_ul - _SLACK_UL:
        told = f"{vessel.name} is drawn down to {ml(source.volume_ul)}, {ml(vessel.residual_ul)} cannot be drained"
        yield Problem(f"{told} out of {vessel.title}", where, "take less", rules.VESSEL_RANGE)
    target, vessel = held.get(move.to_vessel), known.get(move.to_vessel)
    if target is not None and vessel is not None and target.volume_ul > vessel.capacity_ul + _SLACK_UL:
        told = f"{vessel.name} is filled to {ml(target.volume_ul)}, {vessel.title} takes {ml(vessel.capacity_ul)}"
        yield Problem(told, where, "give less, or choose a larger vessel", rules.VESSEL_RANGE)


def _ended(vessel: Vessel, held: Held) -> Iterator[Problem]:
    remedy = "correct the move that makes the difference"
    if abs(held.volume_ul - vessel.end_ul) > max(_SLACK_UL, _VOLUME_SHARE * vessel.end_ul):
        told = f"ends with {ml(held.volume_ul)}, planned are {ml(vessel.end_ul)}"
        yield Problem(told, vessel.name, remedy, rules.VESSEL_END)
    elif not vessel.is_emptied and held.volume_ul < vessel.lowest_ul - _SLACK_UL:
        told = f"ends with {ml(held.volume_ul)}, {vessel.title} needs {ml(vessel.lowest_ul)}"
        yield Problem(told, vessel.name, "give more medium, or choose a smaller vessel", rules.VESSEL_RANGE)
    wanted = vessel.end_cells_per_ul
    if wanted is None or held.volume_ul <= 0:
        return
    if abs(held.cells_per_ul - wanted) > _DENSITY_SHARE * wanted:
        told = f"ends with {number(1000 * held.cells_per_ul)} cells/mL, planned are {number(1000 * wanted)}"
        yield Problem(told, vessel.name, remedy, rules.VESSEL_END)
