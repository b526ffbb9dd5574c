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
from nkloop.worklists.chains import Chain, Cocktail
from nkloop.worklists.cocktails import TOTALS_UL, Dose, cocktail_eur, errors_left, one_by_one
from nkloop.worklists.dilution import SPARE, plan_chain
from nkloop.worklists.taps import DECIMALS

RIM_UL = 10.0
"""Smallest dose dropped from the rim: a smaller drop may hang on the tip. Unverified."""
_SAME = 9
"""Digits in which two concentrations are the same."""
_LEAST_SERVED = 2
"""Fewer tubes than this share nothing."""


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

    def plan(self, doses: Sequence[Dose], *, may_share: bool = True) -> ArmDoses:
        """Each component by its cheapest chain, then those together that cost less as a cocktail.

        Raises:
            PlanError: no chain serves a component; all of them are told.
        """
        chains = one_by_one(doses, self._single)
        found = ArmDoses({name: chain for name, chain in chains.items() if chain.stock_ul > 0})
        left = [dose for dose in doses if dose.component in found.chains]
        while may_share and (better := self._shared(left, found)) is not None:
            found = better
            left = [dose for dose in left if dose.component not in better.cocktails[-1].components]
        return found

    def _single(self, dose: Dose) -> Chain:
        """Doses large enough to be dropped from the rim, or smaller ones where the arms differ too much for that.

        Where only several dilutions make all doses large enough, smaller doses out of fewer tubes may cost less.
        """
        found: list[Chain] = []
        try:
            found.append(self._chain(dose, dose.amounts, dose.limits_ul, max(RIM_UL, self.minimum_ul)))
        except PlanError:
            if self.minimum_ul >= RIM_UL:
                raise
        if self.minimum_ul < RIM_UL and (not found or len(found[0].tapped) > 1):
            found.append(self._chain(dose, dose.amounts, dose.limits_ul, self.minimum_ul))
        return min(found, key=lambda chain: _chain_eur(dose.cost, chain))

    def _chain(
        self,
        dose: Dose,
        amounts: Sequence[float],
        limits_ul: Sequence[float],
        least_ul: float,
        errors: ErrorLimits | None = None,
    ) -> Chain:
        return plan_chain(
            dose.component,
            dose.stock_per_ul,
            amounts,
            minimum_ul=self.minimum_ul,
            least_dose_ul=least_ul,
            tube_ul=self.tube_ul,
            dead_ul=self.dead_ul,
            limits_ul=limits_ul,
            cost=dose.cost,
            errors=errors or self.errors,
            stock=dose.stock,
        )

    def _shared(self, doses: Sequence[Dose], now: ArmDoses) -> ArmDoses | None:
        """The plan with the one cocktail that saves most, or None when none saves anything."""
        best, best_saved = None, 0.0
        for members, served in self._candidates(doses):
            alone = sum(_chain_eur(dose.cost, now.chains[dose.component]) for dose in members)
            for total in (volume for volume in TOTALS_UL if volume <= self.tube_ul):
                made = self._cocktail(members, served, total)
                if made is not None and (saved := alone - cocktail_eur(made, members, _chain_eur)) > best_saved:
                    best, best_saved = made, saved
        if best is None:
            return None
        return ArmDoses({**now.chains, **{c.component: c for c in best.chains}}, (*now.cocktails, best))

    def _candidates(self, doses: Sequence[Dose]) -> Iterator[tuple[tuple[Dose, ...], frozenset[int]]]:
        """Components with the same diluent and the tubes that have all of them at their usual concentration."""
        for diluent in dict.fromkeys(dose.diluent for dose in doses):
            usual = [(dose, self._usual(dose)) for dose in doses if dose.diluent == diluent]
            usual.sort(key=lambda one: -len(one[1]))
            for number in range(len(usual), 1, -1):
                served = frozenset.intersection(*(tubes for _, tubes in usual[:number]))
                if len(served) >= _LEAST_SERVED:
                    yield tuple(dose for dose, _ in usual[:number]), served

    def _usual(self, dose: Dose) -> frozenset[int]:
        """Tubes that have the concentration most of them have."""
        per_ul = [
            float(f"{amount / volume:.{_SAME}g}") for amount, volume in zip(dose.amounts, self.volumes_ul, strict=True)
        ]
        common = Counter(value for value in per_ul if value > 0).most_common(1)
        return frozenset(index for index, value in enumerate(per_ul) if common and value == common[0][0])

    def _cocktail(self, members: Sequence[Dose], served: frozenset[int], total_ul: float) -> Cocktail | None:
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
        errors = None
        if self.errors is not None:
            errors = errors_left(self.errors, members[0].cost, volumes, self.minimum_ul)
            if errors is None:
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


def _chain_eur(cost: CostModel, chain: Chain) -> float:
    """Cost of a chain with the stock a person measures out: whole microlitres."""
    return cost.eur(chain) + (ceil(round(chain.stock_ul, 3)) - chain.stock_ul) * cost.prices.stock
