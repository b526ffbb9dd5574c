"""One robot run of an addition: carrier for the controls, the thaw, the dilutions, the check, then every vessel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nkloop.errors import PlanError
from nkloop.inventory.models import Lot
from nkloop.labware.bags import DoseTube
from nkloop.recipes.models import ProcessStep
from nkloop.worklists.addition_controls import same_shares
from nkloop.worklists.addition_plans import AdditionRequest, AdditionVessel
from nkloop.worklists.addition_tasks import around_notes, check_task, closing_task, ready_task, thaw_task
from nkloop.worklists.bag_tasks import BagTasks
from nkloop.worklists.builder import DeckFullError, Spot, Supply, WorklistBuilder
from nkloop.worklists.carriers import (
    BASE,
    NO_CARRIER,
    carrier_name,
    carrier_notes,
    carrier_of,
    suspension_of,
)
from nkloop.worklists.chain_cost import CostModel, Prices
from nkloop.worklists.chains import Chain
from nkloop.worklists.dilution import plan_chain
from nkloop.worklists.dose_tubes import DOSES
from nkloop.worklists.dosing_event import CELL_FLOW, CULTURE, TOLERANCE_PERCENT
from nkloop.worklists.models import Liquid, OperatorTask, Target, Worklist
from nkloop.worklists.stock_deck import StockDeck
from nkloop.worklists.strength import stock_words

MOST_ADDED = 0.2
"""Share of a culture's volume that may be added to it without a change of medium. Unverified."""
_CELL_TIP_UL = 1000.0


@dataclass(frozen=True)
class TubeKind:
    """The dose tubes of closed vessels, and what a person does with them."""

    tube: DoseTube
    lost_ul: float
    """What stays in one and in its line."""
    tasks: BagTasks

    def delivered_ul(self, vessel: str) -> float:
        """What reaches a vessel out of its tube."""
        return self.tasks.delivered_to(vessel)

    def fill_ul(self, vessel: str) -> float:
        """What the robot puts into the tube of a vessel."""
        return self.delivered_ul(vessel) + self.lost_ul


@dataclass(frozen=True)
class Laid:
    """A finished run."""

    worklist: Worklist
    vessels: tuple[AdditionVessel, ...]
    """That get the component."""
    spots: tuple[Spot, ...]
    """Well or tube of each vessel, in the order of `vessels`."""
    chain: Chain
    controls: tuple[AdditionVessel, ...]
    """That get the carrier alone."""
    control_spots: tuple[Spot, ...]
    control_volumes_ul: tuple[float, ...]
    carrier: str
    """What the controls get, by name."""
    notes: tuple[str, ...]


def lay_out(
    builder: WorklistBuilder,
    request: AdditionRequest,
    step: ProcessStep,
    vessels: Sequence[AdditionVessel],
    controls: Sequence[AdditionVessel],
    amounts: tuple[tuple[float, ...], float],
    lots: Mapping[str, Lot],
    *,
    base: str,
    tubes: TubeKind | None,
) -> Laid:
    """Write the run of some vessels.

    Args:
        builder: empty.
        request: what is asked for.
        step: the process step.
        vessels: that get the component.
        controls: that get the same volume of its carrier.
        amounts: what each of `vessels` gets, and how much is in a µL of the lot.
        lots: of the component, the base medium, what stocks are diluted in and what they are suspended in.
        base: name of the base medium.
        tubes: dose tubes for closed vessels; None for the wells of a plate.

    Raises:
        PlanError: the volume cannot be pipetted or is too much for a vessel.
        DeckFullError: a smaller run may fit.
    """
    return _Layout(builder, request, step, tuple(vessels), tuple(controls), lots, base, tubes).plan(*amounts)


