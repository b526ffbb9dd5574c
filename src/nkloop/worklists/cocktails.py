"""Which pre-diluted components share a tube: mixed once, dosed together, when that costs less than dosing each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nkloop.errors import PlanError
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.worklists.chain_cost import CostModel
from nkloop.worklists.chains import Chain, Cocktail, Dilution
from nkloop.worklists.dilution import SPARE, TooInaccurateError, plan_chain
from nkloop.worklists.taps import DECIMALS

TOTALS_UL = (250.0, 400.0, 600.0, 1000.0, 1400.0)
"""Volumes of a cocktail that are tried."""
_SAME_SHARE = 1e-9


@dataclass(frozen=True)
class Dose:
    """What the destinations need of one component."""

    component: str
    stock_per_ul: float
    amounts: tuple[float, ...]
    """Per destination, in the unit of `stock_per_ul` times µL; zero needs nothing."""
    limits_ul: tuple[float, ...]
    """Most each destination takes."""
    cost: CostModel
    diluent: str
    """What it is diluted in; only components with the same diluent share a cocktail."""
    may_share: bool = True
    """False for what is never mixed with others before the medium, such as serum."""
    stock: str = ""
    """Lot and strength for messages."""


@dataclass(frozen=True)
class Doses:
    """How every component gets into its destinations."""

    chains: Mapping[str, Chain]
    """Chains to the destinations, or to the cocktail the component is in."""
    cocktails: tuple[Cocktail, ...] = ()

    @property
    def in_cocktails(self) -> frozenset[str]:
        """Components that are dosed with a cocktail."""
        return frozenset(name for cocktail in self.cocktails for name in cocktail.components)

    def volumes_into(self, index: int) -> float:
        """Everything that goes into one destination, µL."""
        single = [chain.volumes_ul for name, chain in self.chains.items() if name not in self.in_cocktails]
        return sum(volumes[index] for volumes in (*single, *(one.volumes_ul for one in self.cocktails)))


@dataclass
class DosePlanner:
    """Finds chains and cocktails for one pipette and kind of tube; remembers chains it has found."""

    minimum_ul: float
    tube_ul: float
    dead_ul: float
    errors: ErrorLimits
    _known: dict[object, Chain | PlanError] = field(default_factory=dict)

    def plan(self, doses: Sequence[Dose]) -> Doses:
        """Each component by its cheapest chain, then together those that cost less as a cocktail.

        Raises:
            PlanError: no chain serves a component; all of them are told.
        """
        chains = one_by_one(doses, self.chain)
        cocktails = []
        for group in self._groups(doses, chains):
            cocktail = self._cheaper(group, chains)
            if cocktail is not None:
                cocktails.append(cocktail)
                chains |= {chain.component: chain for chain in cocktail.chains}
        return Doses(chains, tuple(cocktails))

    def chain(self, dose: Dose, errors: ErrorLimits | None = None) -> Chain:
        """The cheapest chain of one component.

        Raises:
            PlanError: none serves.
        """
        limits = errors or self.errors
        key = dose.component, dose.stock_per_ul, dose.amounts, dose.limits_ul, dose.cost.prices, limits
        if key not in self._known:
            try:
                self._known[key] = plan_chain(
                    dose.component,
                    dose.stock_per_ul,
                    dose.amounts,
                    minimum_ul=self.minimum_ul,
                    tube_ul=self.tube_ul,
                    dead_ul=self.dead_ul,
                    limits_ul=dose.limits_ul,
                    cost=dose.cost,
                    errors=limits,
                    stock=dose.stock,
                )
            except PlanError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, PlanError):
            raise found
        return found

    def _groups(self, doses: Sequence[Dose], chains: Mapping[str, Chain]) -> list[list[Dose]]:
        """Components that need a dilution of their own and whose doses keep one ratio in every destination."""
        groups: dict[tuple[object, ...], list[Dose]] = {}
        for dose in doses:
            total = sum(dose.amounts)
            if not dose.may_share or total <= 0 or not chains[dose.component].dilutions:
                continue
            shares = tuple(round(amount / total / _SAME_SHARE) for amount in dose.amounts)
            groups.setdefault((dose.diluent, *shares), []).append(dose)
        return [group for group in groups.values() if len(group) > 1]

    def _cheaper(self, group: Sequence[Dose], chains: Mapping[str, Chain]) -> Cocktail | None:
        """The cheapest cocktail of a group, if it costs less than its members one by one."""
        best, best_eur = None, sum(dose.cost.eur(chains[dose.component]) for dose in group)
        for total in TOTALS_UL:
            made = self._cocktail(group, total) if total <= self.tube_ul else None
            if made is not None and (eur := cocktail_eur(made, group, CostModel.eur)) < best_eur:
                best, best_eur = made, eur
        return best

    def _cocktail(self, group: Sequence[Dose], total_ul: float) -> Cocktail | None:
        usable = (total_ul - self.dead_ul) / SPARE
        whole = sum(group[0].amounts)
        volumes = tuple(round(usable * amount / whole, DECIMALS) for amount in group[0].amounts)
        small = any(0 < volume < self.minimum_ul for volume in volumes)
        if small or any(v > most for v, most in zip(volumes, group[0].limits_ul, strict=True)):
            return None
        errors = errors_left(self.errors, group[0].cost, volumes, self.minimum_ul)
        if errors is None:
            return None
        share = total_ul / sum(volumes)
        chains = []
        for dose in group:
            into = Dose(
                dose.component,
                dose.stock_per_ul,
                (sum(dose.amounts) * share,),
                (total_ul / (len(group) + 1),),
                dose.cost,
                dose.diluent,
                dose.may_share,
            )
            try:
                chains.append(self.chain(into, errors))
            except PlanError:
                return None
        made = Cocktail(chains=tuple(chains), total_ul=total_ul, volumes_ul=volumes)
        return made if made.diluent_ul >= self.minimum_ul else None


def one_by_one(doses: Iterable[Dose], chain: Callable[[Dose], Chain]) -> dict[str, Chain]:
    """A chain for each component by itself.

    Raises:
        PlanError: no chain serves a component; all of them are told.
    """
    chains: dict[str, Chain] = {}
    problems: list[PlanError] = []
    for dose in doses:
        try:
            chains[dose.component] = chain(dose)
        except PlanError as error:
            problems.append(error)
    if problems:
        kind = TooInaccurateError if all(isinstance(e, TooInaccurateError) for e in problems) else PlanError
        raise kind.from_problems(problem for error in problems for problem in error.problems)
    return chains


def errors_left(
    limits: ErrorLimits, cost: CostModel, volumes: tuple[float, ...], minimum_ul: float
) -> ErrorLimits | None:
    """Errors the chains into a cocktail may have, its own dilution and dose taken off; None when nothing is left."""
    own = cost.dose_errors(volumes).plus(cost.of_volume(minimum_ul * 20))
    variance = limits.cv_percent**2 - 1e4 * own.variance
    bias = limits.bias_percent - 100 * own.bias
    return ErrorLimits(cv_percent=variance**0.5, bias_percent=bias) if variance > 0 and bias > 0 else None


def cocktail_eur(made: Cocktail, members: Sequence[Dose], chain_eur: Callable[[CostModel, Chain], float]) -> float:
    """Cost of a cocktail: the chains of its members, then one tube, mix and dose for all of them.

    Args:
        made: the cocktail.
        members: its components, in the order of its chains.
        chain_eur: cost of a chain by itself.
    """
    cost = members[0].cost
    into = sum(chain_eur(dose.cost, chain) for dose, chain in zip(members, made.chains, strict=True))
    share = made.total_ul / max(made.total_ul - made.diluent_ul, 1e-9)
    tube = Dilution(factor=max(share, 1.0001), take_ul=made.total_ul - made.diluent_ul, diluent_ul=made.diluent_ul)
    errors = cost.dose_errors(made.volumes_ul)
    return into + cost.dilution_eur(tube) + cost.dose_eur(made.volumes_ul) + len(members) * cost.error_eur(errors)
