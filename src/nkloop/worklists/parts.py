"""Plans that are more than one robot run: the parts in their order, and what a person does before each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import Field

from nkloop.errors import PlanError
from nkloop.frozen import FrozenModel
from nkloop.worklists.models import DeckItem, OperatorTask, Worklist

Item = TypeVar("Item")


class Part(FrozenModel):
    """One robot run of a plan."""

    worklist: Worklist
    before: OperatorTask | None = None
    """What a person does before this run; None before the first."""


class PlanInParts(FrozenModel):
    """What every plan has: the robot's work."""

    parts: tuple[Part, ...] = Field(min_length=1)
    """Robot runs in their order; a person works between two of them."""


def worklists_of(parts: Sequence[Part]) -> tuple[Worklist, ...]:
    """The worklists of a plan in their order."""
    return tuple(part.worklist for part in parts)


Plan = TypeVar("Plan", bound=PlanInParts)


def with_worklists(plan: Plan, worklists: Sequence[Worklist]) -> Plan:
    """A plan with other worklists, as many as it has parts."""
    changed = (part.model_copy(update={"worklist": one}) for part, one in zip(plan.parts, worklists, strict=True))
    return plan.model_copy(update={"parts": tuple(changed)})


def only_worklist(parts: Sequence[Part]) -> Worklist:
    """The worklist of a plan that is one run.

    Raises:
        PlanError: the plan has several parts.
    """
    if len(parts) != 1:
        raise PlanError(
            f"the plan has {len(parts)} parts, one worklist was asked for", remedy="run the parts in their order"
        )
    return parts[0].worklist


def between_notes(parts: Sequence[Part]) -> tuple[str, ...]:
    """What a person does before each later part, said once where it is the same before several.

    `Before part 2: Take off: … Put on: …`
    """
    told: dict[str, list[int]] = {}
    for number, part in enumerate(parts, start=1):
        if part.before is not None:
            text = part.before.instruction.removeprefix(f"{part.worklist.name}. ")
            told.setdefault(text, []).append(number)
    return tuple(f"Before part{'s' * (len(n) > 1)} {_numbers(n)}: {text}" for text, n in told.items())


def _numbers(found: Sequence[int]) -> str:
    if len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"{found[0]} to {found[-1]}"
    return " and ".join(str(one) for one in found)


def in_order(worklists: Sequence[Worklist]) -> tuple[Part, ...]:
    """Parts with the operator steps between them: what to take off and what to put on.

    Names tell the part (`feed P-1, part 2 of 3`) when there are several.
    """
    if len(worklists) == 1:
        return (Part(worklist=worklists[0]),)
    named = [
        one.model_copy(update={"name": f"{one.name}, part {number} of {len(worklists)}"})
        for number, one in enumerate(worklists, start=1)
    ]
    return tuple(
        Part(worklist=one, before=_between(named[index - 1], one) if index else None) for index, one in enumerate(named)
    )


def _between(last: Worklist, following: Worklist) -> OperatorTask:
    """What stays is what has an identity and the same slot; everything else is taken off and set anew."""
    staying = {item.barcode: item for item in last.deck if item.barcode}
    stays, moves, new = [], [], []
    for item in following.deck:
        before = staying.get(item.barcode) if item.barcode else None
        if before is None:
            new.append(item)
        elif before.slot == item.slot:
            stays.append(item)
        else:
            moves.append((before, item))
    gone = [item for item in last.deck if item.barcode not in {i.barcode for i in following.deck} or not item.barcode]
    sentences = [f"Take off: {_listed(gone)}."]
    sentences += [f"Move {_told(one)} from {before.slot} to {one.slot}." for before, one in moves]
    sentences.append(f"Put on: {_listed(new)}.")
    with_cells = [item for item in stays if item.nickname in following.limits.cells_in]
    stays = [item for item in stays if item not in with_cells]
    if with_cells:
        sentences.append(f"Back into the incubator until the run asks for it: {_listed(with_cells)}.")
    if stays:
        sentences.append(f"Leave where it is: {_listed(stays)}.")
    return OperatorTask(kind="confirm", instruction=f"{following.name}. {' '.join(sentences)}")


def _listed(items: Sequence[DeckItem]) -> str:
    return ", ".join(f"{_told(item)} ({item.slot})" for item in items) or "nothing"


def _told(item: DeckItem) -> str:
    return f"{item.label or item.load_name}{f' {item.barcode}' if item.barcode else ''}"


def cuts(items: Sequence[Item], number: int) -> tuple[tuple[Item, ...], ...]:
    """Consecutive parts of nearly equal size, the larger ones first."""
    share, rest = divmod(len(items), number)
    parts, start = [], 0
    for index in range(number):
        end = start + share + (1 if index < rest else 0)
        parts.append(tuple(items[start:end]))
        start = end
    return tuple(parts)


Planned = TypeVar("Planned")


def fewest_parts(
    items: Sequence[Item],
    plan: Callable[[tuple[tuple[Item, ...], ...]], Planned],
    too_large: type[Exception] | tuple[type[Exception], ...],
) -> Planned:
    """Plan in one part, else in two, three, … up to one part per item.

    Args:
        items: what is shared out, for example arms.
        plan: plans all parts in their order; raises `too_large` when one of them does not fit.
        too_large: the error that asks for more parts, or several.

    Raises:
        Exception: `too_large` of the last attempt, when a part of one item does not fit either.
    """
    number = 1
    while True:
        try:
            return plan(cuts(items, number))
        except too_large:
            if number >= len(items):
                raise
            number += 1
