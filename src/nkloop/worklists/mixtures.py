"""The liquids arms are fed with: which are needed, and making them out of base medium and cytokines.

One tip carries one cytokine to all tubes, because it drops from the rim and touches nothing; each tube is then mixed
with a tip of its own, which also feeds the first wells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nkloop.errors import PlanError
from nkloop.inventory.models import Lot
from nkloop.labware.models import LabwareType
from nkloop.recipes.models import Ingredient
from nkloop.worklists.builder import DeckFullError, Spot, WorklistBuilder, round_up
from nkloop.worklists.dilution import Chain, plan_chain
from nkloop.worklists.stock_deck import StockDeck
from nkloop.worklists.strength import stock_liquid, stock_per_ul

DEEP_WELLS = "nest_96_wellplate_2ml_deep"
TUBES_15 = "opentrons_15_tuberack_nest_15ml_conical"
TUBES_50 = "opentrons_6_tuberack_nest_50ml_conical"
OVERAGE = 0.15
"""Share of arm medium made in addition to what the wells take."""
SMALL_OVERAGE = 0.04
"""The same in deep wells, whose dead volume is small."""
RIM_UL = 10.0
"""Smallest dose dropped from the rim: a smaller drop may hang on the tip. Unverified."""
SMALLEST_MIXTURE_UL = 300.0
"""A smaller mixture leaves no room for doses that differ between arms and can still be pipetted."""
_MOST_DOSED = 0.9
"""Share of a mixture that its doses may take together; they are dilutions in base medium."""
_WORTH_UL = 100.0
"""Least volume in common that is worth eight tips."""
_CHANNELS = 8
_LARGE_TIP_UL = 1000.0


@dataclass(frozen=True)
class Mixture:
    """A liquid to make: base medium with some components."""

    name: str
    arm: str
    per_ul: Mapping[str, float]
    """Component to canonical concentration, of the components that are added."""
    volume_ul: float
    """What can be drawn from it, overage left out."""


@dataclass(frozen=True)
class Made:
    """A mixture in its tube."""

    mixture: Mixture
    spot: Spot
    volume_ul: float
    """Everything in the tube, overage and dead volume included."""


class MixtureMaker:
    """Places tubes for mixtures and fills them on a builder."""

    def __init__(
        self,
        builder: WorklistBuilder,
        base: Spot,
        base_name: str,
        ingredients: Sequence[Ingredient],
        lots: Mapping[str, Lot],
    ) -> None:
        """`base` must be placed and filled; `ingredients` are what mixtures add to it, in their order."""
        self.builder, self.base, self.base_name = builder, base, base_name
        self.ingredients, self.lots = tuple(ingredients), lots
        self.made: list[Made] = []

    def place(
        self, mixtures: Sequence[Mixture], *, nickname: str, label: str, kinds: Sequence[str], overage: float = OVERAGE
    ) -> None:
        """Give every mixture a tube, in the smallest kind of tube that takes the largest of them.

        Args:
            mixtures: in the order of the tubes.
            nickname: of the first rack; further ones get `_2`, `_3`.
            label: what a person reads on the rack.
            kinds: load names of racks, the smallest tubes first.
            overage: share made in addition to the volume needed.

        Raises:
            DeckFullError: no kind of tube takes a mixture, or no slot is left for a rack.
        """
        load_name, totals = self._kind(mixtures, kinds, overage)
        rack: LabwareType | None = None
        free: list[str] = []
        racks = 0
        for mixture, total in zip(mixtures, totals, strict=True):
            if rack is None or not free:
                racks += 1
                name = nickname if racks == 1 else f"{nickname}_{racks}"
                rack = self.builder.place(name, load_name, label if racks == 1 else f"{label}, {racks}")
                free = list(rack.wells)
            self.made.append(Made(mixture, (name, free.pop(0)), total))

    def _kind(self, mixtures: Sequence[Mixture], kinds: Sequence[str], overage: float) -> tuple[str, list[float]]:
        for load_name in kinds:
            kind = self.builder.type_of(load_name)
            spare = min(overage, SMALL_OVERAGE) if load_name == DEEP_WELLS else overage
            totals = [
                max(SMALLEST_MIXTURE_UL, round_up(m.volume_ul * (1 + spare) + kind.dead_volume_ul)) for m in mixtures
            ]
            if max(totals) <= kind.working_volume_ul:
                return load_name, totals
        largest = max(range(len(mixtures)), key=lambda n: totals[n])
        raise DeckFullError(
            f"{mixtures[largest].name} needs {totals[largest]:g} µL, a tube holds {kind.working_volume_ul:g} µL",
            where=self.builder.name,
            remedy="feed fewer wells of an arm at once",
        )

    def make(self, available_ul: float, barcode: str) -> None:
        """Base medium, then each component, into all tubes; mixing is left to who draws from them.

        Args:
            available_ul: base medium that stands there.
            barcode: of the base medium, for messages.

        Raises:
            PlanError: the base medium does not suffice, or no dilution serves.
        """
        chains = {i.component: chain for i in self.ingredients if (chain := self._chain(i)).stock_ul > 0}
        stocks = StockDeck(self.builder, self.base_name)
        for ingredient in self.ingredients:
            if ingredient.component in chains:
                lot = self.lots[ingredient.component]
                stocks.add(stock_liquid(lot, ingredient.amount, self.base_name), chains[ingredient.component])
        self._pour(chains, available_ul, barcode)
        stocks.prepare(self.base)
        for component in chains:
            self._dose(stocks, component)

    def _chain(self, ingredient: Ingredient) -> Chain:
        """Doses large enough to be dropped from the rim; where the arms differ too much for that, smaller ones."""
        smallest = self.builder.minimum_ul()
        try:
            return self._chain_from(ingredient, max(RIM_UL, smallest))
        except PlanError:
            if smallest >= RIM_UL:
                raise
        return self._chain_from(ingredient, smallest)

    def _chain_from(self, ingredient: Ingredient, smallest_ul: float) -> Chain:
        tube = self.builder.type_of(StockDeck.TUBES)
        return plan_chain(
            ingredient.component,
            stock_per_ul(self.lots[ingredient.component], ingredient.amount),
            [one.mixture.per_ul.get(ingredient.component, 0.0) * one.volume_ul for one in self.made],
            minimum_ul=smallest_ul,
            tube_ul=tube.working_volume_ul,
            dead_ul=tube.dead_volume_ul,
            limits_ul=[_MOST_DOSED * one.volume_ul / len(self.ingredients) for one in self.made],
        )

    def _pour(self, chains: Mapping[str, Chain], available_ul: float, barcode: str) -> None:
        """Base into all tubes with one tip: they are empty, so it touches nothing else."""
        volumes = [
            one.volume_ul - sum(chain.volumes_ul[index] for chain in chains.values())
            for index, one in enumerate(self.made)
        ]
        needed = sum(volumes) + sum(d.diluent_ul for chain in chains.values() for d in chain.dilutions)
        dead = self.builder.kind(self.base[0]).dead_volume_ul
        if needed + dead > available_ul:
            raise PlanError(
                f"the arms need {needed:g} µL of base medium, {barcode} gives {max(0.0, available_ul - dead):g} µL",
                where=self.builder.name,
                remedy=f"prepare {needed / 1000:.1f} mL or more",
            )
        self._pour_base(volumes)

    def _pour_base(self, volumes: Sequence[float]) -> None:
        left = self._pour_columns(volumes)
        tip_ul = min(_LARGE_TIP_UL, max(left))
        for index, (one, volume) in enumerate(zip(self.made, left, strict=True)):
            comment = f"base medium for {one.mixture.name}"
            self.builder.transfer(self.base, one.spot, volume, fresh=index == 0, tip_ul=tip_ul, comment=comment)

    def _pour_columns(self, volumes: Sequence[float]) -> list[float]:
        """What whole columns have in common, with eight channels out of a trough; returns what is still missing."""
        left = list(volumes)
        at = {one.spot: index for index, one in enumerate(self.made)}
        source = self.builder.kind(self.base[0])
        is_first = True
        for spot in at:
            if not spot[1].startswith("A") or not self.builder.reaches([spot], _CHANNELS) or source.kind != "trough":
                continue
            column = [(spot[0], well) for well in self.builder.kind(spot[0]).reached(spot[1], _CHANNELS)]
            if any(one not in at for one in column):
                continue
            least = self.builder.minimum_ul()
            common = math.floor(min(volumes[at[one]] for one in column) - least)
            if common < _WORTH_UL:
                continue
            comment = f"base medium for column {spot[1][1:]}"
            tip_ul = min(_LARGE_TIP_UL, common)
            self.builder.transfer(
                self.base, spot, common, channels=_CHANNELS, fresh=is_first, tip_ul=tip_ul, comment=comment
            )
            is_first = False
            for one in column:
                left[at[one]] -= common
        return left

    def _dose(self, stocks: StockDeck, component: str) -> None:
        """One component into all tubes with one tip, from the rim: it touches nothing of any tube.

        A dose too small to drop is given into the liquid, with a new tip and mixed.
        """
        source, volumes = stocks.give(component)
        doses = [(one, volume) for one, volume in zip(self.made, volumes, strict=True) if volume > 0]
        drops = [(one, volume) for one, volume in doses if volume >= RIM_UL]
        tip_ul = min(_LARGE_TIP_UL, max((volume for _, volume in drops), default=0.0))
        for number, (one, volume) in enumerate(drops):
            comment = f"{component} for {one.mixture.name}"
            self.builder.transfer(
                source, one.spot, volume, fresh=number == 0, tip_ul=tip_ul, at_rim=True, comment=comment
            )
        for one, volume in doses:
            if volume < RIM_UL:
                comment = f"{component} for {one.mixture.name}"
                self.builder.transfer(source, one.spot, volume, each_fresh=True, mix_after=2, comment=comment)
