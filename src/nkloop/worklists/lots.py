"""Which lots a plan takes: chosen by the inventory, settled by planning again when another lot is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Protocol, TypeVar

from nkloop.errors import PlanError, Problem, ShortageError
from nkloop.frozen import FrozenModel
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount, Kind
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.models import LotFacts, Worklist

Planned = TypeVar("Planned")


class Stocks(Protocol):
    """What a planner needs of an inventory."""

    def choose(self, component: str, needed: Amount, use_until: date, /) -> Lot:
        """Lot of the component with enough volume that is valid to the end of use; raises ShortageError."""


class LotUse(FrozenModel):
    """What a plan puts on the deck of one lot."""

    component: str
    """What the lot is of."""
    lot: str
    """Id of the lot, or what stands for one (a prepared medium, a harvest)."""
    volume_ul: float
    """Volume to put on the deck, dead volume included."""
    drawn_ul: float
    """Volume the steps take."""


def lot_uses(worklist: Worklist, lots: dict[str, Lot], catalogue: LabwareLookup) -> tuple[LotUse, ...]:
    """What the worklist takes of each lot, read from its fillings and the ledger."""
    ledger = follow(worklist, catalogue)
    uses = []
    for component, lot in lots.items():
        on_deck = sum(f.volume_ul for f in worklist.fillings if f.liquid.lot == lot.id)
        if on_deck:
            drawn = ledger.taken.get(lot.id, 0.0)
            uses.append(LotUse(component=component, lot=lot.id, volume_ul=on_deck, drawn_ul=drawn))
    return tuple(uses)


def lot_facts(lot: Lot) -> LotFacts:
    """What the worklist keeps of a lot for its checks.

    A frozen stock that is not the component itself (a cytokine, not serum) is kept cold on the deck.
    """
    return LotFacts(
        id=lot.id,
        component=lot.component,
        expires=lot.expires,
        on_hand_ul=lot.volume_ul,
        keep_cold=lot.is_frozen and lot.concentration.kind is not Kind.FRACTION,
        light_sensitive=lot.light_sensitive,
        storage=lot.storage,
    )


def summed_uses(parts: Iterable[Iterable[LotUse]]) -> tuple[LotUse, ...]:
    """What several worklists take together, one line per lot."""
    found: dict[str, LotUse] = {}
    for use in (use for part in parts for use in part):
        known = found.get(use.lot)
        volume, drawn = (known.volume_ul, known.drawn_ul) if known else (0.0, 0.0)
        more = {"volume_ul": volume + use.volume_ul, "drawn_ul": drawn + use.drawn_ul}
        found[use.lot] = use.model_copy(update=more)
    return tuple(found.values())


def first_lots(
    names: Iterable[str], stocks: Stocks, use_until: date, amounts: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Lot]:
    """A usable lot of every component, before it is known how much of each is taken.

    Args:
        names: components.
        stocks: where lots come from.
        use_until: end of use.
        amounts: how much of a component is needed, in words, where that is known without its stock.

    Raises:
        ShortageError: every component without a usable lot, each with the lots that were passed over and why.
    """
    lots: dict[str, Lot] = {}
    problems: list[Problem] = []
    for name in names:
        try:
            lots[name] = stocks.choose(name, Amount(1, "µL"), use_until)
        except ShortageError as error:
            first, *passed_over = error.problems
            need = f"; {amounts[name]} are needed" if name in amounts else ""
            told = f"no lot of {name} can be used until {use_until}{need}"
            problems += [Problem(told, name, first.remedy), *passed_over]
    if problems:
        raise ShortageError.from_problems(problems)
    return lots


def with_lots(
    components: Iterable[str],
    stocks: Stocks,
    use_until: date,
    plan: Callable[[dict[str, Lot]], tuple[Worklist, Planned]],
) -> tuple[Worklist, Planned, dict[str, Lot]]:
    """Plan with the lots that hold enough for the plan; another lot may be stronger, so the plan is made again.

    Raises:
        ShortageError: no valid lot holds enough.
        PlanError: no choice of lots settles.
    """
    names = tuple(dict.fromkeys(components))
    lots = first_lots(names, stocks, use_until)
    for _ in range(8):
        worklist, planned = plan(lots)
        needs = {
            name: sum(f.volume_ul for f in worklist.fillings if f.liquid.lot == lot.id) for name, lot in lots.items()
        }
        chosen = {name: stocks.choose(name, Amount(max(need, 1.0), "µL"), use_until) for name, need in needs.items()}
        if all(chosen[name].id == lots[name].id for name in names):
            facts = tuple(lot_facts(lot) for lot in lots.values() if needs[lot.component])
            return worklist.model_copy(update={"lots": facts, "use_until": use_until}), planned, lots
        lots = chosen
    raise PlanError("no choice of lots settles", where="lots", remedy="name the lots to use by removing the others")


class _AtLeast:
    """Stocks asked for at least what all parts of a plan take together."""

    def __init__(self, stocks: Stocks, least_ul: dict[str, float]) -> None:
        self._stocks, self._least_ul = stocks, least_ul

    def choose(self, component: str, needed: Amount, use_until: date, /) -> Lot:
        """The lot for the larger of the volume asked for and that of all parts.

        Raises:
            ShortageError: no valid lot holds so much.
        """
        volume = max(needed.to("µL"), self._least_ul.get(component, 0.0))
        return self._stocks.choose(component, Amount(volume, "µL"), use_until)


def lots_over(
    plan: Callable[[Stocks], Planned],
    stocks: Stocks,
    use_until: date,
    uses: Callable[[Planned], Iterable[Iterable[LotUse]]],
) -> Planned:
    """Plan several parts with one lot per component that holds enough for all of them.

    Args:
        plan: plans all parts with the stocks given.
        stocks: where lots come from.
        use_until: end of use.
        uses: what each part takes.

    Raises:
        ShortageError: no valid lot holds enough for all parts.
        PlanError: no choice of lots settles.
    """
    least: dict[str, float] = {}
    for _ in range(8):
        made = plan(_AtLeast(stocks, least))
        taken = [use for part in uses(made) for use in part]
        totals: dict[str, float] = {}
        for use in taken:
            totals[use.component] = totals.get(use.component, 0.0) + use.volume_ul
        chosen = {name: stocks.choose(name, Amount(total, "µL"), use_until).id for name, total in totals.items()}
        if all(use.lot == chosen[use.component] for use in taken):
            return made
        least = totals
    raise PlanError("no choice of lots settles", where="lots", remedy="name the lots to use by removing the others")
