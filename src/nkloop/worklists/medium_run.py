"""One robot run of media: vessels, stocks, pre-dilutions and cocktails laid out on a builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nkloop.errors import PlanError
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount, Kind
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.recipes.models import Ingredient
from nkloop.worklists.accuracy import volume_error
from nkloop.worklists.base_supplies import BaseSupplies
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import DeckFullError, Spot, Supply, WorklistBuilder
from nkloop.worklists.carriers import BASE, carrier_of
from nkloop.worklists.chain_cost import CostModel, CostWeights, Prices
from nkloop.worklists.chains import Cocktail
from nkloop.worklists.cocktails import Dose, DosePlanner, Doses
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.medium_vessels import MediumVessel
from nkloop.worklists.models import Liquid, OperatorTask, Target, Worklist
from nkloop.worklists.stock_deck import StockDeck
from nkloop.worklists.strength import stock_liquid, stock_per_ul, stock_words

TOLERANCE_PERCENT = 5.0
LARGEST_DOSE = 0.1
"""Most a dissolved component may take of a vessel; more would dilute the base."""
RIM_UL = 100.0
"""Smallest volume dropped from the rim, so that one tip serves all vessels."""


@dataclass(frozen=True)
class MediumRun:
    """A finished run: its worklist, where each medium stands, and how its components got there."""

    worklist: Worklist
    vessels: tuple[tuple[MediumVessel, Spot], ...]
    doses: Doses


def dose_planner(deck: BenchDeck, catalogue: LabwareLookup, limits: ErrorLimits) -> DosePlanner:
    """The search for chains on this bench, with what the base medium may be off taken from the limits.

    Raises:
        PlanError: the bench has no pipette with one channel.
    """
    smallest = deck.smallest_volume_ul(1)
    if smallest is None:
        raise PlanError(
            "the bench has no pipette with 1 channel", where="bench", remedy="mount one, or choose another bench"
        )
    of_base = max(100 * volume_error(one, one.max_volume_ul / 2).systematic for one in deck.pipettes)
    tube = catalogue[StockDeck.TUBES]
    left = ErrorLimits(cv_percent=limits.cv_percent, bias_percent=max(limits.bias_percent - of_base, 0.01))
    return DosePlanner(smallest, tube.working_volume_ul, tube.dead_volume_ul, left)


class RunLayout:
    """Lays vessels out on one deck."""

    def __init__(
        self,
        builder: WorklistBuilder,
        vessels: Sequence[MediumVessel],
        lots: Mapping[str, Lot],
        planner: DosePlanner,
        weights: CostWeights,
    ) -> None:
        self.builder, self.vessels, self.lots, self.planner = builder, vessels, lots, planner
        self.weights = weights
        self.base_name = vessels[0].medium.base.component
        self._carriers: dict[str, Supply] = {}

    def lay_out(self, revision: str) -> MediumRun:
        """Plan the run.

        Raises:
            PlanError: a component cannot be dosed, or the additives leave no room for the base.
            DeckFullError: the deck cannot hold all of it.
        """
        builder = self.builder
        spots = self._place()
        doses = self.planner.plan([self._dose(i) for i in self.ingredients])
        base_ul = [self._base_ul(index, doses) for index in range(len(self.vessels))]
        own, others = self._diluents(doses)
        base = BaseSupplies(builder, self._base_liquid(), sum(base_ul) + own)
        stocks = StockDeck(builder, self.base_name)
        for name, volume in others.items():
            self._carriers[name] = stocks.carrier(self._carrier_liquid(name), volume)
        for ingredient in self.ingredients:
            liquid = stock_liquid(self.lots[ingredient.component], ingredient.amount, self.base_name)
            stocks.add(liquid, doses.chains[ingredient.component], self._carrier_of(ingredient.component))
        for cocktail in doses.cocktails:
            stocks.add_cocktail(cocktail, self._carrier_of(cocktail.components[0]))
        for spot, volume in zip(spots, base_ul, strict=True):
            base.pour(spot, volume)
        stocks.prepare(base.last)
        self._add_all(stocks, doses, spots)
        self._mix(spots)
        self._store(spots)
        worklist = builder.build(targets=list(self._targets(spots)), recipe_revision=revision)
        return MediumRun(worklist, tuple(zip(self.vessels, spots, strict=True)), doses)

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """Every additive of any vessel once, in the order they are added."""
        found: dict[str, Ingredient] = {}
        for vessel in self.vessels:
            found |= {i.component: i for i in vessel.additives if i.component not in found}
        longest = max(self.vessels, key=lambda vessel: len(vessel.additives))
        rank = {i.component: n for n, i in enumerate(longest.additives)}
        return tuple(sorted(found.values(), key=lambda i: rank.get(i.component, len(rank))))

    def _place(self) -> list[Spot]:
        spots = []
        for index, vessel in enumerate(self.vessels):
            nickname = "medium" if index == 0 else f"medium_{index + 1}"
            label = f"Finished medium {vessel.order.stage_id} ({vessel.label})"
            self.builder.place(nickname, vessel.load_name, label, barcode=vessel.barcode)
            spots.append((nickname, "A1"))
        return spots

    def _dose(self, ingredient: Ingredient) -> Dose:
        component, lot = ingredient.component, self.lots[ingredient.component]
        fraction = ingredient.amount.kind is Kind.FRACTION
        return Dose(
            component=component,
            stock_per_ul=stock_per_ul(lot, ingredient.amount),
            amounts=tuple(self._amount(vessel, component) for vessel in self.vessels),
            limits_ul=tuple(vessel.total_ul * (1.0 if fraction else LARGEST_DOSE) for vessel in self.vessels),
            cost=self._cost(lot),
            diluent=carrier_of(lot, self.lots),
            may_share=not fraction,
            stock=stock_words(lot),
        )

    @staticmethod
    def _amount(vessel: MediumVessel, component: str) -> float:
        wanted = next((i.amount for i in vessel.additives if i.component == component), None)
        return 0.0 if wanted is None else wanted.of(component).canonical * vessel.total_ul

    def _cost(self, lot: Lot) -> CostModel:
        diluent = carrier_of(lot, self.lots)
        carrier = self.lots[self.base_name if diluent == BASE else diluent]
        return CostModel(self.builder.deck, Prices.of(lot, carrier), self.weights)

    def _base_ul(self, index: int, doses: Doses) -> float:
        vessel = self.vessels[index]
        volume = round(vessel.total_ul - doses.volumes_into(index), 2)
        if volume < self.builder.minimum_ul():
            raise PlanError(
                f"additives alone make {vessel.total_ul - volume:g} of {vessel.total_ul:g} µL",
                where=self.builder.name,
                remedy="use stronger stocks",
            )
        return volume

    def _diluents(self, doses: Doses) -> tuple[float, dict[str, float]]:
        """Base medium and other carriers that dilutions take."""
        needs: dict[str, float] = {}
        for component, chain in doses.chains.items():
            name = carrier_of(self.lots[component], self.lots)
            needs[name] = needs.get(name, 0.0) + sum(step.diluent_ul for step in chain.dilutions)
        for cocktail in doses.cocktails:
            name = carrier_of(self.lots[cocktail.components[0]], self.lots)
            needs[name] = needs.get(name, 0.0) + cocktail.diluent_ul
        own = needs.pop(BASE, 0.0)
        return own, {name: volume for name, volume in needs.items() if volume > 0}

    def _base_liquid(self) -> Liquid:
        return stock_liquid(self.lots[self.base_name], self.vessels[0].medium.base.amount, self.base_name)

    def _carrier_liquid(self, name: str) -> Liquid:
        return stock_liquid(self.lots[name], Amount(100, "% v/v"), self.base_name)

    def _carrier_of(self, component: str) -> Supply | None:
        return self._carriers.get(carrier_of(self.lots[component], self.lots))

    def _add_all(self, stocks: StockDeck, doses: Doses, spots: Sequence[Spot]) -> None:
        """In the order of the ingredients; a cocktail comes where the first of its members would."""
        given: list[Cocktail] = []
        for ingredient in self.ingredients:
            component = ingredient.component
            cocktail = next((one for one in doses.cocktails if component in one.components), None)
            if cocktail is None:
                for source, volumes in stocks.give(component):
                    self._add(source, volumes, spots, f"add {component}")
            elif cocktail not in given:
                given.append(cocktail)
                text = f"add the cocktail of {', '.join(cocktail.components)}"
                self._add(stocks.cocktail_tube(cocktail), cocktail.volumes_ul, spots, text)

    def _add(self, source: Spot | Supply, volumes: Sequence[float], spots: Sequence[Spot], text: str) -> None:
        """Bulk volumes drop from the rim with one tip; small ones are rinsed out into the medium with a new tip."""
        at_rim = all(volume >= RIM_UL for volume in volumes if volume > 0)
        largest, is_first = max(volumes), True
        for spot, volume in zip(spots, volumes, strict=True):
            if volume <= 0:
                continue
            if at_rim:
                tip = min(largest, self.builder.pipette(1).max_volume_ul)
                self.builder.transfer(source, spot, volume, fresh=is_first, tip_ul=tip, at_rim=True, comment=text)
                is_first = False
            else:
                self.builder.transfer(source, spot, volume, each_fresh=True, mix_after=2, comment=text)

    def _mix(self, spots: Sequence[Spot]) -> None:
        for vessel, spot in zip(self.vessels, spots, strict=True):
            eight = self.builder.kind(spot[0]).kind == "trough" and self.builder.deck.pipette(8) is not None
            times = vessel.medium.mixing.times
            self.builder.mix(spot, times, channels=8 if eight else 1, comment="mix the finished medium")

    def _store(self, spots: Sequence[Spot]) -> None:
        """Finished media go where the recipe keeps them."""
        kept: dict[float, list[Spot]] = {}
        for vessel, spot in zip(self.vessels, spots, strict=True):
            kept.setdefault(vessel.medium.storage_temperature, []).append(spot)
        barcodes = dict(zip(spots, (vessel.barcode for vessel in self.vessels), strict=True))
        for celsius, stored in kept.items():
            named = ", ".join(barcodes[spot] for spot in stored)
            level = "the level of each" if len(stored) > 1 else "its level"
            told = f"Close and label {named}, check {level}, and put away at {celsius:g} °C."
            labware = tuple(spot[0] for spot in stored)
            self.builder.pause(OperatorTask(kind="store", instruction=told, labware=labware, temperature_c=celsius))

    def _targets(self, spots: Sequence[Spot]) -> list[Target]:
        return [
            Target(
                labware=spot[0],
                well=spot[1],
                component=i.component,
                per_ul=i.amount.of(i.component).canonical,
                tolerance_percent=TOLERANCE_PERCENT,
            )
            for vessel, spot in zip(self.vessels, spots, strict=True)
            for i in vessel.additives
        ]


__all__ = ["DeckFullError", "MediumRun", "RunLayout", "dose_planner"]
