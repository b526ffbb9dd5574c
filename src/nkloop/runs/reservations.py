"""Reserving what a plan will take, under a name, before anybody runs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from nkloop.errors import InventoryError, Problem
from nkloop.inventory import Pick
from nkloop.quantities import Amount, Kind
from nkloop.records.stock_models import Reservation
from nkloop.runs.reserved_plans import own_share, reserved_parts
from nkloop.runs.stock import opened, stock_of
from nkloop.worklists.models import Worklist
from nkloop.workspace import Workspace

LONGEST = timedelta(days=31)


@dataclass(frozen=True)
class Reserved:
    """What a plan holds now."""

    name: str
    until: datetime
    picks: tuple[Pick, ...]


@dataclass(frozen=True)
class PlanReservation:
    """A person's wish to reserve what a plan takes of the stock of a bench."""

    workspace: Workspace
    bench: str
    name: str
    by: str
    until: datetime

    @classmethod
    def asked(
        cls,
        workspace: Workspace,
        bench: str,
        name: str,
        *,
        by: str,
        hold: str,
        lots: Path | None = None,
        at: datetime,
    ) -> PlanReservation:
        """Check the wish before anything is planned.

        Args:
            hold: how long it is kept, with unit: `3 d`.
            lots: lot list of the plan; only the counted stock of a bench can be reserved, not a file.

        Raises:
            InventoryError: no name, nobody who asks, no such time, no counted stock, or the name is taken; all at once.
            QuantityError: `hold` cannot be read.
        """
        problems = [
            Problem("it is empty", option, remedy)
            for option, value, remedy in (
                ("--reserve", name, "write a name for the reservation, for example the batch"),
                ("--by", by, "write who reserves; it stands in the audit trail"),
            )
            if not value.strip()
        ]
        if lots is not None:
            told = f"a plan from {lots} cannot reserve: a file is not the counted stock of bench {bench}"
            remedy = f"import it with `nkloop lots import {lots}`, then plan without --lots"
            problems.append(Problem(told, "--reserve", remedy))
        elif (stock := stock_of(workspace, bench, at=at)) is None:
            told = f"nothing is counted in bench {bench}, so nothing can be reserved"
            problems.append(Problem(told, "--reserve", "run `nkloop lots import FILE --by NAME` once"))
        elif any(one.plan == name.strip() for one in stock.held):
            told = f"'{name.strip()}' holds a reservation already"
            problems.append(Problem(told, "--reserve", "choose another name, or `nkloop lots release` it first"))
        span = _span(hold)
        if span is None:
            told = f"{hold} is not a time above 0 and up to {LONGEST.days} d"
            problems.append(Problem(told, "--hold", "write for example 3 d"))
        if problems or span is None:
            raise InventoryError.from_problems(problems)
        return cls(workspace, bench, name.strip(), by.strip(), at + span)

    def make(self, parts: Iterable[Worklist], *, at: datetime) -> Reserved:
        """Reserve what the worklists of a plan put on the deck; all of it or nothing.

        Raises:
            ShortageError: somebody else has taken or reserved it since it was planned; every lot is named.
            InventoryError: the name was taken meanwhile, or this very plan is reserved already.
        """
        worklists = tuple(parts)
        with opened(self.workspace) as records:
            stock = records.stock.inventory(self.bench, at=at)
            told = reserved_parts(worklists, stock) if stock else ()
            self._refuse_twice(worklists, records.stock.reservations(self.bench, at=at))
            volumes: dict[str, float] = {}
            for _, part in told:
                for lot, volume in part.volumes.items():
                    volumes[lot] = volumes.get(lot, 0.0) + volume
            use_until = max((one.use_until or at.date() for one in worklists), default=at.date())
            picks = records.stock.reserve(
                self.bench, self.name, volumes, use_until=use_until, until=self.until, by=self.by, at=at, parts=told
            )
        return Reserved(self.name, self.until, picks)

    def _refuse_twice(self, worklists: Sequence[Worklist], reservations: Sequence[Reservation]) -> None:
        for one in reservations:
            if worklists and all(own_share((one,), worklist) for worklist in worklists):
                raise InventoryError(
                    f"this very plan is reserved already, as '{one.name}' until {one.until:%Y-%m-%d %H:%M} UTC",
                    where="--reserve",
                    remedy="run it; or give the old one back with `nkloop lots release` first",
                )


def _span(text: str) -> timedelta | None:
    amount = Amount.parse(text)
    if amount.kind is not Kind.TIME or not 0 < amount.to("d") <= LONGEST.days:
        return None
    return timedelta(days=amount.to("d"))
