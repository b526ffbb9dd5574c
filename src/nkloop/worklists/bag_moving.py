"""What a technician does to move a culture into another closed vessel: weigh, sample, weld, drain, rinse."""

from __future__ import annotations

from collections.abc import Iterator

from nkloop.labware.bags import Bag, BagCatalogue
from nkloop.quantities.display import number
from nkloop.worklists.bag_exchange import DRAIN_MINUTES
from nkloop.worklists.bag_plans import BagFeeding, BagTransfer
from nkloop.worklists.bag_weights import change_g, expected, in_all, ml, then_weighs
from nkloop.worklists.models import OperatorTask, VesselMove

WELD_MINUTES, SAMPLE_MINUTES, WEIGH_MINUTES = 10.0, 5.0, 2.0
"""Times of one handling with its checks; estimates."""


def moving_tasks(bag: BagFeeding, known: BagCatalogue) -> Iterator[OperatorTask]:
    """Every task until the culture is in its new vessel; none for one that stays where it is."""
    move = bag.transfer
    if move is None:
        return
    source, target = known.bag(move.from_kind), known.bag(bag.kind)
    yield OperatorTask(
        kind="weigh",
        instruction=f"Weigh {move.from_bag} and note it{expected(source, move.held_ul)}. Label the new {target.vessel} "
        f"{bag.bag} ({target.title}), weigh it empty and note it{expected(target, 0)}.",
        minutes=WEIGH_MINUTES,
    )
    yield OperatorTask(
        kind="sample",
        instruction=f"Mix {move.from_bag} gently and take {ml(move.sample_ul)} for count and viability; expected "
        f"about {number(1000 * move.cells_per_ul)} cells/mL. More than 15 % off: stop, plan again.",
        minutes=SAMPLE_MINUTES,
        moves=(VesselMove(from_vessel=move.from_bag, volume_ul=move.sample_ul),),
    )
    yield OperatorTask(
        kind="weld",
        instruction=f"Check both labels with a second person, weld {move.from_bag} to {bag.bag} ({bag.arm}/"
        f"{bag.donor}), keep the clamp closed.",
        minutes=WELD_MINUTES,
    )
    yield _drain(bag, move, source, target)
    if move.rinse_ul:
        yield _rinse(bag, move, target)


def _drain(bag: BagFeeding, move: BagTransfer, source: Bag, target: Bag) -> OperatorTask:
    rest = ""
    moves = [VesselMove(from_vessel=move.from_bag, to_vessel=bag.bag, volume_ul=move.moved_ul)]
    if move.discarded_ul:
        rest = f" Discard the other {ml(move.discarded_ul)} of {move.from_bag}, or keep it as a retained sample."
        moves.append(VesselMove(from_vessel=move.from_bag, volume_ul=move.discarded_ul))
    elif not move.is_emptied:
        rest = f" {ml(move.left_ul)} stay in {move.from_bag}, which goes on{then_weighs(source, move.left_ul)}."
    return OperatorTask(
        kind="drain",
        instruction=f"Mix {move.from_bag}, open the clamp and drain {ml(move.moved_ul)} into {bag.bag}, until "
        f"{bag.bag} is {change_g(move.moved_ul)} heavier than empty{in_all(target, move.moved_ul)}.{rest}",
        minutes=DRAIN_MINUTES,
        moves=tuple(moves),
    )


def _rinse(bag: BagFeeding, move: BagTransfer, target: Bag) -> OperatorTask:
    until = f"until {bag.bag} is {change_g(move.rinse_ul)} heavier{in_all(target, move.moved_ul + move.rinse_ul)}"
    return OperatorTask(
        kind="rinse",
        instruction=f"Run {ml(move.rinse_ul)} of warm base medium into {move.from_bag}, move it along the walls, and "
        f"run it into {bag.bag}, {until}. Seal the line, note the weight.",
        minutes=DRAIN_MINUTES,
        moves=(
            VesselMove(to_vessel=move.from_bag, volume_ul=move.rinse_ul),
            VesselMove(from_vessel=move.from_bag, to_vessel=bag.bag, volume_ul=move.rinse_ul),
        ),
    )
