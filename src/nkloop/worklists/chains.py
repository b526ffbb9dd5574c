"""A pre-dilution chain: from a stock through intermediate tubes to the volumes that go into each destination."""

from __future__ import annotations

from math import prod

from pydantic import Field

from nkloop.frozen import FrozenModel


class Dilution(FrozenModel):
    """One step of a chain: `take_ul` of the previous liquid (first: the stock) into `diluent_ul` of carrier."""

    factor: float = Field(gt=1)
    take_ul: float = Field(gt=0)
    diluent_ul: float = Field(gt=0)

    @property
    def total_ul(self) -> float:
        """Volume of the intermediate."""
        return self.take_ul + self.diluent_ul


class Chain(FrozenModel):
    """Dilutions from a stock and the volumes that go into each destination, each drawn from one of them."""

    component: str
    stock_per_ul: float = Field(gt=0)
    dilutions: tuple[Dilution, ...] = ()
    volumes_ul: tuple[float, ...]
    """Volume for each destination, in the order asked."""
    levels: tuple[int, ...] = ()
    """After how many dilutions each destination's volume is drawn, 0 for the stock; after all of them when empty."""

    def level_of(self, index: int) -> int:
        """After how many dilutions the volume of a destination is drawn."""
        return self.levels[index] if self.levels else len(self.dilutions)

    @property
    def tapped(self) -> tuple[int, ...]:
        """Levels that destinations are dosed from, the strongest first."""
        return tuple(sorted({self.level_of(index) for index, volume in enumerate(self.volumes_ul) if volume > 0}))

    def drawn(self, level: int) -> tuple[float, ...]:
        """Volume for each destination drawn after so many dilutions; 0 for those that are dosed from another."""
        return tuple(v if self.level_of(index) == level else 0.0 for index, v in enumerate(self.volumes_ul))

    @property
    def per_ul(self) -> float:
        """Concentration after the last dilution."""
        return self.per_ul_at(len(self.dilutions))

    def per_ul_at(self, level: int) -> float:
        """Concentration after so many dilutions."""
        return self.stock_per_ul * prod(step.take_ul / step.total_ul for step in self.dilutions[:level])

    @property
    def amounts(self) -> tuple[float, ...]:
        """What each destination gets, in the unit of `stock_per_ul` times µL."""
        return tuple(v * self.per_ul_at(self.level_of(index)) for index, v in enumerate(self.volumes_ul))

    @property
    def stock_ul(self) -> float:
        """Stock used, without the dead volume of its tube."""
        return sum(self.drawn(0)) + (self.dilutions[0].take_ul if self.dilutions else 0.0)

    @property
    def words(self) -> str:
        """How the chain is made, for a person: `1:100 (10 µL + 990 µL), then 1:20 (50 µL + 950 µL)`."""
        return ", then ".join(
            f"1:{step.factor:g} ({step.take_ul:g} µL + {step.diluent_ul:g} µL)" for step in self.dilutions
        )

    @property
    def drawn_words(self) -> str:
        """How many doses come from which dilution: `2 doses from the stock, 5 from 1:100`; empty for one for all."""
        told: list[str] = []
        for level in self.tapped if len(self.tapped) > 1 else ():
            number = sum(1 for volume in self.drawn(level) if volume > 0)
            factor = prod(step.factor for step in self.dilutions[:level])
            what = "" if told else " dose" if number == 1 else " doses"
            told.append(f"{number}{what} from {f'1:{factor:g}' if level else 'the stock'}")
        return ", ".join(told)


class Cocktail(FrozenModel):
    """Components mixed once in one tube and dosed together; each has a chain whose last destination is that tube."""

    chains: tuple[Chain, ...] = Field(min_length=2)
    total_ul: float = Field(gt=0)
    """Volume of the finished cocktail."""
    volumes_ul: tuple[float, ...]
    """Dose for each destination, in the order asked."""

    @property
    def components(self) -> tuple[str, ...]:
        """Names in the order they are added."""
        return tuple(chain.component for chain in self.chains)

    @property
    def diluent_ul(self) -> float:
        """Carrier that makes up the volume."""
        return round(self.total_ul - sum(chain.volumes_ul[-1] for chain in self.chains), 2)
