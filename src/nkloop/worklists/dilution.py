"""Pre-dilution chains: how to bring an amount into a destination when its stock volume cannot be pipetted.

10 pg/mL in 100 mL from 100 µg/mL stock is 0.01 µL; two 1:100 steps make it 100 µL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import ceil, log

from pydantic import Field

from nkloop.errors import PlanError
from nkloop.frozen import FrozenModel

FACTORS = (200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0)
"""Dilution factors a person can check in the head; 1:100 is preferred when the stock use is equal."""
MAX_STEPS = 4
SPARE = 1.02
"""Intermediates are made 2 % larger than needed, because each transfer may fall short."""


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


def plan_chain(
    component: str,
    stock_per_ul: float,
    amounts: Sequence[float],
    *,
    minimum_ul: float,
    tube_ul: float,
    dead_ul: float,
    limits_ul: Sequence[float] | None = None,
) -> Chain:
    """Find the chain with the fewest steps, then the least stock, then factors nearest to 1:100.

    Args:
        component: name for messages.
        stock_per_ul: concentration of the stock, canonical.
        amounts: amount each destination needs, in the unit of `stock_per_ul` times µL; zero needs nothing.
        minimum_ul: smallest volume the pipette moves reliably.
        tube_ul: most an intermediate tube holds.
        dead_ul: volume that stays behind in an intermediate tube.
        limits_ul: most each destination may take; none by default.

    Raises:
        PlanError: no chain of four steps serves, or an amount needs more stock than fits.
    """
    wanted = [amount for amount in amounts if amount > 0]
    if not wanted:
        return Chain(component=component, stock_per_ul=stock_per_ul, volumes_ul=tuple(0.0 for _ in amounts))
    for steps in range(MAX_STEPS + 1):
        found = [
            chain
            for factors in product(FACTORS, repeat=steps)
            if (chain := _chain(component, stock_per_ul, amounts, factors, minimum_ul, tube_ul, dead_ul)) is not None
            and _fits(chain, limits_ul)
        ]
        if found:
            return min(found, key=_cost)
    raise PlanError(
        f"no dilution of {component} ({stock_per_ul:g} per µL) gives volumes between {minimum_ul:g} µL and what the "
        f"destinations and {tube_ul:g} µL tubes hold; {len(wanted)} destinations need {min(wanted):.4g} to "
        f"{max(wanted):.4g}",
        where=component,
        remedy="use a stock of another concentration, a larger medium volume, or fewer arms",
    )


def _chain(
    component: str,
    stock: float,
    amounts: Sequence[float],
    factors: tuple[float, ...],
    minimum: float,
    tube: float,
    dead: float,
) -> Chain | None:
    concentration = stock
    for factor in factors:
        concentration /= factor
    volumes = tuple(round(amount / concentration, 2) for amount in amounts)
    if any(amount > 0 and volume < minimum - 1e-9 for amount, volume in zip(amounts, volumes, strict=True)):
        return None
    dilutions = _backwards(sum(volumes), factors, minimum, tube, dead)
    if dilutions is None:
        return None
    return Chain(component=component, stock_per_ul=stock, dilutions=dilutions, volumes_ul=volumes)


def _backwards(
    needed: float, factors: tuple[float, ...], minimum: float, tube: float, dead: float
) -> tuple[Dilution, ...] | None:
    """From the last intermediate to the first: each is made as large as what is drawn from it asks for."""
    steps: list[Dilution] = []
    for factor in reversed(factors):
        take = max(minimum, ceil((needed * SPARE + dead) / factor * 10 - 1e-9) / 10)
        total = take * factor
        if total > tube + 1e-9 or total - take < minimum:
            return None
        steps.append(Dilution(factor=factor, take_ul=take, diluent_ul=round(total - take, 2)))
        needed = take
    return tuple(reversed(steps))


def _fits(chain: Chain, limits: Sequence[float] | None) -> bool:
    return limits is None or all(v <= limit for v, limit in zip(chain.volumes_ul, limits, strict=True))


def _cost(chain: Chain) -> tuple[float, float, float]:
    """Stock in whole µL: less than that is not worth an odd factor."""
    strange = sum(abs(log(step.factor / 100)) for step in chain.dilutions)
    return (ceil(chain.stock_ul - 1e-9), strange, -sum(chain.volumes_ul))


def concentration_problems(
    rows: Sequence[tuple[str, float, float]], tolerance_percent: float
) -> Iterator[tuple[str, str]]:
    """Components whose reached concentration is off target; a factor of ten or more is named as what it likely is.

    Args:
        rows: component, target and reached concentration in the same unit.
        tolerance_percent: allowed deviation.

    Yields:
        Component and a sentence.
    """
    for component, target, reached in rows:
        if target <= 0 or abs(reached - target) <= tolerance_percent / 100 * target:
            continue
        ratio = reached / target
        if ratio <= 0:
            yield component, f"{component} is absent"
        elif ratio >= 9.5 or ratio <= 1 / 9.5:
            yield component, f"{component} is off by a factor of {max(ratio, 1 / ratio):.3g}: a dilution step or a unit"
        else:
            yield component, f"{component} is {100 * (ratio - 1):+.1f} % off target (allowed ± {tolerance_percent:g} %)"
