"""Which lots a plan takes: chosen by the inventory, settled by planning again when another lot is needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
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

ANY = Amount(1, "µL")
"""Asked for before it is known how much is taken."""


class Stocks(Protocol):
    """What a planner needs of an inventory."""

    def choose(self, component: str, needed: Amount, use_until: date, kinds: Collection[Kind] = (), /) -> Lot:
        """Lot of the component with enough volume that is valid to the end of use; raises ShortageError.

        Args:
            kinds: what the concentration of the lot has to be told in; any when empty.
        """


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
        container_ul=max((one.volume_ul for one in lot.containers), default=0.0),
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
            lots[name] = stocks.choose(name, ANY, use_until)
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
        ShortageError: no valid lot holds enough; tells all components that are short.
        PlanError: no choice of lots settles.
    """
    names = tuple(dict.fromkeys(components))
    lots = first_lots(names, stocks, use_until)
    for _ in range(8):
        worklist, planned = plan(lots)
        needs = {
            name: sum(f.volume_ul for f in worklist.fillings if f.liquid.lot == lot.id) for name, lot in lots.items()
        }
        chosen = chosen_lots(needs, stocks, use_until)
        if all(chosen[name].id == lots[name].id for name in names):
            facts = tuple(lot_facts(lot) for lot in lots.values() if needs[lot.component])
            return worklist.model_copy(update={"lots": facts, "use_until": use_until}), planned, lots
        lots = chosen
    raise PlanError("no choice of lots settles", where="lots", remedy="name the lots to use by removing the others")


def chosen_lots(needs_ul: Mapping[str, float], stocks: Stocks, use_until: date) -> dict[str, Lot]:
    """The lot of every component that gives its volume.

    Raises:
        ShortageError: every component of which no lot gives so much.
    """
    lots: dict[str, Lot] = {}
    problems: list[Problem] = []
    for name, need in needs_ul.items():
        try:
            lots[name] = stocks.choose(name, Amount(max(need, ANY.canonical), "µL"), use_until)
        except ShortageError as error:
            problems += error.problems
    if problems:
        raise ShortageError.from_problems(problems)
    return lots
