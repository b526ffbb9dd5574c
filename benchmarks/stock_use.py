"""Stock that medium plans take, against what the media hold: every shipped recipe and stage, several volumes."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from nkloop.drivers.bench import load_bench_file
from nkloop.errors import NkloopError
from nkloop.inventory import Inventory
from nkloop.labware import Catalogue
from nkloop.quantities import Amount
from nkloop.recipes import find_recipe
from nkloop.recipes.models import Recipe
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.medium import plan_medium
from nkloop.worklists.plans import MediumPlan
from nkloop.worklists.strength import stock_per_ul
from nkloop.workspace import Workspace
from stopwatch import show_machine

VOLUMES = ("1 mL", "5 mL", "20 mL", "100 mL", "175 mL", "500 mL", "2 L")
ALLOWED = 1.2
"""Times the theoretical need, plus dead volume."""


_BASE_SHARE = 0.5
"""The base is more than half of a medium; what it gives as carrier of pre-dilutions is no part of the medium."""


class Use(NamedTuple):
    """One lot of one plan, in µL of stock."""

    lot: str
    on_deck: float
    """Put on the deck, without what the base gives as carrier of pre-dilutions."""
    needed: float
    """In the volume of medium that was asked for."""
    dead: float
    """In stock tubes and in the vessels of the medium."""
    smallest: float
    """Least that the pipette takes out of a tube at all, once per run."""

    @property
    def of_allowed(self) -> float:
        """Share of what is allowed when the pipette's smallest volume counts as needed."""
        return self.on_deck / (ALLOWED * max(self.needed, self.smallest) + self.dead)


def main() -> None:
    """Print the lots nearest to the bound, per volume, and the value taken over the value needed."""
    show_machine()
    workspace = Workspace.find(Path(__file__))
    catalogue = Catalogue.load(workspace.labware)
    bench = workspace.devices / "virtual.yaml"
    file = load_bench_file(bench)
    inventory = Inventory.load(bench.parent / file.lots)
    worst_of_all = 0.0
    for volume in VOLUMES:
        uses: list[Use] = []
        value_taken = value_allowed = 0.0
        for path in sorted(workspace.recipes.glob("*.yaml")):
            recipe = find_recipe(workspace.recipes, path.stem)
            for stage in recipe.stage_ids:
                found = _uses(recipe, stage, volume, inventory, file.deck, catalogue)
                uses += found
                for use in found:
                    price = inventory.lot(use.lot).cost_eur(1.0) or 0.0
                    value_taken += price * use.on_deck
                    value_allowed += price * (use.needed + use.dead)
        worst = max(uses, key=lambda use: use.of_allowed)
        direct = max((u for u in uses if u.needed >= u.smallest), key=lambda u: u.of_allowed, default=None)
        worst_of_all = max(worst_of_all, worst.of_allowed)
        shown = "none" if direct is None else f"{direct.of_allowed:.2f} ({direct.lot})"
        print(
            f"{volume:>6}: {len(uses)} lots; nearest to the bound {worst.of_allowed:.2f} of it ({worst.lot}); of those "
            f"not held to the pipette's minimum {shown}; value taken {value_taken / value_allowed:.2f} times need and "
            f"dead volume"
        )
    met = "met" if worst_of_all <= 1.0 else "NOT MET"
    print(f"at most {ALLOWED:g} times the need plus dead volume: {worst_of_all:.2f} of the bound at worst ({met})")


def _uses(
    recipe: Recipe, stage: str, volume: str, inventory: Inventory, deck: BenchDeck, catalogue: Catalogue
) -> list[Use]:
    today = date(2026, 11, 23)
    try:
        plan = plan_medium(
            recipe,
            stage,
            Amount.parse(volume),
            inventory,
            deck,
            catalogue,
            use_until=today + timedelta(days=7),
            today=today,
            destination_barcode="M",
        )
    except NkloopError as error:
        print(f"{volume} of {recipe.id} {stage} is refused: {error.problems[0].message}")
        return []
    return [_use(plan, recipe, stage, use.component, use.lot, use.volume_ul, volume, inventory, deck, catalogue)
            for use in plan.lots]  # fmt: skip


def _use(
    plan: MediumPlan,
    recipe: Recipe,
    stage: str,
    component: str,
    lot_id: str,
    on_deck: float,
    volume: str,
    inventory: Inventory,
    deck: BenchDeck,
    catalogue: Catalogue,
) -> Use:
    lot = inventory.lot(lot_id)
    wanted = recipe.stage(stage).medium.amount_of(component)
    share = 0.0 if wanted is None else wanted.of(component).canonical / stock_per_ul(lot, wanted)
    tubes = 0.0
    for part in plan.parts:
        kinds = {item.nickname: catalogue[item.load_name] for item in part.worklist.deck}
        tubes += sum(kinds[f.labware].dead_volume_ul for f in part.worklist.fillings if f.liquid.lot == lot_id)
    vessels = sum(catalogue[source.load_name].dead_volume_ul for source in plan.sources)
    steps = [step for part in plan.parts for step in part.worklist.steps]
    carrier = sum(s.volume_ul for s in steps if s.comment.startswith("diluent")) if share > _BASE_SHARE else 0.0
    return Use(
        lot=lot_id,
        on_deck=on_deck - carrier,
        needed=share * Amount.parse(volume).to("µL"),
        dead=tubes + share * vessels,
        smallest=(deck.smallest_volume_ul(1) or 0.0) * len(plan.parts),
    )


if __name__ == "__main__":
    main()
