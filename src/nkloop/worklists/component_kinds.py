"""What components are measured in, so that a concentration of the ledger can be told with its unit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import Recipe
from nkloop.worklists.plans import CompositionRow

_IN_A_LIQUID = {Kind.MULTIPLICITY: Kind.TITRE, Kind.VOLUME: Kind.FRACTION}
"""What is asked for per cell or as a volume, and what a liquid holds of it."""


def kinds_of_rows(rows: Iterable[CompositionRow]) -> dict[str, Kind]:
    """Component to kind, from the units of a plan's composition."""
    return {row.component: in_a_liquid(Amount(1, row.unit, substance=row.component)) for row in rows}


def kinds_of_recipe(recipe: Recipe) -> dict[str, Kind]:
    """Component to kind, from all stages of a recipe; a component keeps the kind it is first asked for in."""
    found: dict[str, Kind] = {}
    for component, amount in _asked(recipe):
        found.setdefault(component, in_a_liquid(amount))
    return found


def in_a_liquid(amount: Amount) -> Kind:
    """The kind a liquid is measured in when a recipe asks for such an amount: a titre for units per cell."""
    return _IN_A_LIQUID.get(amount.kind, amount.kind)


def _asked(recipe: Recipe) -> Iterator[tuple[str, Amount]]:
    for stage in recipe.stages:
        yield from ((one.component, one.amount) for one in stage.medium.ingredients)
        for step in stage.process:
            amount = step.amount or step.add_volume
            if step.component and amount is not None:
                yield step.component, amount
