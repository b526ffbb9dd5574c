"""The liquids arms are fed with: which are needed, and making them out of base medium and cytokines.

One tip carries one cytokine, or a cocktail of those that many arms share, to all tubes, because it drops from the rim
and touches nothing; each tube is then mixed with a tip of its own, which also feeds the first wells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nkloop.errors import PlanError
from nkloop.inventory.models import Lot
from nkloop.labware.models import LabwareType
from nkloop.quantities import Amount
from nkloop.recipes.models import ErrorLimits, Ingredient
from nkloop.worklists.accuracy import volume_error
from nkloop.worklists.arm_doses import RIM_UL, ArmDosePlanner, ArmDoses
from nkloop.worklists.builder import DeckFullError, Spot, Supply, WorklistBuilder, round_up
from nkloop.worklists.carriers import BASE, carrier_name, carrier_notes, carrier_of
from nkloop.worklists.chain_cost import CostModel, Prices
from nkloop.worklists.cocktails import Dose
from nkloop.worklists.column_parts import column_parts
from nkloop.worklists.models import Liquid
from nkloop.worklists.stock_deck import StockDeck
from nkloop.worklists.strength import stock_liquid, stock_per_ul, stock_words

DEEP_WELLS = "nest_96_wellplate_2ml_deep"
TUBES_15 = "opentrons_15_tuberack_nest_15ml_conical"
TUBES_50 = "opentrons_6_tuberack_nest_50ml_conical"
PREPARED = "the prepared base medium"
"""What mixtures and their dilutions are made with: it holds all that is not varied, not the base liquid alone."""
OVERAGE = 0.15
"""Share of arm medium made in addition to what the wells take."""
SMALL_OVERAGE = 0.04
"""The same in deep wells, whose dead volume is small."""
SMALLEST_MIXTURE_UL = 300.0
"""A smaller mixture leaves no room for doses that differ between arms and can still be pipetted."""
_MOST_DOSED = 0.9
"""Share of a mixture that its doses may take together; they are dilutions in base medium."""
MOST_CARRIER = 0.02
"""The same for doses diluted in another liquid, which thins what the base medium brings. Unverified."""
_WORTH_UL = 100.0
"""Least volume in common that is worth eight tips."""
_CHANNELS = 8
_LARGE_TIP_UL = 1000.0


class BaseShortError(PlanError):
    """The vessel of base medium holds less than the arms take."""


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
        *,
        errors: ErrorLimits | None = None,
        may_share: bool = True,
        carrier_share: float = MOST_CARRIER,
    ) -> None:
        """Lay nothing out yet.

        Args:
            builder: where steps go.
            base: base medium; must be placed and filled.
            base_name: its name as a component.
            ingredients: what mixtures add to it, in their order.
            lots: of every ingredient, and of the liquids they are diluted in.
            errors: largest predicted error of a dose; the cheapest chains whatever their error when None.
            may_share: False when every component is dosed by itself.
            carrier_share: most of a mixture that doses diluted in another liquid than the base may take together.
        """
        self.builder, self.base, self.base_name = builder, base, base_name
        self.ingredients, self.lots = tuple(ingredients), lots
        self.errors, self.may_share, self.carrier_share = errors, may_share, carrier_share
        self.made: list[Made] = []
        self.doses = ArmDoses({})

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

    def place_in(self, mixtures: Sequence[Mixture], wells: Sequence[str], nickname: str, label: str = "") -> None:
        """Give every mixture a certain deep well.

        Args:
            mixtures: in the order of the wells.
            wells: one for each.
            nickname: of the deep-well plate.
            label: what a person reads on it; empty when it stands there.

        Raises:
            DeckFullError: a deep well does not take its mixture, or no slot is left for the plate.
        """
        load_name, totals = self._kind(mixtures, (DEEP_WELLS,), SMALL_OVERAGE)
        if label:
            self.builder.place(nickname, load_name, label)
        self.made += [
            Made(mixture, (nickname, well), total) for mixture, well, total in zip(mixtures, wells, totals, strict=True)
        ]

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
        self.doses = self._planned()
        stocks = StockDeck(self.builder, self.base_name)
        carriers = {name: stocks.carrier(self._carrier_liquid(name), ul) for name, ul in self._diluents().items()}
        for ingredient in self.ingredients:
            if ingredient.component in self.doses.chains:
                lot = self.lots[ingredient.component]
                liquid = stock_liquid(lot, ingredient.amount, self.base_name)
                carrier = carriers.get(self._carrier(lot))
                stocks.add(liquid, self.doses.chains[ingredient.component], carrier)
        for cocktail in self.doses.cocktails:
            stocks.add_cocktail(cocktail, carriers.get(self._carrier(self.lots[cocktail.components[0]])))
        self._pour(available_ul, barcode)
        stocks.prepare(self.base)
        for component in self.doses.chains:
            self._dose(stocks, component)
        for cocktail in self.doses.cocktails:
            name = f"cocktail of {', '.join(cocktail.components)}"
            self._dose_all(stocks.cocktail_tube(cocktail), cocktail.volumes_ul, name)

    def notes(self) -> Iterator[str]:
        """How the components get into the mixtures, one sentence each."""
        for cocktail in self.doses.cocktails:
            served = sum(1 for volume in cocktail.volumes_ul if volume > 0)
            yield (
                f"{', '.join(cocktail.components)} are mixed once, as {cocktail.total_ul:g} µL of cocktail, and dosed "
                f"together to {served} of {len(self.made)} tubes."
            )
        for component, chain in self.doses.chains.items():
            if chain.dilutions:
                carrier = self._carrier(self.lots[component])
                drawn = chain.drawn_words
                told = f"{component} is pre-diluted {chain.words} in {carrier_name(carrier, PREPARED)}"
                yield f"{told}; {drawn}." if drawn else f"{told}."
        diluted = [component for component, chain in self.doses.chains.items() if chain.dilutions]
        yield from carrier_notes(diluted, self.lots, PREPARED)
        if self._is_too_small:
            yield (
                f"The mixtures are too small for doses in a carrier, which may take {100 * self.carrier_share:g} % of "
                f"one: {PREPARED} is taken instead."
            )

    def _planned(self) -> ArmDoses:
        tube = self.builder.type_of(StockDeck.TUBES)
        planner = ArmDosePlanner(
            tuple(one.volume_ul for one in self.made),
            self.builder.minimum_ul(),
            tube.working_volume_ul,
            tube.dead_volume_ul,
            self._errors_left(),
        )
        return planner.plan([self._needed(one) for one in self.ingredients], may_share=self.may_share)

    def _carrier(self, lot: Lot) -> str:
        """What a lot is diluted in: its own carrier where it is at hand and the mixtures are large enough for it."""
        return BASE if self._is_too_small else carrier_of(lot, self.lots)

    @property
    def _is_too_small(self) -> bool:
        """Whether the share a carrier may take of the smallest mixture cannot be pipetted."""
        number = sum(1 for i in self.ingredients if carrier_of(self.lots[i.component], self.lots) != BASE)
        smallest = min((one.volume_ul for one in self.made), default=0.0)
        return number > 0 and self.carrier_share * smallest / number < self.builder.minimum_ul()

    def _errors_left(self) -> ErrorLimits | None:
        """The limits with what the base medium of a tube may be off taken from them."""
        if self.errors is None:
            return None
        pipettes = self.builder.deck.pipettes
        of_base = max(100 * volume_error(one, one.max_volume_ul / 2).systematic for one in pipettes)
        return self.errors.model_copy(update={"bias_percent": max(self.errors.bias_percent - of_base, 0.01)})

    def overfull(self) -> Iterator[tuple[Made, str, float, float]]:
        """Mixtures that cannot take a component even undiluted: with it, what they need and what may be of it in µL."""
        for dose in (self._needed(ingredient) for ingredient in self.ingredients):
            for made, amount, most_ul in zip(self.made, dose.amounts, dose.limits_ul, strict=True):
                stock_ul = amount / dose.stock_per_ul
                if stock_ul > most_ul:
                    yield made, dose.component, stock_ul, most_ul

    def _needed(self, ingredient: Ingredient) -> Dose:
        component, lot = ingredient.component, self.lots[ingredient.component]
        carrier = self._carrier(lot)
        alike = [i for i in self.ingredients if (self._carrier(self.lots[i.component]) == BASE) == (carrier == BASE)]
        most = (_MOST_DOSED if carrier == BASE else self.carrier_share) / len(alike)
        return Dose(
            component=component,
            stock_per_ul=stock_per_ul(lot, ingredient.amount),
            amounts=tuple(one.mixture.per_ul.get(component, 0.0) * one.volume_ul for one in self.made),
            limits_ul=tuple(most * one.volume_ul for one in self.made),
            cost=self._cost(lot),
            diluent=carrier,
            stock=stock_words(lot),
        )

    def _cost(self, lot: Lot) -> CostModel:
        """Prices of the lot; the accuracy of the pipettes counts only when the errors are limited."""
        return CostModel(self.builder.deck if self.errors else None, Prices.of(lot), rim_ul=RIM_UL)

    def _diluents(self) -> dict[str, float]:
        """µL of each liquid other than the base that the dilutions take."""
        needs: dict[str, float] = {}
        for component, chain in self.doses.chains.items():
            name = self._carrier(self.lots[component])
            needs[name] = needs.get(name, 0.0) + sum(step.diluent_ul for step in chain.dilutions)
        for cocktail in self.doses.cocktails:
            name = self._carrier(self.lots[cocktail.components[0]])
            needs[name] = needs.get(name, 0.0) + cocktail.diluent_ul
        return {name: volume for name, volume in needs.items() if name != BASE and volume > 0}

    def _base_diluent_ul(self) -> float:
        own = [c for name, c in self.doses.chains.items() if self._carrier(self.lots[name]) == BASE]
        shared = [c for c in self.doses.cocktails if self._carrier(self.lots[c.components[0]]) == BASE]
        return sum(d.diluent_ul for chain in own for d in chain.dilutions) + sum(one.diluent_ul for one in shared)

    def _carrier_liquid(self, name: str) -> Liquid:
        return stock_liquid(self.lots[name], Amount(100, "% v/v"), self.base_name)

    def _pour(self, available_ul: float, barcode: str) -> None:
        """Base into all tubes with one tip: they are empty, so it touches nothing else."""
        volumes = [one.volume_ul - self.doses.into(index) for index, one in enumerate(self.made)]
        needed = sum(volumes) + self._base_diluent_ul()
        dead = self.builder.kind(self.base[0]).dead_volume_ul
        if needed + dead > available_ul:
            raise BaseShortError(
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
        """What neighbours in a column have in common, with as many channels out of a trough; returns what lacks."""
        left = list(volumes)
        at = {one.spot: index for index, one in enumerate(self.made)}
        if self.builder.kind(self.base[0]).kind != "trough":
            return left
        held = 0
        for spot, channels in self._parts():
            column = [(spot[0], well) for well in self.builder.kind(spot[0]).reached(spot[1], channels)]
            least = self.builder.minimum_ul()
            common = math.floor(min(volumes[at[one]] for one in column) - least)
            if common < _WORTH_UL or not self.builder.reaches([self.base, spot], channels, common):
                continue
            comment = f"base medium for {'column ' + spot[1][1:] if channels == _CHANNELS else _span(column)}"
            tip_ul, fresh = min(_LARGE_TIP_UL, common), channels != held
            self.builder.transfer(
                self.base, spot, common, channels=channels, fresh=fresh, tip_ul=tip_ul, comment=comment
            )
            held = channels
            for one in column:
                left[at[one]] -= common
        return left

    def _parts(self) -> Iterator[tuple[Spot, int]]:
        """Neighbours in a column of each rack, whole columns first so that their tips serve all of them."""
        names: dict[str, set[str]] = {}
        for one in self.made:
            names.setdefault(one.spot[0], set()).add(one.spot[1])
        parts = [
            ((rack, well), channels)
            for rack, wells in names.items()
            for well, channels in column_parts(self.builder.kind(rack), wells)
        ]
        yield from sorted((part for part in parts if part[1] > 1), key=lambda part: -part[1])

    def _dose(self, stocks: StockDeck, component: str) -> None:
        """One component into all tubes with a tip for each of its dilutions, from the rim: it touches no tube.

        A dose too small to drop is given into the liquid, with a new tip and mixed.
        """
        for source, volumes in stocks.give(component):
            self._dose_all(source, volumes[: len(self.made)], component)

    def _dose_all(self, source: Spot | Supply, volumes: Sequence[float], name: str) -> None:
        doses = [(one, volume) for one, volume in zip(self.made, volumes, strict=True) if volume > 0]
        drops = [(one, volume) for one, volume in doses if volume >= RIM_UL]
        tip_ul = min(_LARGE_TIP_UL, max((volume for _, volume in drops), default=0.0))
        for number, (one, volume) in enumerate(drops):
            comment = f"{name} for {one.mixture.name}"
            self.builder.transfer(
                source, one.spot, volume, fresh=number == 0, tip_ul=tip_ul, at_rim=True, comment=comment
            )
        for one, volume in doses:
            if volume < RIM_UL:
                comment = f"{name} for {one.mixture.name}"
                self.builder.transfer(source, one.spot, volume, each_fresh=True, mix_after=2, comment=comment)


def _span(column: Sequence[Spot]) -> str:
    return f"{column[0][1]} to {column[-1][1]}"
