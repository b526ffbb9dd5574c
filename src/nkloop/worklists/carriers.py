"""What a lot is diluted in: the liquid its certificate names where the lot list has it, else the base medium."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from nkloop.errors import ShortageError
from nkloop.inventory.models import Lot
from nkloop.worklists.lots import ANY, Stocks, first_lots

BASE = "base"
NO_CARRIER = "none"
"""Carrier of a lot that is the liquid itself, or whose buffer nobody told."""


def carriers_at_hand(lots: Iterable[Lot], stocks: Stocks, use_until: date) -> tuple[str, ...]:
    """Liquids that lots are diluted in and that the lot list can give, each once."""
    names = dict.fromkeys(lot.diluent for lot in lots if lot.diluent != BASE)
    return tuple(name for name in names if _can_give(name, stocks, use_until))


def with_carriers(names: Sequence[str], stocks: Stocks, use_until: date) -> tuple[str, ...]:
    """Components and, after them, the liquids at hand that usable lots of them are diluted in.

    Raises:
        ShortageError: a component has no usable lot.
    """
    usable = first_lots(names, stocks, use_until)
    return (*names, *(one for one in carriers_at_hand(usable.values(), stocks, use_until) if one not in names))


def carrier_of(lot: Lot, lots: Mapping[str, Lot]) -> str:
    """Name of what a lot is diluted in: its own diluent when a lot of it is used, else `base`."""
    return lot.diluent if lot.diluent in lots else BASE


def with_suspension(names: Sequence[str], component: str, stocks: Stocks, use_until: date) -> tuple[str, ...]:
    """Names and, after them, the liquid a component's stock is suspended in, when the lot list can give it.

    Raises:
        ShortageError: the component has no usable lot.
    """
    carrier = first_lots((component,), stocks, use_until)[component].carrier
    if carrier in {BASE, NO_CARRIER, *names} or not _can_give(carrier, stocks, use_until):
        return tuple(names)
    return (*names, carrier)


def suspension_of(lot: Lot, lots: Mapping[str, Lot]) -> str:
    """What stands in for a stock in a culture that goes without it: what the stock is suspended in when a lot of that
    is used, else what it is diluted in.
    """
    return lot.carrier if lot.carrier in lots else carrier_of(lot, lots)


def carrier_name(carrier: str, base: str) -> str:
    """What a carrier is called in notes, where the base medium has a name of its own."""
    return base if carrier == BASE else carrier


def carrier_notes(components: Iterable[str], lots: Mapping[str, Lot], base: str) -> tuple[str, ...]:
    """One sentence per liquid that should be diluted in and is not at hand.

    Args:
        components: that are diluted.
        lots: lot of every component and carrier that is used.
        base: what the base medium is called.
    """
    missing: dict[str, list[str]] = {}
    for name in components:
        lot = lots[name]
        if lot.diluent != BASE and carrier_of(lot, lots) == BASE:
            missing.setdefault(lot.diluent, []).append(name)
    return tuple(
        f"{', '.join(names)} would be diluted in {carrier}, as the certificate says; no lot of it can be used, "
        f"so {base} is taken."
        for carrier, names in missing.items()
    )


def _can_give(name: str, stocks: Stocks, use_until: date) -> bool:
    try:
        stocks.choose(name, ANY, use_until)
    except ShortageError:
        return False
    return True
