"""A pre-dilution chain: from a stock through intermediate tubes to the volumes that go into each destination."""

from __future__ import annotations

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
    """Dilutions from a stock and the volumes of the last one that go into each destination."""

    component: str
    stock_per_ul: float = Field(gt=0)
    dilutions: tuple[Dilution, ...] = ()
    volumes_ul: tuple[float, ...]
    """Volume for each destination, in the order asked."""

    @property
    def per_ul(self) -> float:
        """Concentration of what goes into the destinations."""
        concentration = self.stock_per_ul
        for step in self.dilutions:
            concentration *= step.take_ul / step.total_ul
        return concentration

    @property
    def stock_ul(self) -> float:
        """Stock used, without the dead volume of its tube."""
        return self.dilutions[0].take_ul if self.dilutions else sum(self.volumes_ul)

    @property
    def words(self) -> str:
        """How the chain is made, for a person: `1:100 (10 µL + 990 µL), then 1:20 (50 µL + 950 µL)`."""
        return ", then ".join(
            f"1:{step.factor:g} ({step.take_ul:g} µL + {step.diluent_ul:g} µL)" for step in self.dilutions
        )


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
