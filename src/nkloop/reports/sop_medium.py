"""Preparing a medium by hand: the steps of the planned worklists, told to a person with a pipette."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Self

from nkloop.inventory import Inventory
from nkloop.quantities import Amount, Kind
from nkloop.recipes.description import table
from nkloop.recipes.models import Recipe, Stage
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.models import Step, Worklist
from nkloop.worklists.plans import MediumPlan

Spot = tuple[int, str, str]
"""Part of the plan (from 0), labware and well: each part has a deck of its own."""
_TRACE = 1e-12
_FEW = 2
"""So many components of a tube are told with their concentrations; more are a cocktail."""


@dataclass(frozen=True)
class StageMedium:
    """A planned medium with what a person must read off its vessels."""

    plan: MediumPlan
    volume: Amount
    """What can be used."""
    strengths: dict[str, tuple[str, date]]
    """Lot id to what its label says and its expiry."""
    contents: dict[Spot, dict[str, float]]
    """What an intermediate tube holds at the end, per µL in canonical units; in the order they are filled."""

    @classmethod
    def of(cls, plan: MediumPlan, inventory: Inventory, catalogue: LabwareLookup, volume: Amount) -> Self:
        """Gather what the procedure tells of a plan.

        Raises:
            WorklistError: a worklist does something physically impossible.
            InventoryError: a lot of the plan is not in the inventory.
        """
        lots = [inventory.lot(use.lot) for use in plan.lots]
        contents: dict[Spot, dict[str, float]] = {}
        goals = _goals(plan)
        for number, part in enumerate(plan.parts):
            ledger = follow(part.worklist, catalogue)
            filled = {(number, f.labware, f.well) for f in part.worklist.fillings}
            for move in _moves(number, part.worklist):
                if move.goal not in filled and move.goal not in goals:
                    contents[move.goal] = dict(ledger.well(*move.goal[1:]).per_ul)
        return cls(
            plan=plan,
            volume=volume,
            strengths={lot.id: (lot.concentration.display(), lot.expires) for lot in lots},
            contents=contents,
        )


def medium_lines(recipe: Recipe, stage: Stage, medium: StageMedium) -> list[str]:
    """What to take out, the tubes to label, each transfer in order, mixing, storage and label."""
    names, kept = _names(recipe, medium), stage.medium
    goals, critical = _goals(medium.plan), _critical(recipe, stage)
    moves = [move for number, part in enumerate(medium.plan.parts) for move in _moves(number, part.worklist)]
    total = Amount(sum(move.volume_ul for move in moves if move.goal in goals), "µL")
    dark = [i.component for i in kept.ingredients if recipe.component(i.component).light_sensitive]
    vessels = "the vessel keeps its" if len(goals) == 1 else f"the {len(goals)} vessels keep their"
    steps = [_told(move, names, critical) for move in moves]
    steps += [f"Mix the finished medium: {kept.mixing.words}."]
    steps += [
        f"Label: {recipe.revision_id}, {stage.title}, made ________, use before ________ ({kept.shelf_life} after "
        f"making). Keep at {kept.storage_temperature:g} °C. Discard the intermediate tubes today."
    ]
    return [
        f"{medium.volume.display()} can be used; {total.display(4)} are made, because {vessels} dead volume.",
        "",
        *_stocks(medium),
        "",
        *(["Keep dark: " + ", ".join(dark) + ".", ""] if dark else []),
        *_tubes(recipe, medium, names),
        *(f"{index}. {text}" for index, text in enumerate(steps, start=1)),
        "",
        *_expected(medium),
    ]


def _stocks(medium: StageMedium) -> list[str]:
    rows = []
    for use in medium.plan.lots:
        label, expires = medium.strengths[use.lot]
        taken = Amount(use.drawn_ul, "µL").display(4)
        rows.append((use.component, use.lot, label, str(expires), taken, "", ""))
    return table(("take out", "lot", "strength", "expires", "is used", "lot read", "checked by"), rows)


def _expected(medium: StageMedium) -> list[str]:
    several = len(medium.plan.sources) > 1
    rows = [
        (row.component, f"{row.target:g} {row.unit}", f"{row.expected:.4g} {row.unit}")
        + ((row.destination,) if several else ())
        for row in medium.plan.composition
    ]
    return table(("component", "recipe asks", "these volumes give", *(("vessel",) if several else ())), rows)


def _tubes(recipe: Recipe, medium: StageMedium, names: dict[Spot, str]) -> list[str]:
    if not medium.contents:
        return []
    told = [f"- {names[tube]}: {_concentrations(recipe, held)}" for tube, held in medium.contents.items()]
    return ["Label low-bind tubes for the intermediate dilutions:", "", *told, ""]


def _goals(plan: MediumPlan) -> dict[Spot, int]:
    """Vessels the medium ends up in, with their number."""
    wells = {source.barcode: source.well for source in plan.sources}
    spots = [
        (number, item.nickname, wells[item.barcode])
        for number, part in enumerate(plan.parts)
        for item in part.worklist.deck
        if item.barcode in wells and item.barcode is not None
    ]
    return {spot: index for index, spot in enumerate(spots, start=1)}


def _names(recipe: Recipe, medium: StageMedium) -> dict[Spot, str]:
    """What a person calls each vessel: the stock with its lot, the numbered tube with its content, the medium."""
    names: dict[Spot, str] = {}
    for number, part in enumerate(medium.plan.parts):
        for filling in part.worklist.fillings:
            lot = f" ({filling.liquid.lot})" if filling.liquid.lot else ""
            names[number, filling.labware, filling.well] = f"{filling.liquid.name}{lot}"
    for index, (tube, held) in enumerate(medium.contents.items(), start=1):
        several = [c.name for c in recipe.components if _counts(c.role) and held.get(c.name, 0.0) > _TRACE]
        content = _concentrations(recipe, held) if len(several) <= _FEW else "cocktail"
        names[tube] = f"tube {index} ({content})"
    goals = _goals(medium.plan)
    for spot, index in goals.items():
        names[spot] = "the medium vessel" if len(goals) == 1 else f"medium vessel {index}"
    return names


def _counts(role: str) -> bool:
    """Liquids that only carry a component are not told as its content."""
    return role not in {"base", "serum"}


def _concentrations(recipe: Recipe, per_ul: dict[str, float]) -> str:
    told = []
    for component in recipe.components:
        value = per_ul.get(component.name, 0.0)
        if _counts(component.role) and value > _TRACE:
            unit = component.plausible[0].kind.value
            told.append(f"{component.name} {Amount(value, unit, substance=component.name).display()}")
    return " + ".join(told) or "diluent"


@dataclass(frozen=True)
class _Move:
    """Consecutive transfers between the same two vessels, as one."""

    source: Spot
    goal: Spot
    volume_ul: float
    is_mixed: bool


def _moves(part: int, worklist: Worklist) -> Iterator[_Move]:
    def between(step: Step) -> tuple[Spot, Spot]:
        return (part, step.labware, step.well), (part, step.to_labware, step.to_well)

    merged: list[_Move] = []
    for (source, goal), steps in groupby((s for s in worklist.steps if s.action in {"transfer", "mix"}), key=between):
        gathered = list(steps)
        if gathered[0].action == "transfer":
            volume = sum(step.volume_ul * step.channels for step in gathered)
            merged.append(_Move(source, goal, volume, any(step.mix_after for step in gathered)))
        elif merged and merged[-1].goal == source:
            last = merged[-1]
            merged[-1] = _Move(last.source, last.goal, last.volume_ul, is_mixed=True)
    yield from merged


def _critical(recipe: Recipe, stage: Stage) -> tuple[str, ...]:
    """Components that a second person checks: anticoagulants, and what is dosed by its activity."""
    return tuple(
        i.component
        for i in stage.medium.ingredients
        if recipe.component(i.component).role == "anticoagulant" or i.amount.kind is Kind.ACTIVITY_CONCENTRATION
    )


def _told(move: _Move, names: dict[Spot, str], critical: tuple[str, ...]) -> str:
    volume = Amount(move.volume_ul, "µL").display(4)
    source, goal = (names.get(spot, " ".join(spot[1:])) for spot in (move.source, move.goal))
    mixed = ", mix gently" if move.is_mixed else ""
    checked = " Checked by: ________" if any(source.startswith(f"{name} (") for name in critical) else ""
    return f"{volume} of {source} into {goal}{mixed}. ☐{checked}"
