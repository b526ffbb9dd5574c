"""What an arm may have of a component: a factor of the recipe's, none, or what the stage lacks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from nkloop.errors import QuantityError
from nkloop.feedback.models import Arm
from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import Ingredient, Recipe
from nkloop.recipes.ranges import amount_fits
from nkloop.worklists.dosing_request import arm_concentration, stage_of
from nkloop.yamlfile.problems import did_you_mean

Level = float | Amount
"""Factor of the recipe's concentration (0: none of it), or the final concentration of what the stage does not have."""
FACTOR = re.compile(r"^(?:[x×]\s*(\d+\.?\d*|\.\d+)|(\d+\.?\d*|\.\d+)\s*[x×])$", re.IGNORECASE)
"""`x2`, `2x`, `×0.5`."""
NUMBER = re.compile(r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$")
_FACTOR_UNITS = {"x", "×", "factor"}
_NEVER_ADDED = {"base", "serum", "vector", "coating"}
"""Roles of components that are no dose of an arm."""
_DECIMALS = 9


class Levels:
    """Reads levels for one stage of a recipe."""

    def __init__(self, recipe: Recipe, stage_id: str, more: Collection[str] = ()) -> None:
        """`more` are components that lots are at hand of, beyond those of the recipe.

        Raises:
            PlanError: the recipe has no such stage.
        """
        self.recipe, self.stage = recipe, stage_of(recipe, stage_id, "stage")
        self.ingredients = {i.component: i for i in self.stage.medium.additives if _is_dissolved(i)}
        self.known = {one.name: one for one in recipe.components}
        self.more = frozenset(more)

    def refusal(self, component: str) -> tuple[str, str] | None:
        """What is wrong with a component in an arm and what to do; None when nothing is."""
        use = ", ".join(self.ingredients)
        if component in self.ingredients:
            return None
        if any(i.component == component for i in self.stage.medium.ingredients):
            told = f"component '{component}' is given as a share of the medium in stage {self.stage.id}"
            return told, "arms differ in what is dissolved; change the share in the recipe"
        if component in self.known:
            role = self.known[component].role
            if role in _NEVER_ADDED:
                return f"component '{component}' is a {role}, which no arm adds", f"use {use}"
            return None
        if component in self.more:
            return None
        # IL-21 is no slip for IL-2: another number is another substance
        alike = [n for n in (*self.ingredients, *self.known, *self.more) if _digits(n) == _digits(component)]
        near = did_you_mean(component, alike)
        told = f"component '{component}' is not in stage {self.stage.id}, nor in the recipe or the lot list"
        return told, near or f"use {use}, or add a lot of it (docs/how-to/add-a-cytokine.md)"

    def read(self, component: str, text: str, unit: str = "") -> Level:
        """A level as people write it; `unit` is what the header of its column says.

        Raises:
            QuantityError: it cannot be read, is negative, or is of another kind than the component is dosed by.
        """
        as_factor = FACTOR.match(text)
        if as_factor or (unit.casefold() in _FACTOR_UNITS and NUMBER.match(text)):
            return self._factor(component, float(as_factor[1] or as_factor[2]) if as_factor else float(text), text)
        if NUMBER.match(text):
            if float(text) == 0:
                return 0.0
            if not unit:
                told = f"write {self._like(component)}, or the unit in the header as {component} [ng/mL]"
                raise QuantityError(f"'{text}' has no unit", remedy=told)
            text = f"{text} {unit}"
        return self._concentration(component, Amount.parse(text, substance=component), text)

    def _factor(self, component: str, factor: float, text: str) -> float:
        if factor < 0:
            raise QuantityError(f"'{text}' is below 0", remedy=_NONE_OF_IT)
        if factor and component not in self.ingredients:
            raise QuantityError(
                f"'{text}' is a factor, and stage {self.stage.id} has no {component} to take it of",
                remedy=f"write a final concentration, as {self._like(component)}",
            )
        return factor

    def _concentration(self, component: str, amount: Amount, text: str) -> Level:
        if amount.magnitude < 0:
            raise QuantityError(f"'{text}' is below 0", remedy=_NONE_OF_IT)
        own = self.ingredients.get(component)
        wanted = own.amount.of(component) if own else None
        if own is None and component in self.known:
            wanted = self.known[component].plausible[0]
        if wanted is None and amount.kind not in _DISSOLVED:
            told = f"{amount} of {component} is {amount.kind.words}, no concentration of something dissolved"
            raise QuantityError(told, remedy="write it like 25 ng/mL or 1000 IU/mL")
        if wanted is not None and amount.kind is not wanted.kind:
            of = f"{component} of this stage" if own else component
            raise QuantityError(
                f"{amount} is {amount.kind.words}, {of} is {wanted.kind.words}",
                remedy=f"write it like {wanted}" + (", or as a factor such as x2" if own else ""),
            )
        if amount.magnitude == 0:
            return 0.0
        return round(amount.canonical / wanted.canonical, _DECIMALS) if own and wanted else amount.of(component)

    def _like(self, component: str) -> str:
        own = self.ingredients.get(component)
        if own is not None:
            return f"{own.amount}, x2"
        return str(self.known[component].plausible[0]) if component in self.known else "25 ng/mL"


_NONE_OF_IT = "write 0 for an arm without it, or a concentration above 0"
_DISSOLVED = (Kind.MASS_CONCENTRATION, Kind.ACTIVITY_CONCENTRATION, Kind.MOLAR_CONCENTRATION)


def _digits(name: str) -> list[str]:
    return re.findall(r"\d+", name)


def _is_dissolved(ingredient: Ingredient) -> bool:
    return ingredient.amount.kind is not Kind.FRACTION


def range_warnings(recipe: Recipe, stage_id: str, arms: Iterable[Arm]) -> tuple[str, ...]:
    """One sentence for every concentration of an arm beyond the plausible range of its component, or without one.

    Raises:
        PlanError: the recipe has no such stage.
    """
    return tuple(dict.fromkeys(_beyond_range(recipe, stage_id, arms)))


def _beyond_range(recipe: Recipe, stage_id: str, arms: Iterable[Arm]) -> Iterator[str]:
    stage_of(recipe, stage_id, "stage")
    known = {one.name: one for one in recipe.components}
    for arm in arms:
        names = dict.fromkeys(key.partition("@")[0] for key in (*arm.factors, *arm.amounts))
        for name in names:
            amount = arm_concentration(recipe, stage_id, arm, name)
            if amount is None or amount.magnitude == 0:
                continue
            if name not in known:
                yield f"the recipe has no plausible range of {name}: nobody checked {amount.display()} for a slip"
                continue
            for finding in amount_fits((), known[name], amount):
                yield f"arm {arm.name}: {finding.message}; {finding.remedy}"
