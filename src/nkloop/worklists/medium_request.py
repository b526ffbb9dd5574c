"""What is asked of the medium planner: checked as a whole before anything is planned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from nkloop.errors import PlanError, Problem
from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import Ingredient, Medium, Recipe
from nkloop.worklists.plans import MediumOrder

LEAST_ML, MOST_ML = 1.0, 2000.0
"""Volumes the planner is made for; more than a vessel holds is prepared in several."""
_ORDER = {"serum": 0, "supplement": 1, "anticoagulant": 2, "small_molecule": 3, "cytokine": 4}


def check_orders(recipe: Recipe, orders: Sequence[MediumOrder], *, today: date, use_until: date) -> None:
    """Refuse what cannot be planned, everything at once.

    Raises:
        PlanError: unknown stages, volumes out of range, components to leave out that are not there, dates.
    """
    problems = [problem for order in orders for problem in _of_order(recipe, order)]
    barcodes = [order.barcode for order in orders]
    for barcode in sorted({one for one in barcodes if barcodes.count(one) > 1}):
        problems.append(Problem(f"two media have the barcode '{barcode}'", "barcode", "give each vessel its own"))
    if use_until < today:
        problems.append(
            Problem(f"last day of use {use_until} is before today {today}", "use", "choose a later last day of use")
        )
    if problems:
        raise PlanError.from_problems(dict.fromkeys(problems))


def _of_order(recipe: Recipe, order: MediumOrder) -> Iterator[Problem]:
    yield from _of_volume(order.volume)
    if order.stage_id not in recipe.stage_ids:
        stages = ", ".join(recipe.stage_ids)
        yield Problem(f"{recipe.id} has no stage '{order.stage_id}'", "stage", f"use {stages}")
        return
    additives = {i.component for i in recipe.stage(order.stage_id).medium.additives}
    unknown = sorted(set(order.omit) - additives)
    if unknown:
        told = f"cannot leave out {', '.join(unknown)}: not an additive of stage {order.stage_id}"
        yield Problem(told, "omit", f"choose from {', '.join(sorted(additives))}")


def _of_volume(volume: Amount) -> Iterator[Problem]:
    if volume.kind is not Kind.VOLUME or volume.magnitude <= 0:
        yield Problem(f"{volume} is not a volume above 0", "volume", "write for example 100 mL")
    elif not LEAST_ML - 1e-9 <= volume.to("mL") <= MOST_ML + 1e-9:
        told = f"{volume} is outside what is planned, {LEAST_ML:g} mL to {MOST_ML / 1000:g} L"
        advice = "prepare a larger batch" if volume.to("mL") < LEAST_ML else "prepare several batches"
        yield Problem(told, "volume", advice)


def additives_in_order(recipe: Recipe, medium: Medium, omit: Sequence[str]) -> tuple[Ingredient, ...]:
    """Serum, additives, then cytokines with the smallest concentration first."""
    roles = {component.name: component.role for component in recipe.components}

    def key(ingredient: Ingredient) -> tuple[int, bool, float]:
        activity = ingredient.amount.kind is Kind.ACTIVITY_CONCENTRATION
        role = roles.get(ingredient.component, "cytokine")
        return _ORDER.get(role, 1), activity, ingredient.amount.of(ingredient.component).canonical

    return tuple(sorted((i for i in medium.additives if i.component not in omit), key=key))
