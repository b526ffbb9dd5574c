"""How strong a lot is in the unit a recipe asks for, and the liquid it is on the deck."""

from __future__ import annotations

from nkloop.errors import InventoryError, PlanError
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import Ingredient
from nkloop.worklists.models import Liquid


def stock_per_ul(lot: Lot, wanted: Amount) -> float:
    """Concentration of a lot in the canonical unit of what is wanted.

    Mass becomes activity through the certificate of this lot only; there is no general factor.

    Raises:
        PlanError: the lot's unit cannot become the wanted one.
    """
    try:
        return lot.strength(wanted.kind)
    except InventoryError as error:
        cause = error.problems[0]
        raise PlanError(
            f"{lot.component} is wanted in {wanted.unit}: {cause.message}", where=cause.where, remedy=cause.remedy
        ) from error


def stock_words(lot: Lot) -> str:
    """A lot and how strong it is: `lot LOT-IL2-01, 100 µg/mL of 16.4 MIU/mg`."""
    activity = "" if lot.specific_activity is None else f" of {lot.specific_activity.display()}"
    return f"lot {lot.id}, {lot.concentration.display()}{activity}"


def stock_liquid(lot: Lot, wanted: Amount, base: str) -> Liquid:
    """The liquid in the tube of a lot: the component in its carrier, which counts as base when the lot says so."""
    strength = stock_per_ul(lot, wanted)
    carrier = base if lot.carrier == "base" else lot.carrier
    share = 1.0 - strength if wanted.kind is Kind.FRACTION else 1.0
    per_ul = {lot.component: strength}
    if share > 1e-9 and carrier != lot.component:
        per_ul[carrier] = share
    return Liquid(name=lot.component, per_ul=per_ul, lot=lot.id)


def in_unit(per_ul: float, like: Amount, substance: str) -> float:
    """A canonical concentration as a number in the unit of another amount of the same kind."""
    if like.kind is Kind.FRACTION:
        return Amount(per_ul, "v/v").to(like.unit)
    return Amount(per_ul, like.kind.value, substance=substance).to(like.unit)


def at_concentration(ingredient: Ingredient, per_ul: float) -> Ingredient:
    """The ingredient at another canonical concentration, in the unit the recipe writes."""
    scale = per_ul / ingredient.amount.of(ingredient.component).canonical
    return ingredient.model_copy(update={"amount": ingredient.amount.scaled(scale)})
