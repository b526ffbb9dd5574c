"""What media, arms, batches and plans cost, from the prices of the lots at hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from nkloop.errors import InventoryError
from nkloop.feedback.models import Arm
from nkloop.frozen import FrozenModel
from nkloop.inventory import Cost, Inventory
from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import ProcessStep, Recipe, RecipeArm
from nkloop.worklists.dosing_request import arm_factor
from nkloop.worklists.lots import LotUse


class MediumCost(FrozenModel):
    """What the components of a volume of medium cost, without dead volumes."""

    volume_ul: float
    eur_per_component: dict[str, float]
    without_price: tuple[str, ...] = ()
    """Components no lot of which has a price in the unit of the recipe; they are not in the sum."""

    @property
    def cost_eur(self) -> float:
        """Sum over the components that have a price."""
        return math.fsum(self.eur_per_component.values())

    def plus(self, other: MediumCost) -> MediumCost:
        """Both media together."""
        names = dict.fromkeys((*self.eur_per_component, *other.eur_per_component))
        mine, theirs = self.eur_per_component, other.eur_per_component
        return MediumCost(
            volume_ul=self.volume_ul + other.volume_ul,
            eur_per_component={name: mine.get(name, 0.0) + theirs.get(name, 0.0) for name in names},
            without_price=tuple(dict.fromkeys((*self.without_price, *other.without_price))),
        )


def plan_cost(inventory: Inventory, lots: Iterable[LotUse]) -> Cost:
    """What a plan takes out of its lots, dead volumes on the deck included; lots without a price are named."""
    volumes: dict[str, float] = {}
    for use in lots:
        volumes[use.lot] = volumes.get(use.lot, 0.0) + use.volume_ul
    return inventory.cost(volumes)


def medium_cost(recipe: Recipe, stage_id: str, volume: Amount, inventory: Inventory) -> MediumCost:
    """What a volume of a stage's complete medium costs.

    Raises:
        RecipeError: the recipe has no such stage.
        QuantityError: `volume` is no volume.
    """
    return _cost(recipe, stage_id, volume.to("µL"), inventory, {})


def arm_cost(recipe: Recipe, arm: Arm, volumes: Mapping[str, Amount], inventory: Inventory) -> MediumCost:
    """What an arm costs in a whole culture.

    Args:
        volumes: Complete medium of every stage (stage id to volume) the arm gets, feedings included.

    Raises:
        RecipeError: the recipe has no such stage.
    """
    total = MediumCost(volume_ul=0, eur_per_component={})
    for stage_id, volume in volumes.items():
        names = [entry.component for entry in recipe.stage(stage_id).medium.ingredients]
        factors = {name: arm_factor(recipe, stage_id, arm, name) for name in names}
        total = total.plus(_cost(recipe, stage_id, volume.to("µL"), inventory, factors))
        total = total.plus(_beyond_stage(arm, stage_id, volume.to("µL"), inventory))
    return total


def _beyond_stage(arm: Arm, stage_id: str, volume_ul: float, inventory: Inventory) -> MediumCost:
    """What an arm has in a volume of medium beyond what the stage has."""
    eur: dict[str, float] = {}
    unknown: list[str] = []
    for key, amount in arm.amounts.items():
        name, _, stage = key.partition("@")
        price = _price(name, amount.kind, inventory) if stage == stage_id else 0.0
        if price is None:
            unknown.append(name)
        elif stage == stage_id:
            eur[name] = amount.canonical * price * volume_ul
    return MediumCost(volume_ul=0, eur_per_component=eur, without_price=tuple(unknown))


def way_cost(
    recipe: Recipe,
    way: RecipeArm,
    volumes: Mapping[str, Amount],
    cells: Mapping[str, float],
    inventory: Inventory,
) -> MediumCost:
    """What an arm of the recipe itself costs: the media of the batch and the process steps it goes through.

    Args:
        recipe: with its process steps.
        way: all of it, or all but some steps.
        volumes: complete medium of every stage (stage id to volume).
        cells: process step id to viable cells it is done with, where an amount is given per cell.
        inventory: gives the prices.

    Raises:
        RecipeError: the recipe has no such stage.
    """
    total = batch_cost(recipe, volumes, inventory)
    for stage_id in volumes:
        for step in recipe.stage(stage_id).process:
            if step.component and step.id not in way.without:
                total = total.plus(_step_cost(step, cells.get(step.id), inventory))
    return total


def _step_cost(step: ProcessStep, cells: float | None, inventory: Inventory) -> MediumCost:
    """What a process step takes of its component; not in the sum when the amount needs what nobody said."""
    component = step.component or ""
    if step.add_volume is not None:
        lot = next((lot for lot in inventory.lots if lot.component == component and lot.cost_eur(1.0)), None)
        eur = None if lot is None else lot.cost_eur(step.add_volume.canonical)
    elif step.amount is not None and step.amount.kind is Kind.MULTIPLICITY and cells is not None:
        price = _price(component, Kind.TITRE, inventory)
        eur = None if price is None else step.amount.of(component).canonical * cells * price
    else:
        eur = None
    if eur is None:
        return MediumCost(volume_ul=0, eur_per_component={}, without_price=(component,))
    return MediumCost(volume_ul=0, eur_per_component={component: eur})


def batch_cost(recipe: Recipe, volumes: Mapping[str, Amount], inventory: Inventory) -> MediumCost:
    """What the media of one batch of the recipe as written cost (stage id to volume).

    Raises:
        RecipeError: the recipe has no such stage.
    """
    total = MediumCost(volume_ul=0, eur_per_component={})
    for stage_id, volume in volumes.items():
        total = total.plus(medium_cost(recipe, stage_id, volume, inventory))
    return total


def _cost(
    recipe: Recipe, stage_id: str, volume_ul: float, inventory: Inventory, factors: Mapping[str, float]
) -> MediumCost:
    eur: dict[str, float] = {}
    unknown: list[str] = []
    for entry in recipe.stage(stage_id).medium.ingredients:
        amount = entry.amount.of(entry.component)
        price = _price(entry.component, amount.kind, inventory)
        if price is None:
            unknown.append(entry.component)
        else:
            eur[entry.component] = amount.canonical * factors.get(entry.component, 1.0) * price * volume_ul
    return MediumCost(volume_ul=volume_ul, eur_per_component=eur, without_price=tuple(unknown))


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
