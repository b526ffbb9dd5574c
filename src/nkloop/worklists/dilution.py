"""Pre-dilution chains: how to bring an amount into a destination when its stock volume cannot be pipetted.

10 pg/mL in 100 mL from 100 µg/mL stock is 0.01 µL; two 1:100 steps make it 100 µL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf, prod
from typing import Any

from nkloop.errors import PlanError
from nkloop.quantities import Amount
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.worklists.chain_cost import HABITUAL_FACTOR, ChainErrors, CostModel
from nkloop.worklists.chains import Chain, Dilution
from nkloop.worklists.taps import DECIMALS, TapChooser, Taps

__all__ = ["Chain", "Dilution", "concentration_problems", "plan_chain"]

FACTORS = (100.0, 10.0, 200.0, 50.0, 20.0, 5.0, 2.0)
"""Dilution factors a person can check; those that are tried first make the search short."""
TAKES_UL = (5.0, 10.0, 20.0, 50.0, 100.0)
"""Volumes taken into an intermediate, besides the smallest that serves and the largest its tube takes: more makes it
more accurate and wastes stock."""
MAX_STEPS = 4
"""Longest pre-dilution chain that is looked for."""
SPARE = 1.02
"""Intermediates are made 2 % larger than needed, because each transfer may fall short."""
_SLACK = 1e-9
_ROUNDED = 0.998
"""Share of an amount that is given at least: volumes are rounded to hundredths of a µL."""


class TooInaccurateError(PlanError):
    """No dilution is within the error limits."""


def plan_chain(
    component: str,
    stock_per_ul: float,
    amounts: Sequence[float],
    *,
    minimum_ul: float,
    tube_ul: float,
    dead_ul: float,
    limits_ul: Sequence[float] | None = None,
    cost: CostModel | None = None,
    errors: ErrorLimits | None = None,
    factors: Sequence[float] = FACTORS,
    max_steps: int = MAX_STEPS,
    least_dose_ul: float = 0.0,
    may_tap: bool = True,
    stock: str = "",
) -> Chain:
    """Find the cheapest chain: number of steps, factors and volumes, by the stated cost and within the error limits.

    Destinations may be dosed from different dilutions of the chain, and from the stock; of two amounts the larger is
    never drawn from the more dilute one, so that a person can check the order.

    Args:
        component: name for messages.
        stock_per_ul: concentration of the stock, canonical.
        amounts: amount each destination needs, in the unit of `stock_per_ul` times µL; zero needs nothing.
        minimum_ul: smallest volume the pipette moves reliably.
        tube_ul: most an intermediate tube holds.
        dead_ul: volume that stays behind in an intermediate tube.
        limits_ul: most each destination may take; none by default.
        cost: prices, weights and the pipette's accuracy; an exact pipette by default.
        errors: largest predicted error of a dose; none by default.
        factors: dilution factors to choose from.
        max_steps: most dilutions in a row.
        least_dose_ul: smallest volume of a dose, where that is more than the pipette's.
        may_tap: False to dose everything from the last dilution.
        stock: lot and strength for messages: `lot LOT-SCF-01, 100 µg/mL`.

    Raises:
        PlanError: no chain serves, or none within the error limits; an amount needs more stock than fits.
    """
    if not any(amount > 0 for amount in amounts):
        return Chain(component=component, stock_per_ul=stock_per_ul, volumes_ul=tuple(0.0 for _ in amounts))
    limits = None if limits_ul is None else tuple(limits_ul)
    search = component, stock_per_ul, tuple(amounts), minimum_ul, tube_ul, dead_ul, limits, cost or CostModel(), errors
    found = _found((*search, least_dose_ul, may_tap), tuple(factors), max_steps, stock)
    if isinstance(found, PlanError):
        raise found.with_traceback(None)
    return found


@lru_cache(maxsize=2048)
def _found(asked: tuple[Any, ...], factors: tuple[float, ...], max_steps: int, stock: str) -> Chain | PlanError:
    """Remembered, because a plan asks for the same chains again while it looks for lots, parts and a better base."""
    search = _Search(*asked)
    for steps in range(max_steps + 1):
        if not search.may_gain(steps):
            break
        for chosen in search.worth_trying(factors, steps):
            search.try_factors(chosen)
    return search.refusal(stock) if search.best is None else search.best


@dataclass(frozen=True, slots=True)
class _Step:
    """A dilution with its cost and errors, worked out once."""

    dilution: Dilution
    eur: float
    errors: ChainErrors


class _Search:
    """Depth first from the destinations back to the stock; what already costs more than the best is given up."""

    def __init__(
        self,
        component: str,
        stock_per_ul: float,
        amounts: Sequence[float],
        minimum_ul: float,
        tube_ul: float,
        dead_ul: float,
        limits_ul: Sequence[float] | None,
        cost: CostModel | None,
        errors: ErrorLimits | None,
        least_dose_ul: float = 0.0,
        may_tap: bool = True,
    ) -> None:
        self.component, self.stock = component, stock_per_ul
        self.minimum, self.tube, self.dead = minimum_ul, tube_ul, dead_ul
        self.cost, self.error_limits = cost or CostModel(), errors
        self.amounts, self.limits = tuple(amounts), None if limits_ul is None else tuple(limits_ul)
        limits = (inf,) * len(amounts) if limits_ul is None else limits_ul
        most = (tube_ul - dead_ul) / SPARE
        least = max(minimum_ul, least_dose_ul)
        self.chooser = TapChooser(stock_per_ul, amounts, limits, least, most, self.cost, may_tap=may_tap)
        self.best: Chain | None = None
        self._best_eur = inf
        self._nearest: ChainErrors | None = None
        """Smallest bias met among those beyond the limits, for the refusal."""
        self._steps: dict[tuple[float, float], _Step] = {}
        self._floors: dict[float, float] = {}
        self._least_step_eur = self.cost.dilution_eur(
            Dilution(factor=HABITUAL_FACTOR, take_ul=minimum_ul, diluent_ul=minimum_ul)
        )
        weights = self.cost.weights
        wanted = sum(1 for amount in amounts if amount > 0)
        self._least_dose_eur = weights.tip_eur + wanted * weights.transfer_minutes * weights.minute_eur
        self._least_stock_ul = _ROUNDED * sum(amounts) / stock_per_ul

    def worth_trying(
        self, factors: Sequence[float], steps: int, begun: tuple[float, ...] = ()
    ) -> Iterator[tuple[float, ...]]:
        """Choices of factors for so many dilutions, in order, without those whose beginning shows they are vain."""
        missing = steps - len(begun)
        if self._is_vain(begun, missing, factors):
            return
        if not missing:
            yield begun
            return
        for factor in factors:
            yield from self.worth_trying(factors, steps, (*begun, factor))

    def _is_vain(self, begun: tuple[float, ...], missing: int, factors: Sequence[float]) -> bool:
        """True when no `missing` dilutions after these give the weakest dose a volume that serves, or a lower cost."""
        strength = prod(begun)
        if not self.chooser.may_reach(strength, strength * max(factors) ** missing):
            return True
        if self._best_eur == inf:
            return False
        further = missing * min(map(self._floor, factors))
        return self._least_eur(begun) + further + self._least_dose_eur - _SLACK >= self._best_eur

    def try_factors(self, factors: tuple[float, ...]) -> None:
        """Look for volumes that make these factors, from the stock on, the cheapest chain."""
        if self._least_eur(factors) + self._least_dose_eur >= self._best_eur:
            return
        last = len(factors)
        for taps in self.chooser.ways(factors):
            stock = self._drawn_stock_ul(factors, taps, taps.drawn_ul[last])
            if taps.eur + self._least_eur(factors, stock) < self._best_eur:
                self._back(factors, taps, (), taps.drawn_ul[last], taps.eur, taps.errors[last])

    def may_gain(self, steps: int) -> bool:
        """False when so many dilutions cost more than the best chain, whatever their volumes."""
        stock = max(self.minimum * (steps > 0), self._least_stock_ul)
        return steps * self._least_step_eur + stock * self.cost.prices.stock + self._least_dose_eur < self._best_eur

    def _least_eur(self, factors: tuple[float, ...], stock_ul: float = 0.0) -> float:
        """No chain that still lacks these dilutions costs less: each at its smallest volume and its smallest error."""
        stock = stock_ul or max(self.minimum if factors else 0.0, self._least_stock_ul + self._left_behind_ul(factors))
        return sum(self._floor(factor) for factor in factors) + stock * self.cost.prices.stock

    def _left_behind_ul(self, factors: tuple[float, ...]) -> float:
        """Stock in the dead volumes of these dilutions."""
        left, strength = 0.0, 1.0
        for factor in factors:
            strength *= factor
            left += self.dead / strength
        return left

    def _drawn_stock_ul(self, factors: tuple[float, ...], taps: Taps, needed: float) -> float:
        """Least stock for what is drawn after these dilutions and before them: smallest volumes, not rounded."""
        for level in range(len(factors), 0, -1):
            least = max(self.minimum, (needed * SPARE + self.dead) / factors[level - 1])
            needed = least + taps.drawn_ul[level - 1]
        return needed - _SLACK

    def _floor(self, factor: float) -> float:
        if factor not in self._floors:
            least = self._step(factor, max(self.minimum, self.minimum / (factor - 1)))
            self._floors[factor] = least.eur + self.cost.error_eur(self._least_errors(factor))
        return self._floors[factor]

    def _least_errors(self, factor: float) -> ChainErrors:
        """Errors of a dilution that fills its tube: a larger volume is never less accurate."""
        return self._step(factor, max(self.tube / factor, self.minimum)).errors

    def _is_hopeless(self, factors: tuple[float, ...], errors: ChainErrors) -> bool:
        """True when the errors so far and the least of the dilutions still to come are beyond the limits."""
        if self.error_limits is None:
            return False
        for factor in factors:
            errors = errors.plus(self._least_errors(factor))
        if errors.within(self.error_limits):
            return False
        if self._nearest is None or errors.bias < self._nearest.bias:
            self._nearest = errors
        return True

    def _back(
        self,
        factors: tuple[float, ...],
        taps: Taps,
        made: tuple[Dilution, ...],
        needed: float,
        eur: float,
        errors: ChainErrors,
    ) -> None:
        """Add the dilution before `made`; `needed` is what is drawn from it."""
        if self._is_hopeless(factors, errors):
            return
        own = eur + self.cost.error_eur(errors)
        if not factors:
            self._keep(taps, made, own + needed * self.cost.prices.stock)
            return
        left, before = factors[:-1], taps.drawn_ul[len(factors) - 1]
        wanted = takes(needed, factors[-1], self.minimum, self.tube, self.dead)
        for take in wanted[:1] if self.cost.is_exact else wanted:
            step, drawn = self._step(factors[-1], take), take + before
            # a larger volume costs more of everything but error
            if own + step.eur + self._least_eur(left, self._drawn_stock_ul(left, taps, drawn)) >= self._best_eur:
                break
            worst = errors.plus(step.errors).worst(taps.errors[len(left)])
            self._back(left, taps, (step.dilution, *made), drawn, eur + step.eur, worst)

    def _step(self, factor: float, take: float) -> _Step:
        found = self._steps.get((factor, take))
        if found is None:
            made = Dilution(factor=factor, take_ul=take, diluent_ul=round(take * factor - take, DECIMALS))
            found = _Step(made, self.cost.dilution_eur(made), self.cost.dilution_errors(made))
            self._steps[factor, take] = found
        return found

    def _keep(self, taps: Taps, made: tuple[Dilution, ...], eur: float) -> None:
        if eur < self._best_eur - _SLACK:
            self._best_eur = eur
            self.best = Chain(
                component=self.component,
                stock_per_ul=self.stock,
                dilutions=made,
                volumes_ul=taps.volumes_ul,
                levels=taps.levels,
            )

    def refusal(self, stock: str) -> PlanError:
        """Why there is no chain."""
        named = f"{self.component} ({stock})" if stock else self.component
        if self._nearest is not None and self.error_limits is not None:
            limits, nearest = self.error_limits, self._nearest
            return TooInaccurateError(
                f"no dilution of {named} is accurate enough: every one has more than "
                f"{limits.cv_percent:.3g} % CV or {limits.bias_percent:.3g} % systematic error, for example "
                f"{100 * nearest.variance**0.5:.1f} % and {100 * nearest.bias:.1f} %",
                where=self.component,
                remedy="plan a larger volume, use a stock of another concentration, or raise --max-cv or --max-bias",
            )
        needed = [amount / self.stock for amount in self.amounts if amount > 0]
        doses = f"{_volume(min(needed))} to {_volume(max(needed))}" if len(needed) > 1 else _volume(needed[0])
        places = f"{len(needed)} destinations take" if len(needed) > 1 else "the one destination takes"
        slip = f"check its strength ({self._slip():g} times as much would fit), " if self._slip() else ""
        return PlanError(
            f"no dilution of {named} gives doses of at least {_volume(self.chooser.minimum)} that fit into the "
            f"destinations and tubes of {_volume(self.tube)}; undiluted, {places} {doses} of it",
            where=self.component,
            remedy=f"{slip}use a stock of another concentration, a larger medium volume, or fewer arms",
        )

    def _slip(self) -> float:
        """The factor of a slip of the unit that explains a stock too weak for a destination; 0 when none does."""
        if self.limits is None:
            return 0.0
        pairs = [(amount / self.stock, most) for amount, most in zip(self.amounts, self.limits, strict=True)]
        too_weak = any(volume > most for volume, most in pairs)
        fits = (factor for factor in (1e3, 1e6) if all(volume / factor <= most for volume, most in pairs))
        return next(fits, 0.0) if too_weak else 0.0


def _volume(ul: float) -> str:
    return Amount(ul, "µL").display()


def takes(needed: float, factor: float, minimum: float, tube: float, dead: float) -> tuple[float, ...]:
    """Volumes worth taking into an intermediate of which `needed` µL are drawn: smallest, round ones, largest.

    Empty when its tube cannot hold enough.
    """
    least = max(minimum, ceil((needed * SPARE + dead) / factor * 10 - _SLACK) / 10)
    if factor - 1 < 1:
        least = max(least, ceil(minimum / (factor - 1) * 10 - _SLACK) / 10)
    most = int(tube / factor * 10 + _SLACK) / 10
    if least > most + _SLACK or least * (factor - 1) < minimum - _SLACK:
        return ()
    return tuple(sorted({least, *(one for one in TAKES_UL if least < one < most), most}))


_ROUNDED_OFF = 1e-9
"""Of computed concentrations; what is at its tolerance is within it."""


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
        if target <= 0 or abs(reached - target) <= (tolerance_percent / 100 + _ROUNDED_OFF) * target:
            continue
        ratio = reached / target
        if ratio <= 0:
            yield component, f"{component} is absent"
        elif ratio >= 9.5 or ratio <= 1 / 9.5:
            yield component, f"{component} is off by a factor of {max(ratio, 1 / ratio):.3g}: a dilution step or a unit"
        else:
            yield component, f"{component} is {100 * (ratio - 1):+.1f} % off target (allowed ± {tolerance_percent:g} %)"
