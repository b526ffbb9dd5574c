"""What the buffers of stocks bring into a complete medium: DMSO, acetate and the like, against the recipe's limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nkloop.errors import PlanError, Problem
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount
from nkloop.recipes.models import Ingredient, Recipe
from nkloop.worklists.strength import stock_per_ul


def brought_along(
    ingredients: Sequence[Ingredient], lots: Mapping[str, Lot], per_ul: Mapping[str, float]
) -> dict[str, dict[str, Amount]]:
    """Substance to lot id to the concentration that lot brings into the medium.

    The volume of stock in a µL of medium is the concentration reached over that of the stock, however it was diluted;
    a liquid that stocks are diluted in brings its own buffer by the share of it that is in the medium.

    Args:
        ingredients: of the medium.
        lots: lot used for each component and for each liquid that stocks are diluted in.
        per_ul: concentrations reached, canonical.
    """
    shares = {
        i.component: per_ul.get(i.component, 0.0) / stock_per_ul(lots[i.component], i.amount)
        for i in ingredients
        if i.component in lots
    }
    carriers = {lot.diluent for lot in lots.values()} & set(lots) - set(shares)
    shares |= {name: per_ul.get(name, 0.0) for name in carriers}
    brought: dict[str, dict[str, Amount]] = {}
    for name, share in shares.items():
        if share <= 0:
            continue
        for substance, amount in lots[name].buffer.items():
            brought.setdefault(substance, {})[lots[name].id] = amount.scaled(share)
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


def refuse_carry_over(recipe: Recipe, liquids: Iterable[tuple[str, Mapping[str, Mapping[str, Amount]]]]) -> None:
    """Refuse liquids into which stock buffers bring more than the recipe allows.

    Args:
        recipe: its limits.
        liquids: name and what is brought into it.

    Raises:
        PlanError: every substance of every liquid that is beyond its limit.
    """
    problems = [problem for where, brought in liquids for problem in carry_over_problems(recipe, where, brought)]
    if problems:
        raise PlanError.from_problems(problems)


def unlimited_words(recipe: Recipe, liquids: Iterable[Mapping[str, Mapping[str, Amount]]]) -> tuple[str, ...]:
    """One sentence for every substance that is brought along and that the recipe has no limit for."""
    free = dict.fromkeys(substance for brought in liquids for substance in unlimited(recipe, brought))
    return tuple(
        f"stock buffers bring {substance} into the medium and the recipe sets no limit for it" for substance in free
    )
