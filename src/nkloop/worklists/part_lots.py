"""One lot per component for all parts of a plan, in a unit that serves it, and everything that is short at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import date
from typing import TypeVar

from nkloop.errors import NkloopError, PlanError, Problem, ShortageError
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount, Kind
from nkloop.worklists.component_kinds import in_a_liquid
from nkloop.worklists.lots import ANY, LotUse, Stocks, chosen_lots

Planned = TypeVar("Planned")
Asked = Iterable[tuple[str, Amount]]
"""Components and how much of each is wanted in a liquid, as the recipe writes it."""

_STRONGER = 1000.0
"""How much stronger than what is wanted of it a stock is taken to be where there is none: as cytokines usually are."""


class _InKinds:
    """Stocks asked only for lots whose concentration can be told in the units a plan wants."""

    def __init__(self, stocks: Stocks, asked: Mapping[str, Collection[Kind]]) -> None:
        self._stocks, self._asked = stocks, asked

    def choose(self, component: str, needed: Amount, use_until: date, kinds: Collection[Kind] = (), /) -> Lot:
        """The lot for the volume, in all units the plan wants of the component.

        Raises:
            ShortageError: no valid lot holds so much in such a unit.
        """
        return self._stocks.choose(component, needed, use_until, kinds or self._asked.get(component, ()))


class _AtLeast:
    """Stocks asked for at least what all parts of a plan take together."""

    def __init__(self, stocks: Stocks, least_ul: Mapping[str, float]) -> None:
        self._stocks, self._least_ul = stocks, least_ul

    def choose(self, component: str, needed: Amount, use_until: date, kinds: Collection[Kind] = (), /) -> Lot:
        """The lot for the larger of the volume asked for and that of all parts.

        Raises:
            ShortageError: no valid lot holds so much.
        """
        volume = max(needed.to("µL"), self._least_ul.get(component, 0.0))
        return self._stocks.choose(component, Amount(volume, "µL"), use_until, kinds)


class _StandIns:
    """Stocks that never run short: what they lack is noted, and a lot nobody has stands in for it."""

    def __init__(self, stocks: Stocks, missing: Collection[str], asked: Mapping[str, Amount]) -> None:
        self._stocks, self._missing, self._asked = stocks, missing, asked
        self.short: dict[str, tuple[Problem, ...]] = {}
        """Component to what is told of the first volume of it that no lot gives."""

    def choose(self, component: str, needed: Amount, use_until: date, kinds: Collection[Kind] = (), /) -> Lot:
        """The lot of the stocks, else a stand-in.

        Raises:
            ShortageError: a plan asks whether there is a liquid at all and can do without it.
        """
        try:
            return self._stocks.choose(component, needed, use_until, kinds)
        except ShortageError as error:
            if component not in self._missing and needed == ANY:
                raise
            self.short.setdefault(component, tuple(error.problems))
            return _stand_in(component, self._asked.get(component), use_until)


def lots_over(
    plan: Callable[[Stocks], Planned],
    stocks: Stocks,
    use_until: date,
    uses: Callable[[Planned], Iterable[Iterable[LotUse]]],
    asked: Asked = (),
) -> Planned:
    """Plan several parts with one lot per component that holds enough for all of them.

    Args:
        plan: plans all parts with the stocks given.
        stocks: where lots come from.
        use_until: end of use.
        uses: what each part takes.
        asked: what is wanted of components; a lot whose concentration cannot be told in such a unit is passed over.

    Raises:
        ShortageError: no valid lot holds enough for all parts; tells all components that are short.
        PlanError: no choice of lots settles.
    """
    wanted = tuple(asked)
    of_kind = _InKinds(stocks, _kinds(wanted))
    least: dict[str, float] = {}
    for _ in range(8):
        offered = _AtLeast(of_kind, least)
        try:
            made = plan(offered)
        except ShortageError as error:
            raise _with_others(error, plan, offered, dict(wanted)) from error
        taken = [use for part in uses(made) for use in part]
        totals: dict[str, float] = {}
        for use in taken:
            totals[use.component] = totals.get(use.component, 0.0) + use.volume_ul
        chosen = chosen_lots(totals, of_kind, use_until)
        if all(use.lot == chosen[use.component].id for use in taken):
            return made
        least = totals
    raise PlanError("no choice of lots settles", where="lots", remedy="name the lots to use by removing the others")


def _kinds(asked: Asked) -> dict[str, tuple[Kind, ...]]:
    found: dict[str, tuple[Kind, ...]] = {}
    for component, amount in asked:
        found[component] = tuple(dict.fromkeys((*found.get(component, ()), in_a_liquid(amount))))
    return found


def _with_others(
    error: ShortageError, plan: Callable[[Stocks], object], stocks: Stocks, asked: Mapping[str, Amount]
) -> NkloopError:
    """The shortage with those that would only be met once it is mended."""
    known = {problem.where for problem in error.problems}
    standing = _StandIns(stocks, known, asked)
    # whatever else is wrong with the plan is told when nothing is short any more
    with suppress(NkloopError):
        plan(standing)
    others = [one for component, told in standing.short.items() if component not in known for one in told]
    return ShortageError.from_problems([*error.problems, *others])


def _stand_in(component: str, wanted: Amount | None, use_until: date) -> Lot:
    kind = Kind.FRACTION if wanted is None else in_a_liquid(wanted)
    strong = Amount(1e8, "TU/mL") if kind is Kind.TITRE else Amount(100, "% v/v")
    if wanted is not None and kind is wanted.kind and kind is not Kind.FRACTION:
        strong = wanted.scaled(_STRONGER)
    return Lot(
        id=f"stand-in {component}"[:60],
        component=component,
        lot_number="none",
        supplier="none",
        concentration=strong.of(component),
        volume=Amount(20, "L"),
        expires=use_until,
    )
