"""What a pre-dilution chain costs: stock, carrier, tips, tubes, time, error; the planner takes the cheapest.

Every term is a sum over the steps of the chain and none is negative, so that a search may give up a chain as soon as
its first steps cost more than the best one found. Errors follow docs/explanation/how-a-medium-is-planned.md.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from pydantic import Field

from nkloop.frozen import FrozenModel
from nkloop.inventory.models import Lot
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.worklists.accuracy import VolumeError, volume_error
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.chains import Chain, Dilution

HABITUAL_FACTOR = 100.0
LARGEST_UL = 1000.0
"""More is moved in equal parts when no bench says what its pipettes take."""
_EXACT = VolumeError(systematic=0.0, random=0.0)


class CostWeights(FrozenModel):
    """What is weighed against the price of the stock, in EUR. All are estimates of this project, not measured."""

    tip_eur: float = Field(default=0.15, ge=0)
    """A filter tip."""
    tube_eur: float = Field(default=0.20, ge=0)
    """A low-bind tube and its label."""
    deep_plate_eur: float = Field(default=5.0, ge=0)
    """A sterile deep-well plate."""
    minute_eur: float = Field(default=0.50, ge=0)
    """A minute in which robot and technician are bound."""
    cells_out_eur: float = Field(default=0.10, ge=0)
    """A minute of cells outside the incubator."""
    transfer_minutes: float = Field(default=0.4, ge=0)
    mix_minutes: float = Field(default=0.4, ge=0)
    """Ten strokes in an intermediate tube."""
    bias_eur: float = Field(default=0.05, ge=0)
    """A percent of systematic error of the dose."""
    variance_eur: float = Field(default=0.02, ge=0)
    """A squared percent of random error of the dose."""
    other_factor_eur: float = Field(default=0.5, ge=0)
    """A factor other than 1:100, the step every technician makes and checks without thinking."""


class Prices(FrozenModel):
    """Prices of what a chain is made of, in EUR per µL."""

    stock: float = Field(default=1.0, ge=0)
    """100 µg/mL at 10,000 EUR per mg, the order of magnitude of a recombinant cytokine (published: 1,000 to 50,000)."""
    carrier: float = Field(default=0.0006, ge=0)

    @classmethod
    def of(cls, stock: Lot, carrier: Lot | None = None) -> Prices:
        """Those of the lots, and the usual ones where a lot has no price or none is given."""
        found = {"stock": stock.cost_eur(1.0), "carrier": None if carrier is None else carrier.cost_eur(1.0)}
        return cls(**{name: eur for name, eur in found.items() if eur is not None})


class ChainErrors(NamedTuple):
    """Predicted errors of the worst dose of a chain, before its destination's own volume is counted."""

    variance: float = 0.0
    """Squared relative standard deviation."""
    bias: float = 0.0
    """Bound of the relative systematic error."""

    def plus(self, other: ChainErrors) -> ChainErrors:
        """Errors of two things done after one another: variances add, and so do bounds of a bias."""
        return ChainErrors(self.variance + other.variance, self.bias + other.bias)

    def worst(self, other: ChainErrors) -> ChainErrors:
        """The larger of each, for two doses that have their liquid in common."""
        return ChainErrors(max(self.variance, other.variance), max(self.bias, other.bias))

    def within(self, limits: ErrorLimits) -> bool:
        """True when both are within their limits."""
        return 1e4 * self.variance <= limits.cv_percent**2 + 1e-9 and 100 * self.bias <= limits.bias_percent + 1e-9


