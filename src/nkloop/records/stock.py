"""The stock of a bench: imported once from its lot list, then changed by postings only.

What a container holds is the sum of its postings, in whole nanolitres; nothing is overwritten. Every change is made in
one transaction that reads first and stands in line with all others, so that two plans never get the same vial.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

import sqlalchemy as sa

from nkloop.errors import InventoryError
from nkloop.inventory import Container, Inventory, Lot, Pick
from nkloop.records import schema, stock_rows, stock_takeover, stock_uses
from nkloop.records.database import Database
from nkloop.records.stock_balances import EMPTY, Balance, balance
from nkloop.records.stock_holds import Signed, end, picked, portions_of, required, save, save_worklist
from nkloop.records.stock_import import compare, conflict_problems, merged
from nkloop.records.stock_models import (
    ContainerDetail,
    ContainerUse,
    HoldEvent,
    ImportReport,
    LotChange,
    Posting,
    Reservation,
    ReservedPart,
    Taken,
)
from nkloop.records.stock_story import story
from nkloop.records.stock_takings import adjustment, parted_anew, takings
from nkloop.worklists.models import Worklist


class Stock:
    """Lots and containers per bench."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._balances: dict[str, Balance] = {}

    def inventory(self, bench: str, *, at: datetime | None = None) -> Inventory | None:
        """The lots of a bench as they stand, with what is reserved at a time (or at all, when no time is given).

        Returns:
            None when no lot list was ever imported for the bench.
        """
        with self._database.reading() as connection:
            return self._standing(connection, bench, at)

    def compare(self, bench: str, listed: Inventory, *, correct: bool = False) -> ImportReport:
        """What importing a list would do; writes nothing."""
        with self._database.reading() as connection:
            known = stock_rows.lots(connection, bench)
            return compare(known, self._standing(connection, bench, None), listed, correct=correct)

    def import_lots(
        self, bench: str, listed: Inventory, *, by: str, at: datetime, reason: str = "", correct: bool = False
    ) -> ImportReport:
        """Add the lots and containers of a list that are not in the stock; importing a list twice changes nothing.

        Amounts of known containers stay as they are: the stock is the truth, the list was its seed.

        Raises:
            InventoryError: a lot contradicts the stock (every field is named), or a barcode is taken; nothing is
                written.
        """
        reason = reason or "imported from a lot list"
        with self._database.writing() as connection:
            known = stock_rows.lots(connection, bench)
            stock = self._standing(connection, bench, None)
            report = compare(known, stock, listed, correct=correct)
            if report.conflicts:
                raise InventoryError.from_problems(conflict_problems(report))
            for told in report.lots:
                if told.action == "unchanged":
                    continue
                lot = listed.lot(told.lot)
                now = stock.lot(lot.id) if stock and lot.id in known else None
                _import_one(connection, bench, lot, known.get(lot.id), now, by=by, at=at, reason=reason)
        return report

    def reserve(
        self,
        bench: str,
        name: str,
        volumes_ul: Mapping[str, float],
        *,
        use_until: date,
        until: datetime,
        by: str,
        at: datetime,
        parts: Sequence[tuple[Worklist, ReservedPart]] = (),
    ) -> tuple[Pick, ...]:
        """Reserve volumes (lot id to µL) for a plan or run; nobody else can plan with them until the time given.

        Args:
            parts: runs of the plan; each finds its share again and takes it over.

        Returns:
            The containers to take, lot by lot.

        Raises:
            InventoryError: the bench has no stock, a lot is not in it, or the name holds a reservation already.
            ShortageError: a lot cannot give that much any more; every one is named and nothing is reserved.
        """
        with self._database.writing() as connection:
            stock = required(self._standing(connection, bench, at), bench)
            if any(one.name == name for one in stock_rows.reservations(connection, bench, at)):
                raise InventoryError(
                    f"'{name}' holds a reservation already", where=f"bench {bench}", remedy="release it first"
                )
            picks = picked(stock, volumes_ul, use_until)
            for worklist, _ in parts:
                save_worklist(connection, worklist, at)
            told = [part for _, part in parts]
            save(connection, bench, name, portions_of(picks), until, Signed(by, at), parts=told)
        return picks

    def reservations(self, bench: str, *, at: datetime | None = None) -> tuple[Reservation, ...]:
        """Reservations that hold at a time; all that have not ended when no time is given."""
        with self._database.reading() as connection:
            return stock_rows.reservations(connection, bench, at)

    def release(self, bench: str, name: str, *, by: str, at: datetime, why: str) -> bool:
        """Give back what a plan or run has reserved; False when it holds nothing."""
        with self._database.writing() as connection:
            return end(connection, bench, name, "released", Signed(by, at), why) is not None

    def take_over(
        self,
        bench: str,
        number: int,
        name: str,
        volumes_ul: Mapping[str, float],
        *,
        part: int | None,
        use_until: date,
        until: datetime,
        by: str,
        at: datetime,
    ) -> tuple[Pick, ...] | None:
        """Turn a share of a plan's reservation into one of a run; see `stock_takeover.take_over`.

        Raises:
            InventoryError: the bench has no stock.
            ShortageError: a lot cannot give that much, not even with what the plan holds.
        """
        with self._database.writing() as connection:
            return stock_takeover.take_over(
                connection, bench, number, name, volumes_ul, part=part, use_until=use_until, until=until,
                signed=Signed(by, at),
            )  # fmt: skip

    def give_back(self, bench: str, name: str, *, by: str, at: datetime, why: str) -> bool:
        """End the reservation of a run that took nothing; what it took over is its plan's again.

        Returns:
            False when the run holds nothing.
        """
        with self._database.writing() as connection:
            return stock_takeover.give_back(connection, bench, name, Signed(by, at), why)

    def move_to(self, bench: str, name: str, scanned: Collection[str], *, by: str, at: datetime) -> bool:
        """Have a run's reservation hold the containers that were scanned; see `stock_takeover.move_to`."""
        with self._database.writing() as connection:
            stock = self._standing(connection, bench, None)
            if stock is None:
                return False
            return stock_takeover.move_to(connection, bench, name, scanned, stock, Signed(by, at))

    def reserved_worklist(self, part: ReservedPart) -> Worklist:
        """The worklist a reservation was made for, with everything its CSV does not carry."""
        table = schema.worklists
        query = sa.select(table.c.document).where(table.c.hash == part.worklist_hash)
        with self._database.reading() as connection:
            return Worklist.model_validate_json(connection.execute(query).scalar_one())

    def holds(self, bench: str, lot_id: str) -> tuple[HoldEvent, ...]:
        """Who reserved of a lot, and how each reservation ended: taken over, released or posted; in the order made."""
        with self._database.reading() as connection:
            return story(connection, bench, lot_id)

    def post_run(
        self, bench: str, name: str, run_id: str, taken: Mapping[str, Taken], *, by: str, at: datetime
    ) -> tuple[Posting, ...]:
        """Turn a reservation into postings of what a run really took; a run is posted once.

        What the steps drew is posted as taken, what stayed on the deck and the dead volume of emptied containers as
        discarded. Lots that are not in the stock are left out.

        Raises:
            InventoryError: the bench has no stock.
        """
        with self._database.writing() as connection:
            table = schema.stock_postings
            done = sa.select(sa.func.count()).select_from(table).where(table.c.run_id == run_id, table.c.bench == bench)
            if connection.execute(done).scalar_one():
                return ()
            stock = required(self._standing(connection, bench, at), bench)
            reserved = end(connection, bench, name, "posted", Signed(by, at), f"run {run_id}")
            made = takings(stock, taken, reserved.volumes if reserved else {}, run_id=run_id, by=by, at=at)
            stock_rows.save_postings(connection, bench, made)
        return made

    def part_anew(
        self, bench: str, run_id: str, taken: Mapping[str, Taken], *, by: str, at: datetime
    ) -> tuple[Posting, ...]:
        """Part what a posted run had on the deck anew between taken and left over; nothing where that is right.

        Lots of which nothing was posted, because the run was not known to have brought them, are posted now.

        Raises:
            InventoryError: the bench has no stock.
        """
        with self._database.writing() as connection:
            posted = stock_rows.postings_of_run(connection, bench, run_id)
            made = parted_anew(posted, taken, run_id=run_id, by=by, at=at)
            known = {one.lot for one in posted}
            come = {lot: amount for lot, amount in taken.items() if lot not in known}
            if come:
                stock = required(self._standing(connection, bench, at), bench)
                made += takings(stock, come, {}, run_id=run_id, by=by, at=at)
            stock_rows.save_postings(connection, bench, made)
        return made

    def adjust(
        self,
        bench: str,
        barcode: str,
        *,
        by: str,
        at: datetime,
        reason: str,
        volume_ul: float | None = None,
        opened: date | None = None,
        thawed: date | None = None,
        refrozen: bool = False,
        discard: bool = False,
        more: bool = False,
    ) -> tuple[Container, Container]:
        """Correct what is known of a container: what it holds, that it was opened, thawed, frozen again, discarded.

        `more` says that a volume above the known one is meant.

        Returns:
            The container before and after.

        Raises:
            InventoryError: there is no such container, or the change contradicts what is known of it.
        """
        with self._database.writing() as connection:
            stock = required(self._standing(connection, bench, at), bench)
            lot, container = stock.container(barcode)
            changes = adjustment(
                lot, container, volume_ul=volume_ul, opened=opened, thawed=thawed, refrozen=refrozen, discard=discard,
                more=more, held=stock.held, by=by, at=at, reason=reason,
            )  # fmt: skip
            stock_rows.save_postings(connection, bench, changes)
            changed = balance(connection, bench, self._balances[bench])  # not kept: it may still be rolled back
            after = changed.containers[lot.id][barcode]
        return container, after

    def set_state(self, bench: str, lot_id: str, state: str, *, by: str, at: datetime, reason: str) -> None:
        """Release, quarantine or block a lot.

        Raises:
            InventoryError: there is no such lot.
        """
        with self._database.writing() as connection:
            required(self._standing(connection, bench, at), bench).lot(lot_id)
            lot = stock_rows.lots(connection, bench)[lot_id]
            told = "" if state == "released" else reason
            changed = lot.model_copy(update={"state": state, "state_reason": told})
            stock_rows.save_lot(connection, bench, changed, at=at, by=by, reason=f"{state}: {reason}")

    def history(self, bench: str, lot_id: str) -> tuple[Posting, ...]:
        """Everything that happened to the containers of a lot, oldest first."""
        with self._database.reading() as connection:
            return stock_rows.postings(connection, bench, lot_id)

    def used_by(self, run_id: str) -> tuple[ContainerUse, ...]:
        """What a run took of each container, in the order it was posted; nothing when it was not posted."""
        with self._database.reading() as connection:
            return stock_uses.used_by(connection, run_id)

    def is_posted(self, run_id: str) -> bool:
        """Whether it was posted what a run took."""
        table = schema.stock_postings
        with self._database.reading() as connection:
            query = sa.select(table.c.id).where(table.c.run_id == run_id).limit(1)
            return connection.execute(query).first() is not None

    def versions(self, bench: str, lot_id: str) -> tuple[LotChange, ...]:
        """Who changed what is known of a lot, when and why, oldest first."""
        table = schema.stock_lots
        query = sa.select(table).where(table.c.bench == bench, table.c.lot == lot_id).order_by(table.c.id)
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(LotChange(at=row["at"], by=row["by"], reason=row["reason"]) for row in rows)

    def _standing(self, connection: sa.Connection, bench: str, at: datetime | None) -> Inventory | None:
        """The stock as committed; to be read before the transaction of `connection` posts anything itself."""
        self._balances[bench] = now = balance(connection, bench, self._balances.get(bench, EMPTY))
        return stock_rows.inventory(connection, bench, at, now)


def _import_one(
    connection: sa.Connection,
    bench: str,
    lot: Lot,
    saved: Lot | None,
    now: Lot | None,
    *,
    by: str,
    at: datetime,
    reason: str,
) -> None:
    there = {one.barcode for one in now.vessels} if now else set()
    stock_rows.save_lot(connection, bench, lot if saved is None else merged(saved, lot), at=at, by=by, reason=reason)
    new = [one for one in lot.vessels if one.barcode not in there]
    stock_rows.save_postings(connection, bench, [_brought(lot, one, by=by, at=at, reason=reason) for one in new])


def _brought(lot: Lot, one: Container, *, by: str, at: datetime, reason: str) -> Posting:
    dead = None if one.dead_volume is None else str(one.dead_volume)
    detail = ContainerDetail(kind=one.kind, dead_volume=dead, opened=one.opened, thawed=one.thawed)
    return Posting(
        lot=lot.id, container=one.barcode, kind="imported", volume_ul=one.volume_ul, thaws=one.freeze_thaws,
        detail=detail, at=at, by=by, why=reason,
    )  # fmt: skip
