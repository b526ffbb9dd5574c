"""What a technician does at closed vessels while the robot waits: take out, drain, run in medium, weld a dose on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nkloop.labware.bags import BagCatalogue
from nkloop.worklists.bag_exchange import exchange_tasks
from nkloop.worklists.bag_moving import WELD_MINUTES, moving_tasks
from nkloop.worklists.bag_plans import BagFeeding
from nkloop.worklists.bag_seeding import seeding_tasks, suspension_vessels
from nkloop.worklists.bag_weights import back_words, change_g, expected, in_all
from nkloop.worklists.builder import Spot
from nkloop.worklists.models import OperatorTask, Vessel, VesselMove

EQUILIBRATE_MINUTES = 10.0
"""A dose tube out of the fridge; an estimate."""
CARRY_MINUTES = 1.0
"""Taking a vessel out of the incubator, or putting it back; an estimate."""
ROOM_C, FRIDGE_C = 22.0, 4.0


class BagTasks:
    """The tasks of one robot run's bags."""

    def __init__(
        self,
        known: BagCatalogue,
        delivered_ul: float,
        *,
        differing_ul: Mapping[str, float] | None = None,
        checked_by_two: bool = False,
    ) -> None:
        """`delivered_ul` is what a dose tube brings into its vessel, `differing_ul` what it brings into the vessels
        named there; `checked_by_two` asks a second person to compare the labels of tube and vessel.
        """
        self.known, self.delivered_ul, self.checked_by_two = known, delivered_ul, checked_by_two
        self.differing_ul = differing_ul or {}

    def delivered_to(self, bag: str) -> float:
        """What its dose tube brings into a vessel, in µL."""
        return self.differing_ul.get(bag, self.delivered_ul)

    def tasks(self, bags: Sequence[BagFeeding], spots: Sequence[Spot], room_minutes: float) -> Iterator[OperatorTask]:
        """Every task in order, one vessel after the other.

        Args:
            bags: vessels that get a dose.
            spots: their dose tubes.
            room_minutes: how long the tubes may stay at room temperature; when the work takes longer, they wait in
                the fridge until their turn.
        """
        moving = [tuple(moving_tasks(bag, self.known)) for bag in bags]
        feeding = [tuple(exchange_tasks(bag, self.known.bag(bag.kind))) for bag in bags]
        needed = sum(task.minutes for some in (*moving, *feeding) for task in some) + WELD_MINUTES * len(bags)
        is_stored = needed > room_minutes
        if is_stored:
            yield self._store(spots)
        for number, (bag, spot) in enumerate(zip(bags, spots, strict=True)):
            has_cells, is_moved = bag.seeding is None, bag.transfer is not None
            if is_stored and not is_moved:
                yield self._equilibrate(bag, spot)
            if has_cells:
                yield self._take_out(bag)
            yield from moving[number]
            if is_stored and is_moved:
                yield self._equilibrate(bag, spot)
            yield from feeding[number]
            yield self._weld(bag, spot, is_labelled=is_stored)
            if has_cells:
                yield self._putback_words(bag)
        yield from seeding_tasks(bags, self.known, self.final_ul)

    def vessels(self, bags: Sequence[BagFeeding]) -> Iterator[Vessel]:
        """Every closed vessel people work at, with what it holds before and after."""
        yield from suspension_vessels(bags)
        for bag in bags:
            kind, move = self.known.bag(bag.kind), bag.transfer
            is_new = move is not None or bag.seeding is not None
            yield Vessel(
                name=bag.bag,
                title=kind.title,
                lowest_ul=1000 * kind.lowest_ml,
                residual_ul=1000 * kind.residual_ml,
                capacity_ul=1000 * kind.capacity_ml,
                volume_ul=0 if is_new else bag.present_ul,
                cells_per_ul=0 if is_new else bag.cells_per_ul or 0,
                end_ul=self.final_ul(bag),
                end_cells_per_ul=self.final_cells_per_ul(bag),
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
        return bag.kept_ul + bag.medium_ul + self.delivered_to(bag.bag)

    def final_cells_per_ul(self, bag: BagFeeding) -> float | None:
        """Viable cells in a vessel after its dose; None when nobody counted them."""
        return None if bag.cells is None else bag.cells / self.final_ul(bag)

    # -- out and in ---------------------------------------------------------------------------------------------

    def _take_out(self, bag: BagFeeding) -> OperatorTask:
        name, kind = (bag.bag, bag.kind) if bag.transfer is None else (bag.transfer.from_bag, bag.transfer.from_kind)
        bag_kind, still = self.known.bag(kind), ", without shaking it" if bag.is_settled else ""
        source = "off its base" if bag_kind.vessel == "bioreactor" else "out of the incubator"
        told = (
            f"Take {name} ({bag_kind.title}) {source}{still}, no other vessel yet; check its label, look for leaks and "
            "clumps. Another kind of vessel: stop, plan again with it named."
        )
        return OperatorTask(kind="confirm", instruction=told, minutes=CARRY_MINUTES)

    def _putback_words(self, bag: BagFeeding) -> OperatorTask:
        told = [back_words(bag.bag, self.known.bag(bag.kind))]
        if bag.transfer is not None and not bag.transfer.is_emptied:
            told.insert(0, back_words(bag.transfer.from_bag, self.known.bag(bag.transfer.from_kind)))
        return OperatorTask(
            kind="confirm", instruction=f"{' '.join(told)} Note the time.", minutes=CARRY_MINUTES * len(told)
        )

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
        reached = self.final_ul(bag) - (bag.present_ul if bag.seeding is not None else 0.0)
        tube = f"the tube in {spot[0]} {spot[1]}"
        told = f"Check the label of {tube}" if is_labelled else f"Cap and label {tube}, check its label"
        if not bag.drain_ul and not bag.medium_ul:
            told = f"Weigh {bag.bag} and note it{expected(kind, bag.present_ul)}. {told}"
        delivered = self.delivered_to(bag.bag)
        move = VesselMove(from_vessel=f"{spot[0]}:{spot[1]}", to_vessel=bag.bag, volume_ul=delivered)
        instruction = (
            f"{told}{' with a second person' * self.checked_by_two} against {kind.vessel} {bag.bag} "
            f"({bag.arm}/{bag.donor}), weld it on, run in all that comes ({delivered / 1000:.4g} mL), mix the "
            f"{kind.vessel}, seal the line; it is then {change_g(delivered)} heavier{in_all(kind, reached)}."
        )
        return OperatorTask(
            kind="weld",
            instruction=instruction,
            labware=(spot[0],),
            wells=(spot[1],),
            minutes=WELD_MINUTES,
            moves=(move,),
        )
