"""What the buffers of stocks bring into a complete medium: DMSO, acetate and the like, against the recipe's limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nkloop.errors import Problem
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount
from nkloop.recipes.models import Ingredient, Recipe
from nkloop.worklists.strength import stock_per_ul


def brought_along(
    ingredients: Mapping[str, Ingredient], lots: Mapping[str, Lot], per_ul: Mapping[str, float]
) -> dict[str, dict[str, Amount]]:
    """Substance to lot id to the concentration that lot brings into the medium.

    The volume of stock in a µL of medium is the concentration reached over that of the stock, however it was diluted.

    Args:
        ingredients: of the medium, by component.
        lots: lot used for each component.
        per_ul: concentrations reached, canonical.
    """
    brought: dict[str, dict[str, Amount]] = {}
    for component, ingredient in ingredients.items():
        lot = lots[component]
        if not lot.buffer:
            continue
        share = per_ul.get(component, 0.0) / stock_per_ul(lot, ingredient.amount)
        for substance, amount in lot.buffer.items():
            brought.setdefault(substance, {})[lot.id] = amount.scaled(share)
    return brought


def carry_over_problems(recipe: Recipe, where: str, brought: Mapping[str, Mapping[str, Amount]]) -> Iterator[Problem]:
    """Substances above the recipe's limit, with the lots that bring them."""
    limits = {limit.substance: limit.limit for limit in recipe.carry_over}
    for substance, lots in brought.items():
        limit = limits.get(substance)
        if limit is None:
            continue
        mixed = [lot for lot, amount in lots.items() if amount.kind is not limit.kind]
        if mixed:
            given = lots[mixed[0]].kind.words
            told = f"{substance} of lot {mixed[0]} is given as {given}, its limit as {limit.kind.words}"
            yield Problem(told, where, f"give the buffer of the lot and the limit of {recipe.id} in one kind of unit")
            continue
        total = sum(amount.canonical for amount in lots.values())
        if total > limit.canonical * (1 + 1e-9):
            shown = Amount(total, limit.kind.value).display()
            parts = ", ".join(f"{amount.display()} from lot {lot}" for lot, amount in lots.items())
            told = f"{substance} would be {shown} in the finished medium, at most {limit} is allowed ({parts})"
            yield Problem(told, where, "use a stronger stock, or one in another buffer")


def unlimited(recipe: Recipe, brought: Mapping[str, Mapping[str, Amount]]) -> tuple[str, ...]:
    """Substances that are brought along and that the recipe has no limit for."""
    known = {limit.substance for limit in recipe.carry_over}
    return tuple(sorted(set(brought) - known))
