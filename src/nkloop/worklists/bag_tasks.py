"""What a technician does at closed vessels while the robot waits: weld, drain, rinse, weigh, sample, run in a dose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nkloop.labware.bags import Bag, BagCatalogue
from nkloop.quantities.display import number
from nkloop.worklists.bag_plans import BagFeeding
from nkloop.worklists.bag_seeding import seeding_tasks, suspension_vessels
from nkloop.worklists.builder import Spot
from nkloop.worklists.models import OperatorTask, Vessel, VesselMove

WELD_MINUTES, DRAIN_MINUTES, SAMPLE_MINUTES, WEIGH_MINUTES, EQUILIBRATE_MINUTES = 10.0, 5.0, 5.0, 2.0, 10.0
"""Times of one handling with its checks; estimates."""
CARRY_MINUTES = 1.0
"""Taking a vessel out of the incubator, or putting it back; an estimate."""
ROOM_C, FRIDGE_C = 22.0, 4.0
G_PER_ML = 1.005
"""Density of culture medium at room temperature, near that of 0.9 % saline; a working value nobody has verified."""


class BagTasks:
    """The tasks of one robot run's bags."""

    def __init__(self, known: BagCatalogue, delivered_ul: float, *, checked_by_two: bool = False) -> None:
        """`delivered_ul` is what a dose tube brings into its vessel; `checked_by_two` asks a second person to compare
        the labels of tube and vessel.
        """
        self.known, self.delivered_ul, self.checked_by_two = known, delivered_ul, checked_by_two

    def tasks(self, bags: Sequence[BagFeeding], spots: Sequence[Spot], room_minutes: float) -> Iterator[OperatorTask]:
        """Every task in order, one vessel after the other.

        Args:
            bags: vessels that get a dose.
            spots: their dose tubes.
            room_minutes: how long the tubes may stay at room temperature; when the work takes longer, they wait in
                the fridge until their turn.
        """
        each = [tuple(self._moving(bag)) for bag in bags]
        needed = sum(task.minutes for some in each for task in some) + sum(_weld_minutes(bag) for bag in bags)
        is_stored = needed > room_minutes
        if is_stored:
            yield self._store(spots)
        for bag, spot, moving in zip(bags, spots, each, strict=True):
            has_cells, is_moved = bag.seeding is None, bag.transfer is not None
            if is_stored and not is_moved:
                yield self._equilibrate(bag, spot)
            if has_cells:
                yield self._take_out(bag)
            yield from moving
            if is_stored and is_moved:
                yield self._equilibrate(bag, spot)
            yield self._weld(bag, spot, is_labelled=is_stored)
            if has_cells:
                yield _put_back(bag)
        yield from seeding_tasks(bags)

    def vessels(self, bags: Sequence[BagFeeding]) -> Iterator[Vessel]:
        """Every closed vessel people work at, with what it holds before and after."""
        yield from suspension_vessels(bags)
        for bag in bags:
            kind, move = self.known.bag(bag.kind), bag.transfer
            cells_in = move or bag.seeding
            density = cells_in.cells_per_ul * bag.present_ul / self.final_ul(bag) if cells_in is not None else None
            yield Vessel(
                name=bag.bag,
                title=kind.title,
                lowest_ul=1000 * kind.lowest_ml,
                residual_ul=1000 * kind.residual_ml,
                capacity_ul=1000 * kind.capacity_ml,
                volume_ul=0 if cells_in is not None else bag.present_ul,
                end_ul=self.final_ul(bag),
                end_cells_per_ul=density,
            )
            if move is not None:
                source = self.known.bag(move.from_kind)
                yield Vessel(
                    name=move.from_bag,
                    title=source.title,
                    lowest_ul=1000 * source.lowest_ml,
                    residual_ul=1000 * source.residual_ml,
                    capacity_ul=1000 * source.capacity_ml,
                    volume_ul=move.held_ul,
                    cells_per_ul=move.cells_per_ul,
                    end_ul=move.left_ul,
                    is_emptied=move.is_emptied,
                )

    def final_ul(self, bag: BagFeeding) -> float:
        """Volume of a vessel after its dose."""
        return bag.kept_ul + bag.medium_ul + self.delivered_ul

    # -- moving a culture ---------------------------------------------------------------------------------------

    def _moving(self, bag: BagFeeding) -> Iterator[OperatorTask]:
        move = bag.transfer
        if move is None:
            return
        source, target = self.known.bag(move.from_kind), self.known.bag(bag.kind)
        weight = _weight(source, move.held_ul)
        yield OperatorTask(
            kind="weigh",
            instruction=f"Weigh {move.from_bag} ({source.title}){_expected(weight)}; label {bag.bag} ({target.title}), "
            f"weigh it empty{_expected(_weight(target, 0))} and note both.",
            minutes=WEIGH_MINUTES,
        )
        yield OperatorTask(
            kind="sample",
            instruction=f"Mix {move.from_bag} gently and take {_ml(move.sample_ul)} for count and viability; expected "
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
        yield self._drain(bag, source, target)
        if move.rinse_ul:
            yield OperatorTask(
                kind="rinse",
                instruction=f"Run {_ml(move.rinse_ul)} of warm base medium into {move.from_bag}, move it along the "
                f"walls, and run it into {bag.bag}; {bag.bag} then weighs"
                f"{_about(_weight(target, move.moved_ul + move.rinse_ul))}. Seal the line, note the weight.",
                minutes=DRAIN_MINUTES,
                moves=(
                    VesselMove(to_vessel=move.from_bag, volume_ul=move.rinse_ul),
                    VesselMove(from_vessel=move.from_bag, to_vessel=bag.bag, volume_ul=move.rinse_ul),
                ),
            )

    def _drain(self, bag: BagFeeding, source: Bag, target: Bag) -> OperatorTask:
        move = bag.transfer
        assert move is not None
        rest = ""
        moves = [VesselMove(from_vessel=move.from_bag, to_vessel=bag.bag, volume_ul=move.moved_ul)]
        if move.discarded_ul:
            rest = f" Discard the other {_ml(move.discarded_ul)} of {move.from_bag}, or keep it as a retained sample."
            moves.append(VesselMove(from_vessel=move.from_bag, volume_ul=move.discarded_ul))
        elif not move.is_emptied:
            rest = f" {_ml(move.left_ul)} stay in {move.from_bag}, which goes on{_told(source, move.left_ul)}."
        return OperatorTask(
            kind="drain",
            instruction=f"Mix {move.from_bag}, open the clamp and drain {_ml(move.moved_ul)} into {bag.bag}, until it "
            f"weighs{_about(_weight(target, move.moved_ul))}.{rest}",
            minutes=DRAIN_MINUTES,
            moves=tuple(moves),
        )

    def _take_out(self, bag: BagFeeding) -> OperatorTask:
        name, kind = (bag.bag, bag.kind) if bag.transfer is None else (bag.transfer.from_bag, bag.transfer.from_kind)
        told = (
            f"Take {name} ({self.known.bag(kind).title}) out of the incubator, no other vessel yet; check its label, "
            "look for leaks and clumps. Another kind of vessel: stop, plan again with it named."
        )
        return OperatorTask(kind="confirm", instruction=told, minutes=CARRY_MINUTES)

    # -- doses --------------------------------------------------------------------------------------------------

    def _store(self, spots: Sequence[Spot]) -> OperatorTask:
        return OperatorTask(
            kind="store",
            instruction=f"Cap and label the dose tubes {', '.join(well for _, well in spots)} and put them away at "
            f"{FRIDGE_C:g} °C; each is taken out when its vessel is ready.",
            labware=tuple(dict.fromkeys(labware for labware, _ in spots)),
            wells=tuple(well for _, well in spots),
            temperature_c=FRIDGE_C,
        )

    def _equilibrate(self, bag: BagFeeding, spot: Spot) -> OperatorTask:
        return OperatorTask(
            kind="equilibrate",
            instruction=f"Take dose tube {spot[1]} for {bag.bag} out of the fridge and let it stand at {ROOM_C:g} °C "
            f"for {EQUILIBRATE_MINUTES:g} min; invert it three times.",
            labware=(spot[0],),
            wells=(spot[1],),
            minutes=EQUILIBRATE_MINUTES,
            temperature_c=ROOM_C,
        )

    def _weld(self, bag: BagFeeding, spot: Spot, *, is_labelled: bool) -> OperatorTask:
        kind = self.known.bag(bag.kind)
        rinsed = bag.transfer.rinse_ul if bag.transfer is not None else 0.0
        medium = bag.medium_ul - rinsed
        first = [f"drain {bag.drain_ul / 1000:g} mL"] if bag.drain_ul else []
        first += [f"run in {medium / 1000:g} mL base medium"] if medium else []
        if bag.seeding is not None:
            first.insert(0, f"label the new {kind.vessel} {bag.bag} ({kind.title})")
        joined = " and ".join(first)
        before = f"{joined[0].upper()}{joined[1:]}. " if joined else ""
        reached = self.final_ul(bag) - (bag.present_ul if bag.seeding is not None else 0.0)
        moves = [VesselMove(from_vessel=bag.bag, volume_ul=bag.drain_ul)] if bag.drain_ul else []
        moves += [VesselMove(to_vessel=bag.bag, volume_ul=medium)] if medium else []
        moves.append(VesselMove(from_vessel=f"{spot[0]}:{spot[1]}", to_vessel=bag.bag, volume_ul=self.delivered_ul))
        tube = f"the tube in {spot[0]} {spot[1]}"
        told = f"Check the label of {tube}" if is_labelled else f"Cap and label {tube}, check its label"
        instruction = (
            f"{before}{told}{' with a second person' * self.checked_by_two} against {kind.vessel} {bag.bag} "
            f"({bag.arm}/{bag.donor}), weld it on, run in all that comes ({self.delivered_ul / 1000:.4g} mL), mix the "
            f"{kind.vessel}, seal the line{_told(kind, reached)}."
        )
        return OperatorTask(
            kind="weld",
            instruction=instruction,
            labware=(spot[0],),
            wells=(spot[1],),
            minutes=_weld_minutes(bag),
            moves=tuple(moves),
        )


def _weld_minutes(bag: BagFeeding) -> float:
    """Welding the dose on, with draining and running medium in before it."""
    rinsed = bag.transfer.rinse_ul if bag.transfer is not None else 0.0
    return WELD_MINUTES + DRAIN_MINUTES * bool(bag.drain_ul or bag.medium_ul > rinsed)


def _put_back(bag: BagFeeding) -> OperatorTask:
    told = f"Put {bag.bag} into the incubator, flat, and note the time."
    if bag.transfer is not None and not bag.transfer.is_emptied:
        told = f"Put {bag.transfer.from_bag} and {bag.bag} into the incubator and note the time."
    return OperatorTask(kind="confirm", instruction=told, minutes=CARRY_MINUTES)


def _weight(kind: Bag, volume_ul: float) -> float | None:
    """Expected weight in g of a vessel with that volume; None when its empty weight is not known."""
    return None if kind.tare_g is None else kind.tare_g + G_PER_ML * volume_ul / 1000


def _expected(weight_g: float | None) -> str:
    return "" if weight_g is None else f", expected {weight_g:.0f} g"


def _about(weight_g: float | None) -> str:
    return " what was calculated" if weight_g is None else f" {weight_g:.0f} g"


def _told(kind: Bag, volume_ul: float) -> str:
    weight = _weight(kind, volume_ul)
    return "" if weight is None else f"; it then weighs about {weight:.0f} g ({kind.tare_g:g} g of it empty)"


def _ml(microlitres: float) -> str:
    return f"{microlitres / 1000:.4g} mL"
