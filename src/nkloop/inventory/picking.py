"""Which containers of a lot give a volume, and why a lot cannot."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from itertools import groupby

from nkloop.errors import InventoryError
from nkloop.frozen import FrozenModel
from nkloop.inventory.containers import Container
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount, Kind

NOTHING_UL = 1e-3
"""A volume below this (1 nL, the unit stock is counted in) is rounding, not liquid."""
_MOST_NAMED = 4
_MANY_ALIKE = 4


class Held(FrozenModel):
    """A volume reserved in a container."""

    container: str
    """Barcode of the container."""
    volume_ul: float
    plan: str
    """Plan or run it is reserved for."""
    until: datetime
    """When the reservation ends by itself."""


class Portion(FrozenModel):
    """What one container gives."""

    container: str
    """Barcode of the container."""
    volume_ul: float
    """What is drawn from it, without what is discarded."""
    discarded_ul: float = 0.0
    """Its dead volume, lost when the container is emptied."""
    thaws: bool = False
    """True when a frozen container is thawed for it."""


class Pick(FrozenModel):
    """A lot and the containers that give a volume, in the order they are taken."""

    lot: Lot
    portions: tuple[Portion, ...]
    """Those that end first at the head."""

    @property
    def sentence(self) -> str:
        """What a person takes out: `LOT-1: 2 containers pooled: V-01 40 µL (thaw), V-02 60 µL (thaw)`."""
        return f"{self.lot.id}: {self.containers}"

    @property
    def containers(self) -> str:
        """The containers to take out, without the lot."""
        alike = groupby(self.portions, key=lambda one: (shown(one.volume_ul), one.thaws))
        told = ", ".join(_alike([one.container for one in group], *key) for key, group in alike)
        pooled = f"{len(self.portions)} containers pooled: " if len(self.portions) > 1 else ""
        lost = math.fsum(one.discarded_ul for one in self.portions)
        rest = f"; {shown(lost)} dead volume is discarded" if lost > 0 else ""
        return f"{pooled}{told}{rest}"


def _alike(barcodes: list[str], volume: str, thaws: bool) -> str:
    """Containers that give the same: a few by name, many as the first to the last."""
    each = f"{volume}{' (thaw)' if thaws else ''}"
    if len(barcodes) < _MANY_ALIKE:
        return ", ".join(f"{barcode} {each}" for barcode in barcodes)
    return f"{barcodes[0]} to {barcodes[-1]}, {len(barcodes)} with {each} each"


def portions(lot: Lot, volume_ul: float, use_until: date, held: Mapping[str, float]) -> tuple[Portion, ...]:
    """Containers of a lot that give a volume together, those that end first at the head; empty when they cannot.

    Args:
        held: µL reserved per container.
    """
    left, taken = volume_ul, []
    usable = (one for one in lot.vessels if not container_fault(lot, one, use_until))
    for one in sorted(usable, key=lambda one: (valid_until(lot, one), one.opened is None and one.thawed is None)):
        free = free_ul(one, held)
        if left <= NOTHING_UL or free <= NOTHING_UL:
            continue
        volume = min(free, left)
        left -= volume
        rest = one.volume_ul - volume
        is_emptied = rest <= one.dead_ul + NOTHING_UL and not held.get(one.barcode)
        taken.append(
            Portion(
                container=one.barcode,
                volume_ul=volume,
                discarded_ul=max(0.0, rest) if is_emptied else 0.0,
                thaws=lot.is_frozen and one.thawed is None,
            )
        )
    return tuple(taken) if left <= NOTHING_UL else ()


def free_ul(container: Container, held: Mapping[str, float]) -> float:
    """What can still be taken of a container: without its dead volume and what is reserved."""
    return max(0.0, container.volume_ul - container.dead_ul - held.get(container.barcode, 0.0))


def valid_until(lot: Lot, container: Container) -> date:
    """Last day of use of a container."""
    return container.valid_until(lot.expires, lot.opened_life)


def lot_valid_until(lot: Lot, use_until: date) -> date:
    """Last day of use of the container that ends first among those that can be used."""
    usable = [valid_until(lot, one) for one in lot.vessels if not container_fault(lot, one, use_until)]
    return min(usable, default=lot.expires)


def container_fault(lot: Lot, container: Container, use_until: date) -> str:
    """Why a container cannot be used until that day; empty when it can."""
    if container.volume_ul <= NOTHING_UL:
        return "is empty"
    end = valid_until(lot, container)
    if end < use_until <= lot.expires:
        day = container.thawed or container.opened
        return f"was {'thawed' if container.thawed else 'opened'} {day} and is good until {end}"
    if lot.is_frozen and container.thawed is None and container.freeze_thaws >= lot.max_freeze_thaws:
        return f"is frozen and has had {container.freeze_thaws} of {lot.max_freeze_thaws} thaws"
    return ""


def state_fault(lot: Lot) -> str:
    """That a lot is not released, and why: `is blocked (turbid)`; empty when it is."""
    if lot.state == "released":
        return ""
    return f"is {lot.state}" + (f" ({lot.state_reason})" if lot.state_reason else "")


def passed_over(lot: Lot, volume_ul: float, use_until: date, held: Iterable[Held], kinds: Collection[Kind] = ()) -> str:
    """Why a lot cannot give a volume until that day in such kinds, in one line; empty when it can."""
    of_lot = {one.barcode for one in lot.vessels}
    reserved = [one for one in held if one.container in of_lot]
    if fault := state_fault(lot):
        return f"it {fault}"
    if lot.expires < use_until:
        return f"it expires {lot.expires}, before the end of use {use_until}"
    if lot.volume_ul <= NOTHING_UL:
        return "it is used up"
    if fault := kind_fault(lot, kinds):
        return fault
    faults = {one.barcode: container_fault(lot, one, use_until) for one in lot.vessels}
    usable = [one for one in lot.vessels if not faults[one.barcode]]
    if not usable:
        return f"it {faults[lot.id]}" if not lot.containers else f"no container can be used: {_named(faults)}"
    free = math.fsum(free_ul(one, held_per_container(reserved)) for one in usable)
    if volume_ul <= free + NOTHING_UL and free > NOTHING_UL:
        return ""
    return _too_little(lot, usable, free, volume_ul, reserved, faults)


def kind_fault(lot: Lot, kinds: Collection[Kind]) -> str:
    """Why the concentration of a lot cannot be told in all of the kinds; empty when it can."""
    for kind in kinds:
        try:
            lot.strength(kind)
        except InventoryError as error:
            cause = error.problems[0]
            return f"its {cause.message}: {cause.remedy}" if cause.remedy else f"its {cause.message}"
    return ""


def held_per_container(held: Iterable[Held]) -> dict[str, float]:
    """µL reserved per container."""
    total: dict[str, float] = {}
    for one in held:
        total[one.container] = total.get(one.container, 0.0) + one.volume_ul
    return total


def shown(volume_ul: float) -> str:
    """A volume for people, with as many digits as on run sheets."""
    return Amount(volume_ul, Kind.VOLUME.value).display(4)


def _too_little(
    lot: Lot, usable: list[Container], free: float, volume_ul: float, reserved: list[Held], faults: dict[str, str]
) -> str:
    needed = f"{shown(volume_ul)} are needed"
    whole = math.fsum(one.volume_ul for one in lot.vessels)
    if free >= whole - NOTHING_UL:
        return f"it holds {shown(whole)}, {needed}"
    reasons = []
    dead = math.fsum(min(one.dead_ul, one.volume_ul) for one in usable)
    if dead > 0:
        reasons.append(f"{shown(dead)} dead volume")
    for plan, until in dict.fromkeys((one.plan, one.until) for one in reserved):
        volume = math.fsum(one.volume_ul for one in reserved if one.plan == plan)
        reasons.append(f"{shown(volume)} reserved for {plan} until {until:%Y-%m-%d %H:%M}")
    if named := _named({barcode: fault for barcode, fault in faults.items() if fault and fault != "is empty"}):
        reasons.append(named)
    return f"it can give {shown(free)} of the {shown(whole)} it holds ({'; '.join(reasons)}), {needed}"


def _named(faults: Mapping[str, str]) -> str:
    told = [f"{barcode} {fault}" for barcode, fault in faults.items() if fault]
    more = f", and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    return ", ".join(told[:_MOST_NAMED]) + more
