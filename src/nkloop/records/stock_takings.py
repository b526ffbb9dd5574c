"""What a run took and what a person found, as postings; nothing ever goes below zero."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from nkloop.errors import InventoryError
from nkloop.inventory import Container, Held, Inventory, Lot
from nkloop.inventory.containers import over_capacity
from nkloop.inventory.picking import NOTHING_UL, shown, valid_until
from nkloop.records.stock_balances import whole_nanolitres
from nkloop.records.stock_models import ContainerDetail, Posting, PostingKind, Taken

LEFT_OVER = "left over on the deck"
"""End of the reason why something of a run was discarded that its steps have not drawn."""
PARTED_ANEW = "parted anew"
"""End of the reason of what only moves a volume between what a run took and what it left over."""


@dataclass(frozen=True)
class _Signed:
    """Who, when, why; the same for all postings of one act."""

    by: str
    at: datetime
    why: str
    run_id: str | None = None

    def post(self, lot: Lot, container: Container, kind: PostingKind, volume_ul: float = 0.0, **more: Any) -> Posting:
        fields: dict[str, Any] = {"lot": lot.id, "container": container.barcode, "kind": kind, "volume_ul": volume_ul}
        signed = {"run_id": self.run_id, "at": self.at, "by": self.by, "why": self.why}
        return Posting.model_validate(signed | fields | more)


def takings(
    stock: Inventory,
    taken: Mapping[str, Taken],
    reserved: Mapping[str, float],
    *,
    run_id: str,
    by: str,
    at: datetime,
) -> tuple[Posting, ...]:
    """Postings of a run: drawn, discarded with the deck, dead volumes of emptied containers, thaws.

    Args:
        reserved: µL per container that were reserved for the run; they are taken first.
    """
    known = {lot.id: lot for lot in stock.lots}
    others = _held_by_others(stock.held, reserved)
    made: list[Posting] = []
    for lot_id, amount in taken.items():
        if lot_id in known and amount.loaded_ul > NOTHING_UL:
            made += _of_lot(known[lot_id], amount, reserved, others, _Signed(by, at, f"run {run_id}", run_id))
    return tuple(made)


def parted_anew(
    posted: Sequence[Posting], taken: Mapping[str, Taken], *, run_id: str, by: str, at: datetime
) -> tuple[Posting, ...]:
    """Postings that part what a run had on the deck anew, where its steps drew another volume than was known then.

    What containers hold stays as it is.

    Args:
        posted: everything that was posted of the run.
        taken: what it took of each lot, as it is known now.
        run_id: the run.
        by: who has posted it.
        at: when.
    """
    made: list[Posting] = []
    for lot, amount in taken.items():
        drawn = whole_nanolitres(amount.drawn_ul)
        mine = [one for one in posted if one.lot == lot]
        for container in dict.fromkeys(one.container for one in mine):
            before = -sum(one.volume_ul for one in mine if one.container == container and one.kind == "taken")
            loaded = before - sum(one.volume_ul for one in mine if one.container == container and _is_left_over(one))
            now = min(drawn, loaded)
            drawn -= now
            change = whole_nanolitres(now - before)
            if abs(change) > NOTHING_UL:
                told = {"lot": lot, "container": container, "run_id": run_id, "at": at, "by": by}
                why = f"run {run_id}, {LEFT_OVER}, {PARTED_ANEW}"
                made.append(Posting(kind="taken", volume_ul=-change, why=f"run {run_id}, {PARTED_ANEW}", **told))
                made.append(Posting(kind="discarded", volume_ul=change, why=why, **told))
    return tuple(made)


def _is_left_over(posting: Posting) -> bool:
    return posting.kind == "discarded" and LEFT_OVER in posting.why


def _held_by_others(held: Iterable[Held], own: Mapping[str, float]) -> dict[str, float]:
    total: dict[str, float] = {}
    for one in held:
        total[one.container] = total.get(one.container, 0.0) + one.volume_ul
    return {barcode: max(0.0, volume - own.get(barcode, 0.0)) for barcode, volume in total.items()}


def _of_lot(
    lot: Lot, amount: Taken, reserved: Mapping[str, float], others: Mapping[str, float], signed: _Signed
) -> Iterator[Posting]:
    # in whole nanolitres before anything is parted: parts that are rounded each may sum to more than a container holds
    loaded = whole_nanolitres(amount.loaded_ul)
    drawn = min(whole_nanolitres(amount.drawn_ul), loaded)
    for container, volume in _spread(lot, loaded, reserved):
        yield from _begun(lot, container, signed)
        by_steps = min(drawn, volume)
        drawn -= by_steps
        if by_steps > NOTHING_UL:
            yield signed.post(lot, container, "taken", -by_steps)
        if volume - by_steps > NOTHING_UL:
            why = f"{signed.why}, {LEFT_OVER}"
            yield signed.post(lot, container, "discarded", by_steps - volume, why=why)
        rest = container.volume_ul - volume
        if NOTHING_UL < rest <= container.dead_ul + NOTHING_UL and others.get(container.barcode, 0.0) <= NOTHING_UL:
            yield signed.post(lot, container, "discarded", -rest, why=f"{signed.why}, dead volume of the container")


def _spread(lot: Lot, volume_ul: float, reserved: Mapping[str, float]) -> Iterator[tuple[Container, float]]:
    """What each container gave: as reserved, then what else there is, in the order of use."""
    left = volume_ul
    order = sorted(
        lot.vessels,
        key=lambda one: (one.barcode not in reserved, valid_until(lot, one), one.opened is None and one.thawed is None),
    )
    for one in order:
        bound = reserved.get(one.barcode, one.volume_ul)
        volume = min(left, one.volume_ul, bound)
        if volume > NOTHING_UL:
            left -= volume
            yield one, volume


def _begun(lot: Lot, container: Container, signed: _Signed) -> Iterator[Posting]:
    today = signed.at.date()
    first = today if container.opened is None else None
    if lot.is_frozen and container.thawed is None:
        detail = ContainerDetail(opened=first, thawed=today)
        yield signed.post(lot, container, "thawed", thaws=1, detail=detail)
    elif first is not None:
        yield signed.post(lot, container, "opened", detail=ContainerDetail(opened=first))


def adjustment(
    lot: Lot,
    container: Container,
    *,
    volume_ul: float | None,
    opened: date | None,
    thawed: date | None,
    refrozen: bool,
    discard: bool,
    more: bool,
    held: Sequence[Held],
    by: str,
    at: datetime,
    reason: str,
) -> tuple[Posting, ...]:
    """Postings of what a person found or did.

    Raises:
        InventoryError: it contradicts what is known of the container.
    """
    signed = _Signed(by, at, reason)
    where = f"container {container.barcode}"
    made: list[Posting] = []
    if opened is not None:
        _refuse_future(opened, at, where)
        made.append(signed.post(lot, container, "opened", detail=ContainerDetail(opened=opened)))
    if thawed is not None:
        _refuse_thaw(lot, container, thawed, at, where)
        first = thawed if container.opened is None and opened is None else None
        detail = ContainerDetail(opened=first, thawed=thawed)
        made.append(signed.post(lot, container, "thawed", thaws=1, detail=detail))
    if refrozen:
        if container.thawed is None:
            raise InventoryError("is not thawed, so it cannot be frozen again", where=where, remedy="check the barcode")
        made.append(signed.post(lot, container, "refrozen"))
    if discard:
        if container.volume_ul <= NOTHING_UL:
            raise InventoryError("is empty, nothing is left to discard", where=where, remedy="check the barcode")
        _refuse_held(container, 0.0, held, where)
        made.append(signed.post(lot, container, "discarded", -container.volume_ul))
    elif volume_ul is not None:
        if volume_ul < 0:
            raise InventoryError(f"cannot hold {volume_ul:g} µL", where=where, remedy="give at least 0 µL")
        _refuse_more(container, volume_ul, more, where)
        _refuse_held(container, volume_ul, held, where)
        made.append(signed.post(lot, container, "corrected", volume_ul - container.volume_ul))
    return tuple(made)


def _refuse_future(day: date, at: datetime, where: str) -> None:
    if day > at.date():
        raise InventoryError(f"{day} is in the future, today is {at.date()}", where=where, remedy="correct the day")


def _refuse_thaw(lot: Lot, container: Container, thawed: date, at: datetime, where: str) -> None:
    _refuse_future(thawed, at, where)
    if not lot.is_frozen:
        message = f"cannot be thawed, lot {lot.id} is stored at {lot.storage}"
        raise InventoryError(message, where=where, remedy="use --opened")
    if container.thawed is not None:
        message = f"is thawed since {container.thawed}"
        raise InventoryError(message, where=where, remedy="freeze it again with --refrozen first, if that was done")
    if container.freeze_thaws >= lot.max_freeze_thaws:
        message = f"has had {container.freeze_thaws} of {lot.max_freeze_thaws} thaws, one more is not allowed"
        raise InventoryError(message, where=where, remedy="discard it with --discard")


def _refuse_more(container: Container, volume_ul: float, more: bool, where: str) -> None:
    """Liquid does not grow in a vial: a higher count is a slip of the unit, or somebody says that it is meant."""
    if (problem := over_capacity(container, volume_ul)) is not None:
        message, _, remedy = problem.partition(". Remedy: ")
        raise InventoryError(message, where=where, remedy=remedy)
    if volume_ul > container.volume_ul + NOTHING_UL and not more:
        message = f"holds {shown(container.volume_ul)} by the records, {shown(volume_ul)} is more than that"
        raise InventoryError(message, where=where, remedy="check number and unit; add --more if it does hold so much")


def _refuse_held(container: Container, volume_ul: float, held: Sequence[Held], where: str) -> None:
    """Reserved liquid cannot vanish silently: whoever planned with it must plan again."""
    plans = [one for one in held if one.container == container.barcode]
    reserved = sum(one.volume_ul for one in plans)
    if volume_ul < reserved - NOTHING_UL:
        names = ", ".join(dict.fromkeys(one.plan for one in plans))
        message = f"{shown(reserved)} of it are reserved for {names}, {shown(volume_ul)} would be left"
        raise InventoryError(message, where=where, remedy="release the reservation (`nkloop lots release NAME`) first")
