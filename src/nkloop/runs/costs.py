"""What the cytokines of an arm cost against the reference."""

from __future__ import annotations

from nkloop.errors import InventoryError
from nkloop.feedback.models import Arm
from nkloop.inventory import Inventory
from nkloop.quantities import Kind
from nkloop.recipes.models import Recipe


def cost_factor(recipe: Recipe, arm: Arm, inventory: Inventory) -> float:
    """Cost of the varied components of an arm divided by that of the reference, per mL of medium over all stages.

    Components without a priced lot do not count; without any price the factor is 1.
    """
    reference = varied = 0.0
    for entry in recipe.loop.vary:
        for stage_id in entry.stages:
            amount = recipe.stage(stage_id).medium.amount_of(entry.component)
            price = None if amount is None else _price(entry.component, amount.kind, inventory)
            if amount is None or price is None:
                continue
            cost = amount.of(entry.component).canonical * price
            reference += cost
            varied += cost * arm.factors.get(entry.key, 1.0)
    return varied / reference if reference > 0 else 1.0


def _price(component: str, kind: Kind, inventory: Inventory) -> float | None:
    """Euro per canonical amount of a component, from the first lot with a price and a usable certificate."""
    for lot in inventory.lots:
        if lot.component != component:
            continue
        try:
            strength = lot.strength(kind)
        except InventoryError:
            continue
        per_ul = lot.cost_eur(1.0)
        if per_ul is not None:
            return per_ul / strength
    return None