class CostModel:
    """Cost and error of chains pipetted with the single channels of a bench at given prices.

    Two of one bench at the same prices and weights are equal: they tell the same of every chain.
    """

    def __init__(
        self,
        deck: BenchDeck | None = None,
        prices: Prices | None = None,
        weights: CostWeights | None = None,
        rim_ul: float | None = None,
    ) -> None:
        """Without a bench every volume is taken to be exact.

        Args:
            deck: gives the accuracy of the pipettes.
            prices: of stock and carrier.
            weights: of everything else.
            rim_ul: doses from this volume on drop from the rim and share one tip; every dose has its own when None.
        """
        self.prices, self.weights = prices or Prices(), weights or CostWeights()
        self._rim_ul = rim_ul
        self._deck = deck
        self._known: dict[float, ChainErrors] = {}

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, CostModel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return id(self._deck), self.prices, self.weights, self._rim_ul

    @property
    def is_exact(self) -> bool:
        """True when every volume is taken to be exact, so that a larger one is no better."""
        return self._deck is None

    def _parts(self, volume_ul: float) -> int:
        """How many strokes of the pipette a volume takes."""
        pipette = None if self._deck is None else self._deck.pipette(1, volume_ul)
        return max(1, ceil(volume_ul / (pipette.max_volume_ul if pipette else LARGEST_UL) - 1e-9))

    def of_volume(self, volume_ul: float) -> ChainErrors:
        """Errors of one volume, moved in equal parts when it is more than a pipette takes."""
        if volume_ul not in self._known:
            parts = self._parts(volume_ul)
            error = self._error(volume_ul / parts)
            self._known[volume_ul] = ChainErrors(variance=error.random**2 / parts, bias=error.systematic)
        return self._known[volume_ul]

    def _error(self, volume_ul: float) -> VolumeError:
        pipette = None if self._deck is None else self._deck.pipette(1, volume_ul)
        return _EXACT if pipette is None else volume_error(pipette, volume_ul)

    def dilution_errors(self, step: Dilution) -> ChainErrors:
        """Errors a dilution adds: c' = c t / (t + d), so an error of t or d counts by the diluent's share."""
        share = step.diluent_ul / step.total_ul
        take, diluent = self.of_volume(step.take_ul), self.of_volume(step.diluent_ul)
        shared = abs(step.take_ul - step.diluent_ul) < 1e-9
        bias = 0.0 if shared else share * (take.bias + diluent.bias)
        return ChainErrors(variance=share**2 * (take.variance + diluent.variance), bias=bias)

    def dose_errors(self, volumes_ul: tuple[float, ...]) -> ChainErrors:
        """Errors of the worst of several doses."""
        told = [self.of_volume(volume) for volume in volumes_ul if volume > 0]
        return ChainErrors(
            variance=max((one.variance for one in told), default=0.0), bias=max((one.bias for one in told), default=0.0)
        )

    def errors(self, chain: Chain) -> ChainErrors:
        """Errors of the worst dose of a chain: a dose has those of the dilutions it is drawn after, and its own."""
        total = ChainErrors()
        for level in range(len(chain.dilutions), -1, -1):
            total = total.worst(self.dose_errors(chain.drawn(level)))
            if level:
                total = total.plus(self.dilution_errors(chain.dilutions[level - 1]))
        return total

    def error_eur(self, errors: ChainErrors) -> float:
        """Errors as money."""
        return self.weights.bias_eur * 100 * errors.bias + self.weights.variance_eur * 1e4 * errors.variance

    def dilution_eur(self, step: Dilution) -> float:
        """A dilution without its errors and without the stock: carrier, tube, tips for take and mix, time."""
        w = self.weights
        minutes = (1 + self._parts(step.diluent_ul)) * w.transfer_minutes + w.mix_minutes
        return (
            step.diluent_ul * self.prices.carrier
            + w.tube_eur
            + 2 * w.tip_eur
            + minutes * w.minute_eur
            + (0.0 if step.factor == HABITUAL_FACTOR else w.other_factor_eur)
        )

    def dose_eur(self, volumes_ul: tuple[float, ...]) -> float:
        """Tips and time of doses drawn from one tube."""
        parts = sum(self._parts(volume) for volume in volumes_ul if volume > 0)
        tips = parts
        if self._rim_ul is not None:
            dropped = sum(self._parts(volume) for volume in volumes_ul if volume >= self._rim_ul)
            tips = parts - dropped + (1 if dropped else 0)
        return tips * self.weights.tip_eur + parts * self.weights.transfer_minutes * self.weights.minute_eur

    def eur(self, chain: Chain) -> float:
        """The whole cost of a chain."""
        return (
            chain.stock_ul * self.prices.stock
            + sum(self.dose_eur(chain.drawn(level)) for level in chain.tapped)
            + sum(self.dilution_eur(step) for step in chain.dilutions)
            + self.error_eur(self.errors(chain))
        )
