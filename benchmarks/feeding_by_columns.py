"""Feeding a 96-well plate by columns against one channel and one vessel per arm, over a grid of sizes.

For every size the ways are planned one by one, verified by the ledger, and told with what the planner weighs.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from dosing_economy import DOSES, STAGE, USE_UNTIL, with_eight
from nkloop.drivers.bench import load_bench_file
from nkloop.errors import NkloopError
from nkloop.feedback.models import Arm
from nkloop.inventory import Inventory
from nkloop.labware import Catalogue
from nkloop.recipes import load_recipe
from nkloop.recipes.models import Recipe
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.feeding_choice import layouts
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.plans import DonorTube, DosingRequest, MediumSource, WellFeeding
from nkloop.worklists.positions import assign_positions
from nkloop.workspace import Workspace
from stopwatch import show_machine

PLATE = "corning_96_wellplate_360ul_flat"
GRID = tuple(product((8, 12, 24, 44), (1, 2, 4), (1, 3, 8), ("seed", "exchange")))
"""Arms, wells of each, components that differ between arms, and what is done."""


def main() -> None:
    """Print for each size what every way takes, and which one is the cheapest."""
    show_machine()
    workspace = Workspace.find(Path(__file__))
    file = load_bench_file(workspace.devices / "virtual.yaml")
    inventory = Inventory.load(workspace.devices / file.lots)
    catalogue = Catalogue.load(workspace.labware)
    recipe = with_eight(load_recipe(workspace.recipes / "ucb-nk.yaml"))
    for n_arms, n_wells, n_varied, mode in GRID:
        if n_arms * n_wells > len(catalogue[PLATE].wells):
            continue
        request = _request(recipe, catalogue, n_arms, n_wells, n_varied, mode)
        told, costs = [], {}
        for way in layouts(request, file.deck, catalogue):
            try:
                plan = plan_dosing(request, inventory, file.deck, catalogue, ways=(way,))
            except NkloopError as error:
                told.append(f"{way} impossible ({error})")
                continue
            assert all(check_ledger(p.worklist, catalogue, file.deck).passed for p in plan.parts)
            minutes = f"{plan.robot_minutes:.0f} min, cells out {plan.cells_out_minutes:.0f}"
            told.append(f"{way} {plan.cost_eur:.1f} EUR, {plan.tips} tips, {minutes}")
            costs[way] = plan.cost_eur
        best = min(costs, key=lambda one: costs[one])
        size = f"{n_arms} arms x {n_wells} wells, {n_varied} varied, {mode}"
        print(f"{size}: {best}, {costs['arms'] - costs[best]:.1f} EUR less; {'; '.join(told)}")


def _request(
    recipe: Recipe, catalogue: Catalogue, n_arms: int, n_wells: int, n_varied: int, mode: str
) -> DosingRequest:
    chance = np.random.default_rng(1)
    keys = [f"{name}@{STAGE}" for name in DOSES][:n_varied]
    arms = [Arm(name="reference", factors=dict.fromkeys(keys, 1.0), origin="reference")]
    for number in range(1, n_arms):
        factors = {key: float(chance.choice([0.5, 0.71, 1.41, 2.0])) for key in keys}
        arms.append(Arm(name=f"arm-1-{number}", factors=factors, origin="exploration"))
    medium = recipe.stage(STAGE).medium
    base = {
        i.component: i.amount.of(i.component).canonical
        for i in medium.ingredients
        if f"{i.component}@{STAGE}" not in keys
    }
    positions = assign_positions(arms, ("U1",), catalogue[PLATE], 1, replicates=n_wells)
    fed = (
        {"add_ul": 180, "seed_ul": 20}
        if mode == "seed"
        else {"present_ul": 200, "remove_ul": 100, "add_ul": 100, "present_per_ul": {"donor:U1": 100.0, **base}}
    )
    return DosingRequest(
        name="grid",
        recipe=recipe,
        stage_id=STAGE,
        arms=tuple(arms),
        plate_barcode="P-1",
        plate_load_name=PLATE,
        wells=tuple(WellFeeding(**p.model_dump(), **fed) for p in positions),
        base=MediumSource(
            barcode="M-1", load_name="opentrons_6_tuberack_nest_50ml_conical", well="A1", per_ul=base, volume_ul=45_000
        ),
        components=tuple(DOSES)[:n_varied],
        donors=(DonorTube(donor="U1", cells_per_ul=1000),),
        use_until=USE_UNTIL,
        seed=1,
    )


if __name__ == "__main__":
    main()
