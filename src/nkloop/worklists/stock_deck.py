"""Stocks on the cold block, their intermediate dilutions, and adding them by chain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from nkloop.worklists.builder import DeckFullError, Spot, Supply, WorklistBuilder
from nkloop.worklists.chains import Chain, Cocktail
from nkloop.worklists.models import Liquid

BASE_TROUGH = "nest_1_reservoir_195ml"
COLD_BLOCK = "opentrons_24_aluminumblock_nest_1.5ml_snapcap"
COLD_MODULE = "temperatureModuleV2"
BULK_TUBES = "opentrons_6_tuberack_nest_50ml_conical"
COLD_C = 4.0
_MIX_TIP_UL = 1000.0


@dataclass(slots=True)
class _Stock:
    chain: Chain
    supply: Supply
    tubes: list[Spot] = field(default_factory=list)
    diluent: Supply | None = None
    """Liquid to dilute in, when it is not the base."""


@dataclass(slots=True)
class _Cocktail:
    cocktail: Cocktail
    tube: Spot
    diluent: Supply | None


class StockDeck:
    """Places each stock (cold block, or 50 mL tubes when it is too much) and the tubes of its dilutions."""

    TUBES = "opentrons_24_tuberack_nest_1.5ml_snapcap"

    def __init__(self, builder: WorklistBuilder, base: str, *, bulk: str = "Serum and additives (50 mL tubes)") -> None:
        """Start without any labware; racks come when the first stock needs them, large tubes with the label `bulk`."""
        self._bulk = bulk
        self.builder = builder
        self.base = base
        self._stocks: dict[str, _Stock] = {}
        self._cocktails: list[_Cocktail] = []
        self._free: dict[str, list[str]] = {}

    def add(self, liquid: Liquid, chain: Chain, diluent: Supply | None = None, *, in_the_cold: bool = False) -> None:
        """Put a stock on the deck and reserve the tubes of its chain.

        Args:
            liquid: the stock.
            chain: how it is diluted and dosed.
            diluent: what it is diluted in; what `prepare` gets when None.
            in_the_cold: keep it in several tubes of the cold block rather than in one large tube beside it.

        Raises:
            DeckFullError: a rack is full.
        """
        cold = self.builder.type_of(COLD_BLOCK)
        small = chain.stock_ul + cold.dead_volume_ul <= cold.working_volume_ul
        if small or in_the_cold:
            # a tube is left when it cannot give the next volume: at least half of what it can give is drawn
            number = 1 if small else 1 + math.ceil(2 * chain.stock_ul / (cold.working_volume_ul - cold.dead_volume_ul))
            supply = self.builder.supply("stocks", tuple(self._well("stocks") for _ in range(number)), liquid)
        else:
            kind = self.builder.type_of(BULK_TUBES)
            number = 1 + int(chain.stock_ul // (kind.working_volume_ul - kind.dead_volume_ul - 1000))
            supply = self.builder.supply("bulk", tuple(self._well("bulk") for _ in range(number)), liquid)
        tubes = [("dilutions", self._well("dilutions")) for _ in chain.dilutions]
        self._stocks[chain.component] = _Stock(chain, supply, tubes, diluent)

    def carrier(self, liquid: Liquid, volume_ul: float) -> Supply:
        """Put a liquid to dilute in on the deck, in one 50 mL tube.

        Raises:
            DeckFullError: the rack is full.
        """
        kind = self.builder.type_of(BULK_TUBES)
        number = 1 + int(volume_ul // (kind.working_volume_ul - kind.dead_volume_ul))
        return self.builder.supply("bulk", tuple(self._well("bulk") for _ in range(number)), liquid)

    def add_cocktail(self, cocktail: Cocktail, diluent: Supply | None = None) -> None:
        """Reserve the tube of a cocktail whose stocks were added.

        Raises:
            DeckFullError: the rack is full.
        """
        self._cocktails.append(_Cocktail(cocktail, ("dilutions", self._well("dilutions")), diluent))

    def _well(self, rack: str) -> str:
        if rack not in self._free:
            self._free[rack] = list(self._rack(rack))
        if not self._free[rack]:
            raise DeckFullError(
                f"the rack '{rack}' is full", where=self.builder.name, remedy="plan a smaller run or fewer components"
            )
        return self._free[rack].pop(0)

    def _rack(self, rack: str) -> Sequence[str]:
        if rack == "stocks":
            kind = self.builder.place(
                "stocks", COLD_BLOCK, "Stocks, kept cold", module=COLD_MODULE, temperature_c=COLD_C
            )
        elif rack == "bulk":
            kind = self.builder.place("bulk", BULK_TUBES, self._bulk)
        else:
            kind = self.builder.place("dilutions", self.TUBES, "Intermediate dilutions (empty low-bind tubes)")
        return kind.wells

    def prepare(self, diluent: Spot | Supply) -> None:
        """Carrier into all dilution tubes with one tip per carrier, then stock by stock down each chain."""
        held: Spot | Supply | None = None
        for carrier, tube, volume, name in sorted(self._carrier_needs(diluent), key=lambda need: need[0] is diluent):
            text = f"diluent for {name}"
            fresh = carrier is not held
            self.builder.transfer(carrier, tube, volume, fresh=fresh, tip_ul=_MIX_TIP_UL, comment=text)
            held = carrier
        for stock in self._stocks.values():
            self._dilute(stock)
        for made in self._cocktails:
            self._mix_cocktail(made)

    def _carrier_needs(self, base: Spot | Supply) -> list[tuple[Spot | Supply, Spot, float, str]]:
        needs: list[tuple[Spot | Supply, Spot, float, str]] = [
            (stock.diluent or base, tube, dilution.diluent_ul, stock.chain.component)
            for stock in self._stocks.values()
            for tube, dilution in zip(stock.tubes, stock.chain.dilutions, strict=True)
        ]
        needs += [(made.diluent or base, made.tube, made.cocktail.diluent_ul, "cocktail") for made in self._cocktails]
        return needs

    def _dilute(self, stock: _Stock) -> None:
        previous: Spot | Supply = stock.supply
        for tube, dilution in zip(stock.tubes, stock.chain.dilutions, strict=True):
            text = f"{stock.chain.component}: dilute 1:{dilution.factor:g}"
            self.builder.transfer(previous, tube, dilution.take_ul, each_fresh=True, mix_after=3, comment=text)
            self.builder.mix(tube, 10, comment=f"{text}, mix")
            previous = tube

    def _mix_cocktail(self, made: _Cocktail) -> None:
        for component in made.cocktail.components:
            source, volume = next((source, volumes[-1]) for source, volumes in self.give(component) if volumes[-1] > 0)
            text = f"{component} into the cocktail"
            self.builder.transfer(source, made.tube, volume, each_fresh=True, mix_after=2, comment=text)
        self.builder.mix(made.tube, 10, comment="mix the cocktail")

    def cocktail_tube(self, cocktail: Cocktail) -> Spot:
        """Where a cocktail stands."""
        return next(made.tube for made in self._cocktails if made.cocktail is cocktail)

    def stands_in(self, component: str) -> tuple[Spot, ...]:
        """Wells a component's stock may stand in."""
        supply = self._stocks[component].supply
        return tuple((supply.nickname, well) for well in (*supply.opened, *supply.wells))

    def give(self, component: str) -> tuple[tuple[Spot | Supply, tuple[float, ...]], ...]:
        """What a component is drawn from, and from each the volume for each destination, 0 for those it gives nothing.

        One liquid, unless destinations are dosed from several dilutions; then the strongest comes first.
        """
        stock = self._stocks[component]
        liquids: tuple[Spot | Supply, ...] = (stock.supply, *stock.tubes)
        return tuple((liquids[level], stock.chain.drawn(level)) for level in stock.chain.tapped)


def add_by_chain(
    builder: WorklistBuilder, stocks: StockDeck, component: str, targets: Sequence[Spot], text: str
) -> None:
    """Transfer a component into its destinations, with a new tip each time a tip has touched a destination."""
    for source, volumes in stocks.give(component):
        for target, volume in zip(targets, volumes, strict=True):
            if volume > 0:
                builder.transfer(source, target, volume, each_fresh=True, mix_after=2, comment=text)
