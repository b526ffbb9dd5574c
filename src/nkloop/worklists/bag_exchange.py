"""What a technician drains out of a closed vessel and runs into it before its dose, by the scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nkloop.labware.bags import Bag, BagCatalogue
from nkloop.worklists.bag_plans import BagFeeding
from nkloop.worklists.bag_weights import change_g, expected, in_all, ml
from nkloop.worklists.models import OperatorTask, VesselMove

DRAIN_MINUTES = 5.0
"""Weighing, and draining or running in one volume; an estimate."""


def settling_task(bags: Sequence[BagFeeding], known: BagCatalogue, settling_minutes: float) -> OperatorTask | None:
    """The rest of the cultures before their medium is drained off the cells; None when none is drained so.

    Args:
        bags: vessels of one run.
        known: their kinds.
        settling_minutes: as the recipe has it; 0 when it states none.
    """
    resting = [bag for bag in bags if bag.is_settled]
    if not resting:
        return None
    still = [bag.bag for bag in resting if known.bag(bag.kind).vessel == "bioreactor"]
    upright = [bag.bag for bag in resting if bag.bag not in still]
    told = [f"Stop the motion of {', '.join(still)}"] if still else []
    told += [f"Stand {', '.join(upright)} upright in the incubator, ports up"] if upright else []
    least = f"at least {settling_minutes:g} min" if settling_minutes else "until the cells have settled"
    text = f"{'; '.join(told)}. Do not mix: the cells shall settle, {least} before each is taken out. Note the time."
    return OperatorTask(kind="settle", instruction=text)


def exchange_tasks(bag: BagFeeding, kind: Bag) -> Iterator[OperatorTask]:
    """Drain, then run in base medium; nothing for a vessel that only gets its dose."""
    if bag.drain_ul:
        yield _drain(bag, kind)
    rinsed = bag.transfer.rinse_ul if bag.transfer is not None else 0.0
    medium = bag.medium_ul - rinsed
    if medium > 0:
        yield _run_in(bag, kind, medium)


def _drain(bag: BagFeeding, kind: Bag) -> OperatorTask:
    weigh = f"Weigh {bag.bag} and note it{expected(kind, bag.present_ul)}."
    until = f"until it is {change_g(bag.drain_ul)} lighter{in_all(kind, bag.kept_ul)}"
    how = f"Weld a waste bag on, mix {bag.bag} gently and drain {ml(bag.drain_ul)} while it is mixed, {until}."
    if bag.is_settled:
        how = (
            f"Do not mix. Weld a waste bag on, drain {ml(bag.drain_ul)} of supernatant slowly from the top, {until}. "
            "The cells stay; if it comes cloudy: stop, let it settle again, note it."
        )
    move = VesselMove(from_vessel=bag.bag, volume_ul=bag.drain_ul, is_without_cells=bag.is_settled)
    return OperatorTask(kind="drain", instruction=f"{weigh} {how}", minutes=DRAIN_MINUTES, moves=(move,))


def _run_in(bag: BagFeeding, kind: Bag, medium_ul: float) -> OperatorTask:
    before = bag.kept_ul + bag.medium_ul - medium_ul
    weigh = ""
    if bag.seeding is not None:
        before = 0.0
        weigh = f"Label the new {kind.vessel} {bag.bag} ({kind.title}), weigh it empty and note it{expected(kind, 0)}. "
    elif not bag.drain_ul and bag.transfer is None:
        weigh = f"Weigh {bag.bag} and note it{expected(kind, before)}. "
    until = f"until it is {change_g(medium_ul)} heavier{in_all(kind, before + medium_ul)}"
    return OperatorTask(
        kind="fill",
        instruction=f"{weigh}Weld the bag of warm base medium to {bag.bag}, run in {ml(medium_ul)}, {until}.",
        minutes=DRAIN_MINUTES,
        moves=(VesselMove(to_vessel=bag.bag, volume_ul=medium_ul),),
    )
