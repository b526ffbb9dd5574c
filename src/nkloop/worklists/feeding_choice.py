"""How culture wells are fed: every way that the plate and the bench allow, and the one that costs least.

A well may be fed from the one vessel of its arm, by one channel; or from a deep well that mirrors it, by as many
channels as its column has wells. Mirroring costs doses or copies, deep wells and medium; it saves time, above all of
cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from nkloop.errors import NkloopError, PlanError, ShortageError
from nkloop.inventory.models import Lot
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.chain_cost import CostWeights, Prices
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.duration import estimate_minutes
from nkloop.worklists.mirrored_wells import may_mirror
from nkloop.worklists.mixtures import DEEP_WELLS
from nkloop.worklists.models import Worklist
from nkloop.worklists.plans import DosingRequest, Layout

_CHANNELS = 8
_WORDS: dict[Layout, str] = {
    "arms": "one channel, out of one vessel for each arm",
    "placed": "columns as far as one deep well for each arm allows, the rest by one channel",
    "columns": "columns, out of deep wells that are made one by one",
    "copies": "columns, out of deep wells that the media of the arms are shared out to",
}


class Cost(NamedTuple):
    """What a run or several cost."""

    eur: float
    tips: int
    minutes: float
    """Of the robot."""
    cells_out_minutes: float
    """Longest time of cells outside the incubator."""

    def plus(self, other: Cost) -> Cost:
        """Of both together, one after the other."""
        out = max(self.cells_out_minutes, other.cells_out_minutes)
        return Cost(self.eur + other.eur, self.tips + other.tips, self.minutes + other.minutes, out)

    def __str__(self) -> str:
        out = f", cells out for {self.cells_out_minutes:.0f} min" if self.cells_out_minutes else ""
        return f"{self.minutes:.0f} min{out}, {self.tips} tips, {self.eur:.2f} EUR"


def layouts(request: DosingRequest, deck: BenchDeck, catalogue: LabwareLookup) -> tuple[Layout, ...]:
    """Ways that may pay, the plain one first.

    Where an arm has one well, its deep well stands in the place of it. Copies pay only where wells hold cells, because
    one tip serves all empty wells of an arm.
    """
    fed = [well for well in request.wells if well.add_ul > 0]
    moves = any(well.is_transferred for well in fed)
    plate = catalogue[request.new_plate_load_name if moves else request.plate_load_name]
    if deck.pipette(_CHANNELS) is None or not may_mirror(plate, fed):
        return ("arms",)
    several = len({well.arm for well in fed}) < len(fed)
    with_cells = any(well.present_ul > 0 and not well.is_transferred for well in fed)
    if not several:
        return ("arms", "columns")
    return ("arms", "placed", "columns", "copies") if with_cells else ("arms", "placed", "columns")


def run_cost(
    worklist: Worklist,
    deck: BenchDeck,
    lots: Mapping[str, Lot],
    ledger: Ledger,
    base: tuple[str, str],
    cells_out_minutes: float,
) -> Cost:
    """Cost of one run by the stated weights: stock and carrier, tips, tubes and plates, minutes, also those of cells.

    Args:
        worklist: of the run.
        deck: tells the time.
        lots: by component.
        ledger: what stands where after it.
        base: nickname and well of the base medium, of which only what is drawn is counted.
        cells_out_minutes: of cells outside the incubator.
    """
    weights = CostWeights()
    by_id = {lot.id: lot for lot in lots.values()}
    eur = 0.0
    for filling in worklist.fillings:
        lot = by_id.get(filling.liquid.lot or "")
        if lot is not None:
            eur += filling.volume_ul * Prices.of(lot).stock
        elif (filling.labware, filling.well) == base:
            eur += (filling.volume_ul - ledger.well(*base).volume_ul) * Prices().carrier
    tips = sum(step.channels for step in worklist.steps if step.tip)
    minutes = estimate_minutes(worklist, deck)
    plates = sum(1 for item in worklist.deck if item.load_name == DEEP_WELLS)
    racks = {item.nickname for item in worklist.deck if "tuberack" in item.load_name}
    tubes = {(s.to_labware, s.to_well) for s in worklist.steps if s.to_labware in racks}
    eur += tips * weights.tip_eur + minutes * weights.minute_eur + cells_out_minutes * weights.cells_out_eur
    eur += plates * weights.deep_plate_eur + len(tubes) * weights.tube_eur
    return Cost(eur, tips, minutes, cells_out_minutes)


class _Costed(Protocol):
    @property
    def cost(self) -> Cost: ...


def total(runs: Iterable[_Costed]) -> Cost:
    """Of all runs of a plan."""
    found = Cost(0.0, 0, 0.0, 0.0)
    for run in runs:
        found = found.plus(run.cost)
    return found


Planned = TypeVar("Planned")


def cheapest(ways: Sequence[Layout], plan: Callable[[Layout], tuple[Planned, Cost]]) -> tuple[Planned, Layout, str]:
    """The plan that costs least, its way, and one sentence on the others; the sentence is empty when there are none.

    Raises:
        PlanError: no way is possible; the refusal of the first is told.
        ShortageError: the same, for want of stock.
    """
    found: dict[Layout, tuple[Planned, Cost]] = {}
    refused: dict[Layout, NkloopError] = {}
    for way in ways:
        try:
            found[way] = plan(way)
        except (PlanError, ShortageError) as error:
            refused[way] = error
    if not found:
        raise next(iter(refused.values()))
    best = min(found, key=lambda way: found[way][1].eur)
    told_costs = {found[best][1]: best}  # ways of one cost are one way, which the plate leaves no room to differ
    for way, (_, cost) in found.items():
        told_costs.setdefault(cost, way)
    others = [f"{_WORDS[way]} would be {cost}" for cost, way in told_costs.items() if way != best]
    others += [f"{_WORDS[way]} cannot be: {error.problems[0].message}" for way, error in refused.items()]
    told = f"Wells are fed by {_WORDS[best]}: {'; '.join([str(found[best][1]), *others])}."
    return found[best][0], best, told if len(ways) > 1 else ""
