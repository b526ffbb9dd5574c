"""Preparing a medium by hand: the steps of the planned worklist, told to a person with a pipette."""

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

Spot = tuple[str, str]
_TRACE = 1e-12


@dataclass(frozen=True)
class StageMedium:
    """A planned medium with what a person must read off its vessels."""

    plan: MediumPlan
    volume: Amount
    """What can be used."""
    strengths: dict[str, tuple[str, date]]
    """Lot id to what its label says and its expiry."""
    contents: dict[Spot, dict[str, float]]
    """What an intermediate tube holds at the end, per µL in canonical units."""

    @classmethod
    def of(cls, plan: MediumPlan, inventory: Inventory, catalogue: LabwareLookup, volume: Amount) -> Self:
        """Gather what the procedure tells of a plan.

        Raises:
            WorklistError: the worklist does something physically impossible.
            InventoryError: a lot of the plan is not in the inventory.
        """
        worklist = plan.worklist
        ledger = follow(worklist, catalogue)
        filled = {(f.labware, f.well) for f in worklist.fillings}
        tubes = {(s.to_labware, s.to_well) for s in worklist.steps if s.action == "transfer"} - filled
        lots = [inventory.lot(use.lot) for use in plan.lots]
        return cls(
            plan=plan,
            volume=volume,
            strengths={lot.id: (lot.concentration.display(), lot.expires) for lot in lots},
            contents={tube: dict(ledger.well(*tube).per_ul) for tube in tubes if tube != cls._goal(worklist)},
        )

    @staticmethod
    def _goal(worklist: Worklist) -> Spot:
        """The vessel the medium ends up in: where the last transfer goes."""
        last = [step for step in worklist.steps if step.action == "transfer"][-1]
        return last.to_labware, last.to_well


def medium_lines(recipe: Recipe, stage: Stage, medium: StageMedium) -> list[str]:
    """What to take out, the tubes to label, each transfer in order, mixing, storage and label."""
    plan = medium.plan
    names = _names(recipe, medium)
    total = sum(t.volume_ul for t in _moves(plan.worklist) if t.goal == StageMedium._goal(plan.worklist))
    critical = _critical(recipe, stage)
    steps = [_told(move, names, critical) for move in _moves(plan.worklist)]
    kept = stage.medium
    dark = [i.component for i in kept.ingredients if recipe.component(i.component).light_sensitive]
    return [
        f"{medium.volume.display()} can be used; {Amount(total, 'µL').display(4)} are made, because the vessel "
        "keeps its dead volume.",
        "",
        *_stocks(medium),
        "",
        *(["Keep dark: " + ", ".join(dark) + ".", ""] if dark else []),
        *_tubes(medium, names),
        *(f"{index}. {text}" for index, text in enumerate(steps, start=1)),
        f"{len(steps) + 1}. Mix the finished medium: {kept.mixing.words}.",
        f"{len(steps) + 2}. Label: {recipe.revision_id}, {stage.title}, made ________, use before ________ "
        f"({kept.shelf_life} after making). Keep at {kept.storage_temperature:g} °C. "
        "Discard the intermediate tubes today.",
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
    rows = [
        (row.component, f"{row.target:g} {row.unit}", f"{row.expected:.4g} {row.unit}")
        for row in medium.plan.composition
    ]
    return table(("component", "recipe asks", "these volumes give"), rows)


def _tubes(medium: StageMedium, names: dict[Spot, str]) -> list[str]:
    tubes = [names[tube] for tube in medium.contents]
    if not tubes:
        return []
    return ["Label low-bind tubes for the intermediate dilutions: " + "; ".join(sorted(tubes, key=_number)) + ".", ""]


def _number(name: str) -> int:
    return int(name.split()[1])


def _names(recipe: Recipe, medium: StageMedium) -> dict[Spot, str]:
    """What a person calls each vessel: the stock with its lot, the numbered tube with its content, the medium."""
    worklist = medium.plan.worklist
    names = {
        (f.labware, f.well): f"{f.liquid.name}" + (f" ({f.liquid.lot})" if f.liquid.lot else "")
        for f in worklist.fillings
    }
    tubes = dict.fromkeys(move.goal for move in _moves(worklist) if move.goal in medium.contents)
    for index, tube in enumerate(tubes, start=1):
        names[tube] = f"tube {index} ({_content(recipe, medium.contents[tube])})"
    names[StageMedium._goal(worklist)] = "the medium vessel"
    return names


def _content(recipe: Recipe, per_ul: dict[str, float]) -> str:
    """`GM-CSF 1 µg/mL`; liquids that carry the component are left out."""
    told = []
    for component in recipe.components:
        kind = component.plausible[0].kind
        value = per_ul.get(component.name, 0.0)
        if component.role not in {"base", "serum"} and value > _TRACE:
            told.append(f"{component.name} {Amount(value, kind.value, substance=component.name).display()}")
    return " + ".join(told) or "diluent"


@dataclass(frozen=True)
class _Move:
    """Consecutive transfers between the same two vessels, as one."""

    source: Spot
    goal: Spot
    volume_ul: float
    is_mixed: bool


def _moves(worklist: Worklist) -> Iterator[_Move]:
    transfers = [step for step in worklist.steps if step.action in {"transfer", "mix"}]

    def between(step: Step) -> tuple[Spot, Spot]:
        return (step.labware, step.well), (step.to_labware, step.to_well)

    merged: list[_Move] = []
    for (source, goal), steps in groupby(transfers, key=between):
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
    source, goal = (names.get(spot, " ".join(spot)) for spot in (move.source, move.goal))
    mixed = ", mix gently" if move.is_mixed else ""
    checked = " Checked by: ________" if any(name in source.split(" (")[0].split(" + ") for name in critical) else ""
    return f"{volume} of {source} into {goal}{mixed}. ☐{checked}"
