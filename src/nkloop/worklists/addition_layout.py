"""One robot run of an addition: the stock and its dilutions, the second person's check, then every vessel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nkloop.errors import PlanError
from nkloop.inventory.models import Lot
from nkloop.labware.bags import DoseTube
from nkloop.quantities import Amount
from nkloop.recipes.models import ProcessStep
from nkloop.worklists.addition_plans import AdditionRequest, AdditionVessel
from nkloop.worklists.bag_tasks import WELD_MINUTES
from nkloop.worklists.builder import Spot, WorklistBuilder
from nkloop.worklists.carriers import BASE, carrier_name, carrier_notes, carrier_of
from nkloop.worklists.chain_cost import CostModel, Prices
from nkloop.worklists.chains import Chain
from nkloop.worklists.dilution import plan_chain
from nkloop.worklists.dose_tubes import DOSES
from nkloop.worklists.dosing_event import CELL_FLOW, CULTURE, TOLERANCE_PERCENT
from nkloop.worklists.models import Liquid, OperatorTask, Target, Worklist
from nkloop.worklists.stock_deck import StockDeck

MOST_ADDED = 0.2
"""Share of a culture's volume that may be added to it without a change of medium. Unverified."""
CHECK_MINUTES = 2.0
_CELL_TIP_UL = 1000.0


@dataclass(frozen=True)
class Laid:
    """A finished run."""

    worklist: Worklist
    vessels: tuple[AdditionVessel, ...]
    spots: tuple[Spot, ...]
    """Well or tube of each vessel, in the order of `vessels`."""
    chain: Chain
    notes: tuple[str, ...]


def lay_out(
    builder: WorklistBuilder,
    request: AdditionRequest,
    step: ProcessStep,
    vessels: Sequence[AdditionVessel],
    amounts: tuple[tuple[float, ...], float],
    lots: Mapping[str, Lot],
    *,
    base: str,
    tube: DoseTube | None,
    fill_ul: float,
    delivered_ul: float,
) -> Laid:
    """Write the run of some vessels.

    Args:
        builder: empty.
        request: what is asked for.
        step: the process step.
        vessels: that get the component.
        amounts: what each gets, and how much is in a µL of the lot.
        lots: of the component, the base medium and what stocks are diluted in.
        base: name of the base medium.
        tube: kind of tube for bags; None for the wells of a plate.
        fill_ul: volume of a tube.
        delivered_ul: what of it reaches the bag.

    Raises:
        PlanError: the volume cannot be pipetted or is too much for a vessel.
        DeckFullError: a smaller run may fit.
    """
    layout = _Layout(builder, request, step, tuple(vessels), lots, base, tube, fill_ul, delivered_ul)
    return layout.plan(*amounts)


