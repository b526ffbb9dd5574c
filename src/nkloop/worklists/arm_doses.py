"""How every component gets into the liquids of the arms: one by one, or together in a cocktail that costs less.

A cocktail serves the tubes in which all its members have their usual concentration; a tube that has one of them at
another concentration gets its members one by one, out of the same dilutions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from nkloop.errors import PlanError
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.worklists.chain_cost import CostModel
from nkloop.worklists.chains import Chain, Cocktail, Dilution
from nkloop.worklists.cocktails import TOTALS_UL
from nkloop.worklists.dilution import DECIMALS, SPARE, TooInaccurateError, plan_chain

RIM_UL = 10.0
"""Smallest dose dropped from the rim: a smaller drop may hang on the tip. Unverified."""
_SAME = 9
"""Digits in which two concentrations are the same."""
_LEAST_SERVED = 2
"""Fewer tubes than this share nothing."""


@dataclass(frozen=True)
class ArmDose:
    """What the tubes need of one component."""

    component: str
    stock_per_ul: float
    amounts: tuple[float, ...]
    """Per tube, in the unit of `stock_per_ul` times µL; zero needs nothing."""
    limits_ul: tuple[float, ...]
    """Most each tube takes."""
    cost: CostModel
    diluent: str
    """What it is diluted in; only components with the same share a cocktail."""


@dataclass(frozen=True)
class ArmDoses:
    """Chains and cocktails of all components."""

    chains: Mapping[str, Chain]
    """A chain gives to the tubes in their order and, when its component is in a cocktail, to the cocktail last."""
    cocktails: tuple[Cocktail, ...] = ()

    def into(self, index: int) -> float:
        """Everything that goes into one tube, µL."""
        single = sum(chain.volumes_ul[index] for chain in self.chains.values())
        return single + sum(one.volumes_ul[index] for one in self.cocktails)

    def singles(self, component: str, n_tubes: int) -> tuple[float, ...]:
        """What the tubes get of a component by itself."""
        return self.chains[component].volumes_ul[:n_tubes]


@dataclass(frozen=True)
class ArmDosePlanner:
    """Chooses chains and cocktails for tubes of given volumes."""

    volumes_ul: tuple[float, ...]
    """Volume of each tube when it is finished."""
    minimum_ul: float
    tube_ul: float
    dead_ul: float
    errors: ErrorLimits | None = None
    """Largest predicted error of a dose; none by default."""

    def plan(self, doses: Sequence[ArmDose], *, may_share: bool = True) -> ArmDoses:
        """Each component by its cheapest chain, then those together that cost less as a cocktail.

        Raises:
            PlanError: no chain serves a component; all of them are told.
        """
        chains: dict[str, Chain] = {}
        problems: list[PlanError] = []
        for dose in doses:
            try:
                chains[dose.component] = self._single(dose)
            except PlanError as error:
                problems.append(error)
        if problems:
            kind = TooInaccurateError if all(isinstance(e, TooInaccurateError) for e in problems) else PlanError
            raise kind.from_problems(problem for error in problems for problem in error.problems)
        found = ArmDoses({name: chain for name, chain in chains.items() if chain.stock_ul > 0})
        left = [dose for dose in doses if dose.component in found.chains]
        while may_share and (better := self._shared(left, found)) is not None:
            found = better
            left = [dose for dose in left if dose.component not in better.cocktails[-1].components]
        return found

    def _single(self, dose: ArmDose) -> Chain:
        """Doses large enough to be dropped from the rim; where the arms differ too much for that, smaller ones."""
        try:
            return self._chain(dose, dose.amounts, dose.limits_ul, max(RIM_UL, self.minimum_ul))
        except PlanError:
            if self.minimum_ul >= RIM_UL:
                raise
        return self._chain(dose, dose.amounts, dose.limits_ul, self.minimum_ul)

    def _chain(
        self,
        dose: ArmDose,
        amounts: Sequence[float],
        limits_ul: Sequence[float],
        least_ul: float,
        errors: ErrorLimits | None = None,
    ) -> Chain:
        return plan_chain(
            dose.component,
            dose.stock_per_ul,
            amounts,
            minimum_ul=least_ul,
            tube_ul=self.tube_ul,
            dead_ul=self.dead_ul,
            limits_ul=limits_ul,
            cost=dose.cost,
            errors=errors or self.errors,
        )

    def _shared(self, doses: Sequence[ArmDose], now: ArmDoses) -> ArmDoses | None:
        """The plan with the one cocktail that saves most, or None when none saves anything."""
        best, best_saved = None, 0.0
        for members, served in self._candidates(doses):
            alone = sum(_chain_eur(now.chains[dose.component], dose.cost) for dose in members)
            for total in (volume for volume in TOTALS_UL if volume <= self.tube_ul):
                made = self._cocktail(members, served, total)
                if made is not None and (saved := alone - _eur(made, members)) > best_saved:
                    best, best_saved = made, saved
        if best is None:
            return None
        return ArmDoses({**now.chains, **{c.component: c for c in best.chains}}, (*now.cocktails, best))

    def _candidates(self, doses: Sequence[ArmDose]) -> Iterator[tuple[tuple[ArmDose, ...], frozenset[int]]]:
        """Components with the same diluent and the tubes that have all of them at their usual concentration."""
        for diluent in dict.fromkeys(dose.diluent for dose in doses):
            usual = [(dose, self._usual(dose)) for dose in doses if dose.diluent == diluent]
            usual.sort(key=lambda one: -len(one[1]))
            for number in range(len(usual), 1, -1):
                served = frozenset.intersection(*(tubes for _, tubes in usual[:number]))
                if len(served) >= _LEAST_SERVED:
                    yield tuple(dose for dose, _ in usual[:number]), served

    def _usual(self, dose: ArmDose) -> frozenset[int]:
        """Tubes that have the concentration most of them have."""
        per_ul = [
            float(f"{amount / volume:.{_SAME}g}") for amount, volume in zip(dose.amounts, self.volumes_ul, strict=True)
        ]
        common = Counter(value for value in per_ul if value > 0).most_common(1)
        return frozenset(index for index, value in enumerate(per_ul) if common and value == common[0][0])

    def _cocktail(self, members: Sequence[ArmDose], served: frozenset[int], total_ul: float) -> Cocktail | None:
        """A cocktail of a volume, or None when it cannot be dosed or made."""
        whole = sum(self.volumes_ul[index] for index in served)
        usable = (total_ul - self.dead_ul) / SPARE
        volumes = tuple(
            round(usable * volume / whole, DECIMALS) if index in served else 0.0
            for index, volume in enumerate(self.volumes_ul)
        )
        most = [sum(dose.limits_ul[index] for dose in members) for index in range(len(volumes))]
        if any(0 < v < max(RIM_UL, self.minimum_ul) or v > m for v, m in zip(volumes, most, strict=True)):
            return None
        errors = self._left(members[0].cost, volumes)
        if self.errors is not None and errors is None:
            return None
        chains = []
        for dose in members:
            together = sum(dose.amounts[index] for index in served) * total_ul / sum(volumes)
            amounts = [0.0 if index in served else amount for index, amount in enumerate(dose.amounts)]
            limits = (*dose.limits_ul, total_ul / (len(members) + 1))
            try:
                chains.append(self._chain(dose, (*amounts, together), limits, self._least(amounts), errors))
            except PlanError:
                return None
        made = Cocktail(chains=tuple(chains), total_ul=total_ul, volumes_ul=volumes)
        return made if made.diluent_ul >= self.minimum_ul else None

    def _least(self, amounts: Sequence[float]) -> float:
        """Smallest dose: what goes into a cocktail alone is mixed in there and need not drop from a rim."""
        return max(RIM_UL, self.minimum_ul) if any(amounts) else self.minimum_ul

    def _left(self, cost: CostModel, volumes: tuple[float, ...]) -> ErrorLimits | None:
        """Errors the chains into a cocktail may have, its own dilution and dose taken off."""
        if self.errors is None:
            return None
        own = cost.dose_errors(volumes).plus(cost.of_volume(self.minimum_ul * 20))
        variance = self.errors.cv_percent**2 - 1e4 * own.variance
        bias = self.errors.bias_percent - 100 * own.bias
        return ErrorLimits(cv_percent=variance**0.5, bias_percent=bias) if variance > 0 and bias > 0 else None


def _eur(made: Cocktail, members: Sequence[ArmDose]) -> float:
    """Cost of a cocktail: its members into the tube and into tubes it does not serve, one mix, one dose for all."""
    cost = members[0].cost
    into = sum(_chain_eur(chain, dose.cost) for dose, chain in zip(members, made.chains, strict=True))
    share = made.total_ul / max(made.total_ul - made.diluent_ul, 1e-9)
    tube = Dilution(factor=max(share, 1.0001), take_ul=made.total_ul - made.diluent_ul, diluent_ul=made.diluent_ul)
    errors = cost.dose_errors(made.volumes_ul)
    return into + cost.dilution_eur(tube) + cost.dose_eur(made.volumes_ul) + len(members) * cost.error_eur(errors)


def _chain_eur(chain: Chain, cost: CostModel) -> float:
    """Cost of a chain with the stock a person measures out: whole microlitres."""
    return cost.eur(chain) + (ceil(round(chain.stock_ul, 3)) - chain.stock_ul) * cost.prices.stock
