"""What the buffers of stocks bring into a complete medium: DMSO, acetate and the like, against the recipe's limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nkloop.errors import PlanError, Problem
from nkloop.inventory import Inventory, Lot
from nkloop.quantities import Amount
from nkloop.recipes.models import Ingredient, Recipe
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.models import Worklist
from nkloop.worklists.plans import Brought, MediumSource
from nkloop.worklists.strength import stock_per_ul

Carried = Mapping[str, Mapping[str, Amount]]
"""Substance to lot id to the concentration that lot brings into a liquid."""


def brought_by_stocks(
    ingredients: Sequence[Ingredient], lots: Mapping[str, Lot], per_ul: Mapping[str, float]
) -> Iterator[Brought]:
    """What the buffer of every lot brings into a medium.

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
    for name, share in shares.items():
        for substance, amount in lots[name].buffer.items() if share > 0 else ():
            yield Brought(component=name, lot=lots[name].id, substance=substance, amount=amount.scaled(share))


def brought_in(
    did: Worklist, spot: tuple[str, str], inventory: Inventory, catalogue: LabwareLookup
) -> tuple[Brought, ...] | None:
    """What stock buffers brought into a well in a run that was made.

    Args:
        did: steps that were done.
        spot: nickname of the labware, well.
        inventory: with the lots of the run.
        catalogue: labware types by load name.

    Returns:
        None when a liquid that came in is of no lot the inventory knows.
    """
    held = follow(did, catalogue).well(*spot).per_ul
    lots = {lot.id: lot for lot in inventory.lots}
    found: dict[tuple[str, str], Brought] = {}
    for liquid in (one.liquid for one in did.fillings):
        lot = lots.get(liquid.lot or "")
        name = lot.component if lot is not None else next(iter(liquid.per_ul), "")
        if (share := held.get(name, 0.0)) <= 0:
            continue
        if lot is None or not (stock := liquid.per_ul.get(name, 0.0)):
            return None
        for substance, amount in lot.buffer.items():
            brought = Brought(component=name, lot=lot.id, substance=substance, amount=amount.scaled(share / stock))
            found[lot.id, substance] = brought
    return tuple(found.values())


def brought_with(base: MediumSource, per_ul: Mapping[str, float]) -> Iterator[Brought]:
    """What the stocks of a base medium bring into a vessel that holds some of it.

    What stood in the vessel before counts as made of the same stocks.

    Args:
        base: that went in.
        per_ul: concentrations in the vessel, canonical.
    """
    for one in base.brought or ():
        if (whole := base.per_ul.get(one.component, 0.0)) > 0 and (held := per_ul.get(one.component, 0.0)) > 0:
            yield one.model_copy(update={"amount": one.amount.scaled(held / whole)})


def summed(brought: Iterable[Brought]) -> dict[str, dict[str, Amount]]:
    """By substance and lot; a lot that comes with two liquids counts once, with both."""
    found: dict[str, dict[str, Amount]] = {}
    for one in brought:
        lots = found.setdefault(one.substance, {})
        before = lots.get(one.lot)
        lots[one.lot] = one.amount if before is None else _added(before, one.amount)
    return found


def _added(one: Amount, other: Amount) -> Amount:
    return one.scaled((one.canonical + other.canonical) / one.canonical)


def unknown_words(recipe: Recipe, base: MediumSource) -> tuple[str, ...]:
    """A sentence for a base medium of which nobody knows what its stocks brought, where the recipe limits that."""
    if base.brought is not None or not recipe.carry_over:
        return ()
    substances = ", ".join(limit.substance for limit in recipe.carry_over)
    return (
        f"what stock buffers brought into base medium {base.barcode} is not known, so the limits of the recipe on "
        f"{substances} were held for the stocks of the dose alone",
    )


def carry_over_problems(recipe: Recipe, where: str, brought: Carried) -> Iterator[Problem]:
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


def unlimited(recipe: Recipe, brought: Carried) -> tuple[str, ...]:
    """Substances that are brought along and that the recipe has no limit for."""
    known = {limit.substance for limit in recipe.carry_over}
    return tuple(sorted(set(brought) - known))


def refuse_carry_over(recipe: Recipe, liquids: Iterable[tuple[str, Carried]]) -> None:
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


def unlimited_words(recipe: Recipe, liquids: Iterable[Carried]) -> tuple[str, ...]:
    """One sentence for every substance that is brought along and that the recipe has no limit for."""
    free = dict.fromkeys(substance for brought in liquids for substance in unlimited(recipe, brought))
    return tuple(
        f"stock buffers bring {substance} into the medium and the recipe sets no limit for it" for substance in free
    )
