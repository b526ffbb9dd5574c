"""Which destination is dosed from which dilution of a chain: every way that a pipette can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from nkloop.worklists.chain_cost import ChainErrors, CostModel

DECIMALS = 2
"""Volumes are asked for in hundredths of a µL: at 5 µL that rounds by at most 0.1 %."""
_SLACK = 1e-9
_ROUNDING_UL = 0.006
"""More than rounding to the decimals moves a volume."""


@dataclass(frozen=True, slots=True)
class Taps:
    """One way, and what follows from it for each level; level 0 is the stock, 1 the first dilution."""

    levels: tuple[int, ...]
    """Of each destination; empty when all are dosed from the last dilution."""
    volumes_ul: tuple[float, ...]
    """For each destination."""
    drawn_ul: tuple[float, ...]
    """Sum of what destinations draw, by level."""
    errors: tuple[ChainErrors, ...]
    """Of the worst dose, by level."""
    eur: float
    """Tips and time of all doses."""


class TapChooser:
    """Tells the ways for any factors, for destinations whose amounts and limits are known.

    Destinations that are alike are dosed from the same dilution, and of two amounts the larger one never from the more
    dilute: a person can check that at a glance, and there are few ways.
    """

    def __init__(
        self,
        stock_per_ul: float,
        amounts: Sequence[float],
        limits_ul: Sequence[float],
        minimum_ul: float,
        most_ul: float,
        cost: CostModel,
        *,
        may_tap: bool = True,
    ) -> None:
        """Know what is wanted.

        Args:
            stock_per_ul: concentration of the stock, canonical.
            amounts: of each destination, in the unit of `stock_per_ul` times µL.
            limits_ul: most each destination takes.
            minimum_ul: smallest volume of a dose.
            most_ul: what can be drawn from a dilution.
            cost: prices and the pipette's accuracy.
            may_tap: False to allow the last dilution alone.
        """
        self.most = most_ul
        self.stock, self.amounts, self.limits, self.minimum = stock_per_ul, tuple(amounts), tuple(limits_ul), minimum_ul
        self.cost, self.may_tap = cost, may_tap
        self._kinds = tuple(self._in_order())
        self._doses: dict[float, tuple[float, ...]] = {}

    def ways(self, factors: Sequence[float]) -> Iterator[Taps]:
        """Everything from the last of these dilutions first; none when a destination cannot be dosed from any."""
        last = len(factors)
        doses = [self._volumes(prod(factors[:level])) for level in range(last + 1)]
        able = [self._able(kind[0], doses) for kind in self._kinds]
        if all(able) and last in able[-1]:
            for chosen in _rising(able, last):
                yield self._taps(chosen, doses)

    def may_reach(self, least_factor: float, most_factor: float) -> bool:
        """False when a stock diluted by no factor between these gives the weakest dose a volume that serves.

        Something is dosed from the last dilution, and nothing is drawn from a more dilute one than the weakest dose.
        """
        weakest = self._kinds[-1][0]
        amount, limit = self.amounts[weakest], self.limits[weakest]
        most = max(limit, self.most) if least_factor == 1 else min(limit, self.most)
        smallest, largest = amount * least_factor / self.stock, amount * most_factor / self.stock
        return smallest <= most + _ROUNDING_UL and largest >= self.minimum - _ROUNDING_UL

    def _in_order(self) -> Iterator[tuple[int, ...]]:
        """Destinations that are alike, the strongest dose first; those that need nothing are left out."""
        alike: dict[tuple[float, float], list[int]] = {}
        for index, (amount, limit) in enumerate(zip(self.amounts, self.limits, strict=True)):
            if amount > 0:
                alike.setdefault((-amount, limit), []).append(index)
        for key in sorted(alike):
            yield tuple(alike[key])

    def _able(self, index: int, doses: Sequence[tuple[float, ...]]) -> tuple[int, ...]:
        """Levels that a destination can be dosed from, the most dilute first."""
        last = len(doses) - 1
        some = range(last, -1, -1) if self.may_tap else (last,)
        limit = self.limits[index]
        return tuple(
            level
            for level in some
            if self.minimum - _SLACK <= doses[level][index] <= (min(limit, self.most) if level else limit)
        )

    def _taps(self, chosen: Sequence[int], doses: Sequence[tuple[float, ...]]) -> Taps:
        last = len(doses) - 1
        levels = [last] * len(self.amounts)
        drawn: list[list[float]] = [[] for _ in doses]
        for kind, level in zip(self._kinds, chosen, strict=True):
            drawn[level] += [doses[level][index] for index in kind]
            for index in kind:
                levels[index] = level
        return Taps(
            levels=tuple(levels) if len(set(chosen)) > 1 else (),
            volumes_ul=tuple(doses[level][index] for index, level in enumerate(levels)),
            drawn_ul=tuple(map(sum, drawn)),
            errors=tuple(self.cost.dose_errors(tuple(one)) for one in drawn),
            eur=sum(self.cost.dose_eur(tuple(one)) for one in drawn if one),
        )

    def _volumes(self, factor: float) -> tuple[float, ...]:
        """Doses of a stock diluted by a factor in all."""
        if factor not in self._doses:
            self._doses[factor] = tuple(round(amount * factor / self.stock, DECIMALS) for amount in self.amounts)
        return self._doses[factor]


def _rising(able: Sequence[tuple[int, ...]], last: int, least: int = 0) -> Iterator[tuple[int, ...]]:
    """One of the levels of each kind of dose, none smaller than the one before; something is dosed from the last."""
    if len(able) == 1:
        yield (last,)
        return
    for level in able[0]:
        if level >= least:
            for rest in _rising(able[1:], last, level):
                yield level, *rest