class _Layout:
    def __init__(
        self,
        builder: WorklistBuilder,
        request: AdditionRequest,
        step: ProcessStep,
        vessels: tuple[AdditionVessel, ...],
        controls: tuple[AdditionVessel, ...],
        lots: Mapping[str, Lot],
        base: str,
        tubes: TubeKind | None,
    ) -> None:
        self.builder, self.request, self.step, self.vessels, self.lots = builder, request, step, vessels, lots
        self.controls, self.base, self.tubes = controls, base, tubes
        self.component = step.component or ""
        self.lot = lots[self.component]
        self.stage = request.recipe.stage(request.stage_id)
        self.carrier = carrier_of(self.lot, lots)
        self.instead = suspension_of(self.lot, lots)

    def plan(self, amounts: Sequence[float], strength: float) -> Laid:
        """Place everything and write all steps."""
        spots = self._place()
        own, others = spots[: len(self.vessels)], spots[len(self.vessels) :]
        chain = self._chain(amounts, strength)
        instead = self._instead_ul(chain)
        stocks = StockDeck(self.builder, self.base, bulk="Media (50 mL tubes)")
        supplies = self._supplies(stocks, chain, instead)
        stocks.add(self._stock(strength), chain, supplies.get(self.carrier), in_the_cold=self.lot.is_frozen)
        self._pause(ready_task(self.stage, self.step))
        self._fill_tubes(supplies, spots, (*chain.volumes_ul, *instead))
        self._pause(self._thaw(stocks))
        if chain.dilutions:
            stocks.prepare(supplies[self.carrier])
        self.builder.pause(self._check(own, others, chain, instead))
        self._give_instead(supplies, others, instead)
        ((source, volumes),) = stocks.give(self.component)
        for vessel, spot, volume in zip(self.vessels, own, volumes, strict=True):
            text = f"{self.component} for {_words(vessel)}"
            self._give(source, spot, volume, text)
        self._end(spots)
        worklist = self.builder.build(
            targets=[*self._targets(own, amounts, chain), *self._without(others, instead)],
            recipe_revision=self.request.recipe.revision_id,
            seed=self.request.seed,
        )
        return Laid(
            worklist=worklist,
            vessels=self.vessels,
            spots=tuple(own),
            chain=chain,
            controls=self.controls,
            control_spots=tuple(others),
            control_volumes_ul=instead,
            carrier=carrier_name(self.instead, self.base),
            notes=tuple(self._notes(chain)),
        )

    # -- deck and liquids ---------------------------------------------------------------------------------------

    def _place(self) -> list[Spot]:
        every = (*self.vessels, *self.controls)
        if self.tubes is not None:
            kind = self.builder.place(DOSES, self.tubes.tube.rack, f"{self.tubes.tube.title} (empty)")
            if len(every) > len(kind.wells):
                raise self._too_many(len(every), len(kind.wells))
            return [(DOSES, well) for _, well in zip(every, kind.wells, strict=False)]
        request = self.request
        self.builder.place(CULTURE, request.plate_load_name, "Culture plate", barcode=request.plate_barcode)
        for one in request.vessels:
            liquid = Liquid(name=f"culture {one.arm}/{one.donor}", per_ul=one.per_ul)
            self.builder.fill((CULTURE, one.vessel), one.volume_ul, liquid)
        return [(CULTURE, one.vessel) for one in every]

    def _too_many(self, wanted: int, wells: int) -> DeckFullError:
        return DeckFullError(
            f"{wanted} dose tubes do not fit the rack of {wells}",
            where=self.builder.name,
            remedy="plan fewer vessels at a time",
        )

    def _chain(self, amounts: Sequence[float], strength: float) -> Chain:
        limits = [self._most_ul(one) for one in self.vessels]
        for one, amount, limit in zip(self.vessels, amounts, limits, strict=True):
            if amount / strength > limit + 1e-6:
                raise PlanError(
                    f"{amount / strength:.4g} µL of lot {self.lot.id} ({self.lot.concentration}) would go into "
                    f"{one.vessel}, at most {max(0.0, limit):.4g} µL may",
                    where=f"{self.request.name}, step {self.step.id}",
                    remedy="use a lot of a higher titre, take fewer cells, or remove medium first",
                )
        tube = self.builder.type_of(StockDeck.TUBES)
        return plan_chain(
            self.component,
            strength,
            amounts,
            minimum_ul=self.builder.minimum_ul(),
            tube_ul=tube.working_volume_ul,
            dead_ul=tube.dead_volume_ul,
            limits_ul=limits,
            cost=CostModel(self.builder.deck, Prices.of(self.lot)),
            errors=self.request.errors_allowed,
            stock=stock_words(self.lot),
            may_tap=False,  # like volumes for all, so that no culture is thinned more than another
        )

    def _most_ul(self, vessel: AdditionVessel) -> float:
        """What may be added to a vessel, or be of its tube."""
        if self.tubes is not None:
            return 0.9 * self.tubes.fill_ul(vessel.vessel)
        room = self.builder.kind(CULTURE).working_volume_ul - vessel.volume_ul
        return min(MOST_ADDED * vessel.volume_ul, room)

    def _instead_ul(self, chain: Chain) -> tuple[float, ...]:
        """What each control gets."""
        thinned = [self._thinned_ul(one) for one in self.controls], [self._thinned_ul(one) for one in self.vessels]
        lowest = self.builder.minimum_ul()
        shares = same_shares(self.controls, self.vessels, chain.volumes_ul, thinned_ul=thinned)
        volumes = tuple(max(lowest, round(volume, 1)) for volume in shares)
        for one, volume in zip(self.controls, volumes, strict=True):
            if volume > self._most_ul(one) + 1e-6:
                raise PlanError(
                    f"{volume:g} µL of {carrier_name(self.instead, self.base)} would go into control {one.vessel}, at "
                    f"most {max(0.0, self._most_ul(one)):.4g} µL may",
                    where=f"{self.request.name}, step {self.step.id}",
                    remedy="remove medium from the control first, as from the others",
                )
        return volumes

    def _thinned_ul(self, vessel: AdditionVessel) -> float:
        """What the component or its carrier is thinned in first: the content of a tube, or the culture itself."""
        return vessel.volume_ul if self.tubes is None else self.tubes.fill_ul(vessel.vessel)

    def _supplies(self, stocks: StockDeck, chain: Chain, instead: Sequence[float]) -> dict[str, Supply]:
        """Base medium, diluent and what the controls get, each in tubes of its own, by name."""
        needs: dict[str, float] = {}
        if self.tubes is not None:
            full = sum(self.tubes.fill_ul(one.vessel) for one in (*self.vessels, *self.controls))
            needs[BASE] = full - sum(chain.volumes_ul) - sum(instead)
        needs[self.carrier] = needs.get(self.carrier, 0.0) + sum(one.diluent_ul for one in chain.dilutions)
        needs[self.instead] = needs.get(self.instead, 0.0) + sum(instead)
        return {
            name: stocks.carrier(self._liquid(carrier_name(name, self.base)), volume)
            for name, volume in needs.items()
            if volume > 0
        }

    def _stock(self, strength: float) -> Liquid:
        per_ul = {self.component: strength}
        if self.step.amount is not None and self.lot.carrier not in {NO_CARRIER, BASE}:
            per_ul[self.lot.carrier] = 1.0
        return Liquid(name=self.component, per_ul=per_ul, lot=self.lot.id)

    def _liquid(self, name: str) -> Liquid:
        return Liquid(name=name, per_ul={name: 1.0}, lot=self.lots[name].id)

    # -- steps --------------------------------------------------------------------------------------------------

    def _fill_tubes(self, supplies: Mapping[str, Supply], spots: Sequence[Spot], volumes: Sequence[float]) -> None:
        """Base medium into the dose tubes, as much as the rest leaves room for."""
        if self.tubes is None:
            return
        every = (*self.vessels, *self.controls)
        for number, (vessel, spot, volume) in enumerate(zip(every, spots, volumes, strict=True)):
            text, left = f"{self.base} for {vessel.vessel}", self.tubes.fill_ul(vessel.vessel) - volume
            self.builder.transfer(supplies[BASE], spot, left, fresh=number == 0, tip_ul=_CELL_TIP_UL, comment=text)

    def _give_instead(self, supplies: Mapping[str, Supply], spots: Sequence[Spot], volumes: Sequence[float]) -> None:
        """Controls come before the others, while nothing on the deck has touched the component's tips."""
        name = carrier_name(self.instead, self.base)
        for vessel, spot, volume in zip(self.controls, spots, volumes, strict=True):
            self._give(supplies[self.instead], spot, volume, f"{name} instead of {self.component} for {_words(vessel)}")

    def _give(self, source: Spot | Supply, spot: Spot, volume: float, text: str) -> None:
        flow = 1.0 if self.tubes is not None else CELL_FLOW
        self.builder.transfer(source, spot, volume, each_fresh=True, mix_after=3, flow=flow, comment=text)

    def _pause(self, task: OperatorTask | None) -> None:
        if task is not None:
            self.builder.pause(task)

    def _thaw(self, stocks: StockDeck) -> OperatorTask | None:
        spots = stocks.stands_in(self.component)
        slot = self.builder.slot_of(spots[0][0])
        return thaw_task(self.lot, spots, slot, self.request.thawed_minutes)

    def _check(
        self, own: Sequence[Spot], others: Sequence[Spot], chain: Chain, instead: Sequence[float]
    ) -> OperatorTask:
        """Told by wells and tubes: closed vessels are still in the incubator, and are named when they are taken out."""
        return check_task(
            self.step,
            self.lot,
            [(_place(spot), volume) for spot, volume in zip(own, chain.volumes_ul, strict=True)],
            [(_place(spot), volume) for spot, volume in zip(others, instead, strict=True)],
            is_diluted=bool(chain.dilutions),
            carrier=carrier_name(self.instead, self.base),
            plate=self.request.plate_barcode if self.tubes is None else "",
        )

    def _end(self, spots: Sequence[Spot]) -> None:
        if self.tubes is not None:
            feedings = [one.as_feeding() for one in (*self.vessels, *self.controls)]
            # what was thawed is not stored again, so the tubes never wait in the fridge
            for task in self.tubes.tasks.tasks(feedings, spots, float("inf")):
                self.builder.pause(task)
        self._pause(closing_task(self.stage, self.step, self.request.plate_barcode if self.tubes is None else ""))

    # -- what is promised ---------------------------------------------------------------------------------------

    def _targets(self, spots: Sequence[Spot], amounts: Sequence[float], chain: Chain) -> Iterator[Target]:
        for vessel, spot, amount, added in zip(self.vessels, spots, amounts, chain.volumes_ul, strict=True):
            yield self._target(spot, (self._held(vessel) + amount) / self._end_ul(vessel, added))

    def _without(self, spots: Sequence[Spot], instead: Sequence[float]) -> Iterator[Target]:
        """Controls shall hold none of it, or no more than they held."""
        for vessel, spot, added in zip(self.controls, spots, instead, strict=True):
            yield self._target(spot, self._held(vessel) / self._end_ul(vessel, added))

    def _target(self, spot: Spot, per_ul: float) -> Target:
        return Target(
            labware=spot[0], well=spot[1], component=self.component, per_ul=per_ul, tolerance_percent=TOLERANCE_PERCENT
        )

    def _held(self, vessel: AdditionVessel) -> float:
        return 0.0 if self.tubes is not None else vessel.per_ul.get(self.component, 0.0) * vessel.volume_ul

    def _end_ul(self, vessel: AdditionVessel, added: float) -> float:
        return vessel.volume_ul + added if self.tubes is None else self.tubes.fill_ul(vessel.vessel)

    def _notes(self, chain: Chain) -> Iterator[str]:
        if chain.dilutions:
            yield f"{self.component} is pre-diluted {chain.words} in {carrier_name(self.carrier, self.base)}."
            yield from carrier_notes([self.component], self.lots, self.base)
        if self.controls and self.instead != self.lot.carrier:
            suspended = (
                "is not told" if self.lot.carrier in {NO_CARRIER, BASE} else f"is {self.lot.carrier}, not at hand"
            )
            taken = carrier_name(self.instead, self.base)
            yield f"What {self.component} is suspended in {suspended}; controls get {taken} instead."
        yield from around_notes(self.stage, self.step)


def _place(spot: Spot) -> str:
    """`A1` of the culture plate, `tube A1`."""
    return spot[1] if spot[0] == CULTURE else f"tube {spot[1]}"


def _words(vessel: AdditionVessel) -> str:
    return f"{vessel.vessel} ({vessel.arm}/{vessel.donor})"
