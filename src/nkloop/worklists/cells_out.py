"""How long cells stand on the deck, outside the incubator, and the limit on it."""

from __future__ import annotations

from collections.abc import Collection

from nkloop.errors import PlanError
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.duration import step_durations
from nkloop.worklists.models import Worklist


class CellsOutError(PlanError):
    """Cells would stay outside the incubator longer than allowed; a smaller run may do."""


def cells_out_minutes(worklist: Worklist, deck: BenchDeck, first: int, labware: Collection[str]) -> float:
    """Estimated time from the moment cells come to the deck to the last step that handles them.

    Args:
        worklist: the run.
        deck: the bench it runs on.
        first: steps before this number are done without cells on the deck.
        labware: nicknames of what holds cells.
    """
    touching = [s.number for s in worklist.steps if s.number > first and {s.labware, s.to_labware} & set(labware)]
    if not touching:
        return 0.0
    timed = (one for one in step_durations(worklist, deck) if first < one.number <= touching[-1])
    return sum(one.robot_s + one.waiting_s for one in timed) / 60


def refuse_too_long(minutes: float, limit: float | None, where: str) -> None:
    """Refuse a run that keeps cells out too long.

    Raises:
        CellsOutError: the estimate is above the limit.
    """
    if limit is not None and minutes > limit:
        raise CellsOutError(
            f"cells would be outside the incubator for about {minutes:.0f} min, at most {limit:g} min are allowed",
            where=where,
            remedy="feed fewer wells in one run, or allow more time with --cells-out",
        )
