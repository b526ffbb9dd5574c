"""Rule of time out of the freezer: how long after its thaw a lot reaches the last cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nkloop.errors import PlanError, Problem
from nkloop.worklists import rules
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Worklist
from nkloop.worklists.reach import Reach, Spot, cell_spots, step_minutes
from nkloop.worklists.temperature_rules import storage_celsius


class ThawedTooLongError(PlanError):
    """What is thawed would reach the last cells too late; a smaller run may do."""


def thaw_problems(worklist: Worklist, minutes: Mapping[int, float], catalogue: LabwareLookup) -> Iterator[Problem]:
    """What reaches cells too long after it left the freezer, or is never thawed; nothing without the limit.

    Args:
        worklist: its limit, its lots and what people do.
        minutes: robot time of each step by its number; the time of a person's task is added to it.
        catalogue: labware types by load name.
    """
    limit = worklist.limits.thawed_minutes
    if limit is None:
        return
    for lot, component in _frozen(worklist).items():
        if not _thaw_steps(worklist, lot):
            told = f"{component} ({lot}) is stored frozen and no step thaws it"
            yield Problem(told, f"lot {lot}", "thaw it in a step of the run", rules.THAWED_TOO_LONG)
            continue
        number, passed = thawed_minutes(worklist, minutes, catalogue, lot)
        if passed > limit:
            told = (
                f"{component} ({lot}) reaches the last cells {passed:.0f} min after it left the freezer; at most "
                f"{limit:g} min"
            )
            yield Problem(told, f"step {number}", "add it to fewer cultures in one run", rules.THAWED_TOO_LONG)


def refuse_thawed_too_long(worklist: Worklist, minutes: Mapping[int, float], catalogue: LabwareLookup) -> None:
    """Refuse a run that keeps what it thaws from the cells too long.

    Raises:
        ThawedTooLongError: with every lot it happens to.
    """
    if problems := list(thaw_problems(worklist, minutes, catalogue)):
        raise ThawedTooLongError.from_problems(problems)


def thawed_minutes(
    worklist: Worklist, minutes: Mapping[int, float], catalogue: LabwareLookup, lot: str
) -> tuple[int, float]:
    """The last step that brings a lot to cells, and the minutes from the start of its thaw to the end of that step.

    Cells are in wells that hold them, or in closed vessels that a person runs a tube into. The number is 0 when
    nothing of the lot reaches cells.
    """
    reach = Reach(worklist, catalogue)
    cells = cell_spots(worklist, reach)
    holding: set[Spot] = {(f.labware, f.well) for f in worklist.fillings if f.liquid.lot == lot}
    begun, clock, last = 0.0, 0.0, (0, 0.0)
    thaws = _thaw_steps(worklist, lot)
    for step in worklist.steps:
        if step.number in thaws:
            begun = clock
        clock += step_minutes(step, minutes)
        given = (
            {target for source, target in reach.pairs(step) if source in holding} if step.action == "transfer" else ()
        )
        holding.update(given)
        moves = step.moves
        is_run_in = any(_spot(move.from_vessel) in holding for move in moves)
        if is_run_in or cells.intersection(given):
            last = (step.number, clock - begun)
    return last


def _frozen(worklist: Worklist) -> dict[str, str]:
    """Frozen stocks on the deck with their component; what is frozen in bulk thaws overnight and is not meant."""
    used = {filling.liquid.lot for filling in worklist.fillings}
    return {
        lot.id: lot.component
        for lot in worklist.lots
        if lot.id in used and lot.keep_cold and (storage_celsius(lot.storage) or 0.0) < 0
    }


def _thaw_steps(worklist: Worklist, lot: str) -> frozenset[int]:
    spots = {(f.labware, f.well) for f in worklist.fillings if f.liquid.lot == lot}
    return frozenset(
        step.number
        for step in worklist.steps
        if step.operator is not None
        and step.operator.kind == "thaw"
        and any(
            labware in step.operator.labware and (not step.operator.wells or well in step.operator.wells)
            for labware, well in spots
        )
    )


def _spot(vessel: str) -> Spot:
    labware, _, well = vessel.partition(":")
    return labware, well
