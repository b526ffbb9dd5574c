"""Cells to prepare for killing-assay plates as the robot takes them: the same figure for a design and for its plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from nkloop.assays.designs import CellDemand, demand
from nkloop.assays.models import PlateLayout
from nkloop.inventory import Inventory
from nkloop.labware import Catalogue
from nkloop.recipes.models import ErrorLimits, Recipe
from nkloop.runs.killing import REFERENCE_LOT, plate_request
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.cytotoxicity import plan_cytotoxicity
from nkloop.worklists.plans import CytotoxicityPlan

BEYOND = "what stays in tubes and dilution wells, what is left of the dilutions, and what is drawn in excess"
"""What a robot takes beyond the cells that reach the wells."""


def plan_samples(
    layout: PlateLayout,
    inventory: Inventory,
    deck: BenchDeck,
    catalogue: Catalogue,
    *,
    densities: Mapping[str, float] | None = None,
    errors: ErrorLimits | None = None,
    recipe: Recipe | None = None,
    at: datetime | None = None,
) -> CytotoxicityPlan:
    """Plan a plate of samples that no run has grown: their tubes are named after them.

    Args:
        layout: the plate.
        inventory: lots of the bench.
        deck: of the bench.
        catalogue: labware.
        densities: cells per µL of tubes that differ from the usual, by sample.
        errors: largest predicted errors; the package's own when None.
        recipe: of the effectors.
        at: time of the bench; that of this computer when None.

    Raises:
        PlanError: the plate does not fit the bench.
        ShortageError: no valid lot holds enough.
    """
    names = {s.name: f"sample:{s.name.replace('/', '-')}" for s in layout.samples}
    if layout.reference is not None:
        names[layout.reference.name] = REFERENCE_LOT
    until = ((at or datetime.now(UTC)) + timedelta(days=1)).date()
    request = plate_request(layout, names, until, densities, errors=errors, recipe=recipe)
    return plan_cytotoxicity(request, inventory, deck, catalogue)


def cells_to_prepare(layouts: Sequence[PlateLayout], plans: Sequence[CytotoxicityPlan]) -> tuple[CellDemand, ...]:
    """Cells of every preparation over all plates, with what the robot of the plans takes beyond the wells."""
    taken: dict[str, float] = {}
    for name, cells in _taken(layouts, plans):
        taken[name] = taken.get(name, 0.0) + cells
    return tuple(one.with_needed(taken[one.name], BEYOND) if one.name in taken else one for one in demand(layouts))


def _taken(layouts: Sequence[PlateLayout], plans: Sequence[CytotoxicityPlan]) -> Iterator[tuple[str, float]]:
    for layout, plan in zip(layouts, plans, strict=True):
        yield from ((need.sample, need.cells) for need in plan.effectors)
        targets = (f for f in plan.parts[0].worklist.fillings if f.liquid.lot == f"line:{layout.target_line}")
        for filling in targets:
            cells = sum(n for key, n in filling.liquid.per_ul.items() if key.startswith("target:"))
            yield layout.target_line, cells * filling.volume_ul