class _Layout:
    def __init__(
        self,
        builder: WorklistBuilder,
        request: AdditionRequest,
        step: ProcessStep,
        vessels: tuple[AdditionVessel, ...],
        lots: Mapping[str, Lot],
        base: str,
        tube: DoseTube | None,
        fill_ul: float,
        delivered_ul: float,
    ) -> None:
        self.builder, self.request, self.step, self.vessels, self.lots = builder, request, step, vessels, lots
        self.base, self.tube, self.fill_ul, self.delivered_ul = base, tube, fill_ul, delivered_ul
        self.component = step.component or ""
        self.lot = lots[self.component]

    def plan(self, amounts: Sequence[float], strength: float) -> Laid:
        """Place everything and write all steps."""
        spots = self._place()
        chain = self._chain(amounts, strength)
        stocks = StockDeck(self.builder, self.base)
        carrier = carrier_of(self.lot, self.lots)
        diluent = carrier_name(carrier, self.base)
        diluted_ul = sum(one.diluent_ul for one in chain.dilutions)
        poured_ul = sum(self.fill_ul - volume for volume in chain.volumes_ul) if self.tube is not None else 0.0
        base_ul = poured_ul + (diluted_ul if carrier == BASE else 0.0)
        base = stocks.carrier(self._liquid(self.base), base_ul) if base_ul > 0 else None
        own = stocks.carrier(self._liquid(carrier), diluted_ul) if diluted_ul and carrier != BASE else base
        stocks.add(self._stock(strength), chain, own)
        if self.tube is not None and base is not None:
            for number, (spot, volume) in enumerate(zip(spots, chain.volumes_ul, strict=True)):
                text = f"{self.base} for {self.vessels[number].vessel}"
                left = self.fill_ul - volume
                self.builder.transfer(base, spot, left, fresh=number == 0, tip_ul=_CELL_TIP_UL, comment=text)
        if own is not None:
            stocks.prepare(own)
        self.builder.pause(self._check(chain))
        source, volumes = stocks.give(self.component)
        for vessel, spot, volume in zip(self.vessels, spots, volumes, strict=True):
            text = f"{self.component} for {vessel.vessel} ({vessel.arm}/{vessel.donor})"
            flow = 1.0 if self.tube is not None else CELL_FLOW
            self.builder.transfer(source, spot, volume, each_fresh=True, mix_after=3, flow=flow, comment=text)
        self._end(spots)
        worklist = self.builder.build(
            targets=list(self._targets(spots, amounts, chain)),
            recipe_revision=self.request.recipe.revision_id,
            seed=self.request.seed,
        )
        return Laid(worklist, self.vessels, tuple(spots), chain, tuple(self._notes(chain, diluent)))

    def _place(self) -> list[Spot]:
        if self.tube is not None:
            kind = self.builder.place(DOSES, self.tube.rack, f"{self.tube.title} (empty)")
            return [(DOSES, well) for _, well in zip(self.vessels, kind.wells, strict=False)]
        request = self.request
        self.builder.place(CULTURE, request.plate_load_name, "Culture plate", barcode=request.plate_barcode)
        for one in request.vessels:
            liquid = Liquid(name=f"culture {one.arm}/{one.donor}", per_ul=one.per_ul)
            self.builder.fill((CULTURE, one.vessel), one.volume_ul, liquid)
        return [(CULTURE, one.vessel) for one in self.vessels]

    def _chain(self, amounts: Sequence[float], strength: float) -> Chain:
        if self.tube is not None:
            limits = [0.9 * self.fill_ul for _ in self.vessels]
        else:
            most = self.builder.kind(CULTURE).working_volume_ul
            limits = [min(MOST_ADDED * one.volume_ul, most - one.volume_ul) for one in self.vessels]
        for one, amount, limit in zip(self.vessels, amounts, limits, strict=True):
            if amount / strength > limit + 1e-6:
                raise PlanError(
                    f"{amount / strength:.4g} µL of lot {self.lot.id} ({self.lot.concentration}) would go into "
                    f"{one.vessel}, at most {max(0.0, limit):.4g} µL may",
                    where=f"{self.request.name}, step {self.step.id}",
                    remedy="use a lot of a higher titre, take fewer cells, or remove medium first",
                )
        tube = self.builder.type_of(StockDeck.TUBES)
        eur = self.lot.cost_eur(1.0)
        return plan_chain(
            self.component,
            strength,
            amounts,
            minimum_ul=self.builder.minimum_ul(),
            tube_ul=tube.working_volume_ul,
            dead_ul=tube.dead_volume_ul,
            limits_ul=limits,
            cost=CostModel(self.builder.deck, Prices() if eur is None else Prices(stock=eur)),
            errors=self.request.errors_allowed,
        )

    def _stock(self, strength: float) -> Liquid:
        per_ul = {self.component: strength}
        if self.step.amount is not None and self.lot.carrier not in {"none", BASE}:
            per_ul[self.lot.carrier] = 1.0
        return Liquid(name=self.component, per_ul=per_ul, lot=self.lot.id)

    def _liquid(self, name: str) -> Liquid:
        return Liquid(name=name, per_ul={name: 1.0}, lot=self.lots[name].id)

    def _check(self, chain: Chain) -> OperatorTask:
        volumes = ", ".join(f"{v.vessel} {u:g} µL" for v, u in zip(self.vessels, chain.volumes_ul, strict=True))
        what = f"the last dilution of {self.component}" if chain.dilutions else self.component
        who = "A second person checks" if self.step.second_person else "Check"
        told = f"{who} lot {self.lot.id} ({self.lot.concentration}) and the volumes of {what}: {volumes}."
        labware: tuple[str, ...] = ()
        if self.tube is None:
            told += (
                f" Then take culture plate {self.request.plate_barcode} out of the incubator and set it on the deck."
            )
            labware = (CULTURE,)
        return OperatorTask(kind="confirm", instruction=told, labware=labware, minutes=CHECK_MINUTES)

    def _end(self, spots: Sequence[Spot]) -> None:
        for vessel, spot in zip(self.vessels, spots, strict=True) if self.tube is not None else ():
            told = (
                f"Cap and label the tube in {spot[0]} {spot[1]}, check its label against bag {vessel.vessel} "
                f"({vessel.arm}/{vessel.donor}), weld it on, run in all that comes "
                f"({self.delivered_ul / 1000:.4g} mL), mix the bag gently, seal the line."
            )
            self.builder.pause(OperatorTask(kind="weld", instruction=told, labware=(DOSES,), minutes=WELD_MINUTES))

    def _targets(self, spots: Sequence[Spot], amounts: Sequence[float], chain: Chain) -> Iterator[Target]:
        for vessel, spot, amount, added in zip(self.vessels, spots, amounts, chain.volumes_ul, strict=True):
            held = 0.0 if self.tube is not None else vessel.per_ul.get(self.component, 0.0) * vessel.volume_ul
            volume = self.fill_ul if self.tube is not None else vessel.volume_ul + added
            yield Target(
                labware=spot[0],
                well=spot[1],
                component=self.component,
                per_ul=(held + amount) / volume,
                tolerance_percent=TOLERANCE_PERCENT,
            )

    def _notes(self, chain: Chain, diluent: str) -> Iterator[str]:
        if chain.dilutions:
            yield f"{self.component} is pre-diluted {chain.words} in {diluent}."
            yield from carrier_notes([self.component], self.lots, self.base)
        same_day = [one for one in self.request.recipe.stage(self.request.stage_id).process if one.day == self.step.day]
        at = same_day.index(self.step)
        for word, steps in (("Before", same_day[:at]), ("Afterwards", same_day[at + 1 :])):
            for one in steps:
                yield f"{word}: {one.title.lower()}. {one.instruction}{_how(one)}"


def _how(step: ProcessStep) -> str:
    told = [
        *([str(step.duration)] if step.duration is not None else []),
        *([f"{step.temperature:g} °C"] if step.temperature is not None else []),
        *([f"{step.force_g:g} g"] if step.force_g is not None else []),
        *([f"{step.component} {step.amount}"] if step.kind == "coat" and isinstance(step.amount, Amount) else []),
    ]
    return f" ({', '.join(told)})" if told else ""
