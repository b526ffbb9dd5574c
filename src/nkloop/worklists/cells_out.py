"""How long cells stand on the deck, outside the incubator, and the limit on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nkloop.errors import PlanError
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.duration import step_durations
from nkloop.worklists.ledger_state import CELL_PREFIXES
from nkloop.worklists.models import Step, Worklist


class CellsOutError(PlanError):
    """Cells would stay outside the incubator longer than allowed; a smaller run may do."""


def busy_minutes(worklist: Worklist, deck: BenchDeck) -> dict[int, float]:
    """Minutes of each step by its number: the robot's work, shakes and delays; time a person takes is not counted."""
    return {
        one.number: (one.robot_s + (0.0 if one.is_hands_on else one.waiting_s)) / 60
        for one in step_durations(worklist, deck)
    }


def times_out(worklist: Worklist, minutes: Mapping[int, float]) -> Iterator[tuple[int, float]]:
    """Every step that handles cells, with the minutes they have been out when it ends.

    Cells come out at the start of the run, or at the first pause that brings them before a step has touched them; an
    incubation puts them back.

    Args:
        worklist: says by its limits and its fillings what holds cells.
        minutes: of each step, by its number.
    """
    holders, since, is_touched = set(cell_labware(worklist)), 0.0, False
    for step in worklist.steps if holders else ():
        if step.operator is not None and (step.operator.kind == "incubate" or (_brings(step, holders, is_touched))):
            since = 0.0
            continue
        since += minutes.get(step.number, 0.0)
        if step.action != "pause" and {step.labware, step.to_labware} & holders:
            is_touched = True
            holders |= {step.to_labware} if step.labware in holders and step.to_labware != "waste" else set()
            yield step.number, since


def _brings(step: Step, holders: set[str], is_touched: bool) -> bool:
    return step.operator is not None and not is_touched and bool(holders.intersection(step.operator.labware))


def cell_labware(worklist: Worklist) -> frozenset[str]:
    """Nicknames of what holds cells when the run starts, or is said to get them."""
    found = {f.labware for f in worklist.fillings for name in f.liquid.per_ul if name.startswith(CELL_PREFIXES)}
    return frozenset(found.union(worklist.limits.cells_in))


def cells_out_minutes(worklist: Worklist, deck: BenchDeck) -> float:
    """Longest estimated time of cells outside the incubator; 0 without cells."""
    return max((since for _, since in times_out(worklist, busy_minutes(worklist, deck))), default=0.0)


def refuse_too_long(minutes: float, limit: float, where: str) -> None:
    """Refuse a run that keeps cells out too long.

    Raises:
        CellsOutError: the estimate is above the limit.
    """
    if minutes > limit:
        raise CellsOutError(
            f"cells would be outside the incubator for about {minutes:.0f} min, at most {limit:g} min are allowed",
            where=where,
            remedy="feed fewer wells in one run, or allow more time with --cells-out",
        )
