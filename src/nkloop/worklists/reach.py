"""Where liquid goes, well by well, and which wells hold living cells; what the rules of temperature and time follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nkloop.errors import LabwareError
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.ledger_state import CELL_PREFIXES
from nkloop.worklists.models import Step, Worklist

Spot = tuple[str, str]
"""Nickname and well."""


class Reach:
    """Wells a step draws from and gives to, channel by channel; a step that reaches none has no pairs."""

    def __init__(self, worklist: Worklist, catalogue: LabwareLookup) -> None:
        """`catalogue` gives the wells that several channels reach; wells already asked for are remembered."""
        self._loads = {item.nickname: item.load_name for item in worklist.deck}
        self._catalogue = catalogue
        self._known: dict[tuple[str, str, int], tuple[str, ...]] = {}

    def pairs(self, step: Step) -> Iterator[tuple[Spot, Spot]]:
        """Source and target of every channel of a transfer."""
        sources = self._wells(step.labware, step.well, step.channels)
        targets = self._wells(step.to_labware, step.to_well, step.channels)
        for source, target in zip(sources, targets, strict=False):
            yield (step.labware, source), (step.to_labware, target)

    def _wells(self, labware: str, well: str, channels: int) -> tuple[str, ...]:
        key = (labware, well, channels)
        if key not in self._known:
            try:
                self._known[key] = self._catalogue[self._loads[labware]].reached(well, channels)
            except (LabwareError, KeyError):  # other rules refuse it
                self._known[key] = ()
        return self._known[key]


def cell_spots(worklist: Worklist, reach: Reach) -> frozenset[Spot]:
    """Wells that hold living cells at some time of the run; what leaves a centrifuged labware is supernatant."""
    found = {
        (f.labware, f.well)
        for f in worklist.fillings
        if f.labware in worklist.limits.cells_in or any(name.startswith(CELL_PREFIXES) for name in f.liquid.per_ul)
    }
    spun: set[str] = set()
    for step in worklist.steps:
        if step.operator is not None and step.operator.kind == "centrifuge":
            spun.update(step.operator.labware)
        if step.action == "transfer" and step.labware not in spun and step.to_labware != "waste":
            found |= {target for source, target in reach.pairs(step) if source in found}
    return frozenset(found)


def step_minutes(step: Step, minutes: Mapping[int, float]) -> float:
    """Time of a step: what a person takes for a pause, else the robot's."""
    return step.operator.minutes if step.operator is not None else minutes.get(step.number, 0.0)
