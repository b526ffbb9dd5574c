"""Requests to people as a list in the database: asked by a bench, answered by `nkloop operator`, checked in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nkloop.drivers.desk_operator import Declined
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest, choice_problem
from nkloop.drivers.scanning import Known, Scan, Scans
from nkloop.drivers.timing import EARLY_REMEDY, is_timed, too_early
from nkloop.errors import OperatorRefusedError, RecordError
from nkloop.inventory import Inventory, Lot
from nkloop.inventory.picking import NOTHING_UL, state_fault
from nkloop.records import Records
from nkloop.records.models import RUN_OVER, OperatorRemark
from nkloop.records.requests import AskedRequest


@dataclass
class RequestDesk:
    """The list of requests of one bench, as its operator sees it."""

    records: Records
    bench: str

    def ask(self, request: OperatorRequest, key: str) -> int:
        """Put a request on the list; one with this key that waits, or was answered and not yet taken, is found."""
        self.records.requests.withdraw_ended(tuple(RUN_OVER))
        document = request.model_dump_json()
        return self.records.requests.ask(self.bench, key, request.title, document, run_id=request.run_id).id

    def answered(self, number: int) -> OperatorAnswer | Declined | None:
        """The answer, None while there is none.

        Raises:
            OperatorRefusedError: the request was withdrawn.
        """
        asked = self.records.requests.get(number)
        if asked.state == "open" or asked.answered_at is None:
            return None
        if asked.state == "withdrawn":
            raise OperatorRefusedError(f"the request was withdrawn: {asked.note}", where=asked.title)
        if asked.state == "declined":
            return Declined(by=asked.answered_by, reason=asked.note)
        return OperatorAnswer(
            confirmed_by=asked.answered_by,
            at=asked.answered_at,
            note=asked.note,
            scanned=tuple(asked.scanned.split()),
            choice=asked.choice or "",
            early=early_of(asked),
        )

    def taken(self, number: int) -> None:
        """Say that the answer has arrived."""
        self.records.requests.taken(number)

    def withdraw(self, number: int, why: str) -> None:
        """Take a request off the list."""
        self.records.requests.withdraw(number, why)

    def waiting(self) -> int:
        """How many requests nobody has answered."""
        return len(self.records.requests.open(self.bench))


@dataclass
class JournalledScans:
    """Refused scans in the journal, with what was expected, who scanned and when."""

    records: Records
    bench: str

    def refused(self, request: OperatorRequest, scan: Scan, by: str) -> None:
        """Keep a code that was not the one asked for; durable when it returns."""
        self.records.journal.add_remark(
            OperatorRemark(
                run_id=request.run_id,
                at=datetime.now(UTC),
                kind="refused scan",
                who=by.strip(),
                title=request.title,
                code=scan.code,
                told=scan.told,
            )
        )

    def known(self, code: str) -> Known | None:
        """The lot of a code, and one to take instead; None when the stock of the bench knows no such code."""
        return what_is(code, self.records.stock.inventory(self.bench))


def waiting_requests(records: Records, bench: str | None = None) -> tuple[AskedRequest, ...]:
    """Requests nobody has answered; those of runs that have ended since are withdrawn first."""
    records.requests.withdraw_ended(tuple(RUN_OVER))
    return records.requests.open(bench)


def request_of(asked: AskedRequest) -> OperatorRequest:
    """The request as it was asked."""
    return OperatorRequest.model_validate_json(asked.document)


def early_of(asked: AskedRequest) -> str:
    """That a request was confirmed before the time asked for had passed, in words; empty when it was not."""
    if asked.state != "confirmed" or asked.answered_at is None:
        return ""
    return too_early(request_of(asked).task, asked.asked_at, asked.answered_at)


def scans_for(records: Records, asked: AskedRequest, by: str) -> Scans:
    """The codes a request expects from a person; others are named by what the stock knows of them, and journalled."""
    return Scans.written(request_of(asked), JournalledScans(records, asked.bench), by)


def what_is(code: str, stock: Inventory | None) -> Known | None:
    """The lot a code of the stock is of, as it stands now, with another lot that may be used; None without one."""
    lots = stock.lots if stock is not None else ()
    for lot in lots:
        if code == lot.id or any(one.barcode == code for one in lot.containers):
            return Known(lot.component, lot.id, lot.expires, state_fault(lot), _other_lot(lot, lots))
    return None


def _other_lot(lot: Lot, lots: Iterable[Lot]) -> str:
    """The released lot of the same component that ends next and is not past its date: `lot L-8, use by 2027-05-01`."""
    today = datetime.now(UTC).date()
    others = [
        one
        for one in lots
        if one.component == lot.component and one.id != lot.id
        if one.state == "released" and one.expires >= today and one.volume_ul > NOTHING_UL
    ]
    first = min(others, key=lambda one: one.expires, default=None)
    return f"lot {first.id}, use by {first.expires}" if first is not None else ""


def confirm(
    records: Records,
    number: int,
    *,
    by: str,
    codes: Sequence[str],
    note: str = "",
    choice: str = "",
    at: datetime | None = None,
) -> AskedRequest:
    """Confirm that a request was done as asked, or answer its question with one of its choices and a reason (`note`).

    Raises:
        RecordError: no name, a code is missing, wrong or of a lot that may not be used, the time asked for has not
            passed and no note says why, the choice is none of those offered or has no reason, or the request is no
            longer open; nothing is changed.
    """
    asked = records.requests.require_open(number)
    _require(by, "name", asked)
    scans = scans_for(records, asked, by)
    scans.take_all(" ".join(codes))
    now = at or datetime.now(UTC)
    if scans.problem:
        remedy = "scan what is expected and nothing else, or decline with a reason"
        raise RecordError(scans.problem, where=asked.title, remedy=remedy)
    request = request_of(asked)
    if (early := too_early(request.task, asked.asked_at, now)) and not note.strip():
        raise RecordError(early, where=asked.title, remedy=EARLY_REMEDY)
    if told := choice_problem(request, choice, note):
        offered = "; ".join(f"--choose {one.key} ({one.label})" for one in request.choices)
        raise RecordError(told, where=asked.title, remedy=offered or "leave --choose out")
    return records.requests.answer(
        number, "confirmed", by=by.strip(), at=now, note=note.strip(), scanned=scans.taken, choice=choice
    )


def decline(records: Records, number: int, *, by: str, reason: str) -> AskedRequest:
    """Say that a request is not done; the run that asked stops.

    Raises:
        RecordError: no name or no reason, or the request is no longer open.
    """
    asked = records.requests.get(number)
    _require(by, "name", asked)
    _require(reason, "reason", asked)
    return records.requests.answer(number, "declined", by=by.strip(), at=datetime.now(UTC), note=reason.strip())


def due_at(asked: AskedRequest) -> datetime | None:
    """When a timed task is over, counted from when it was asked; None for one without a time that must pass."""
    task = request_of(asked).task
    return asked.asked_at + timedelta(minutes=task.minutes) if is_timed(task) else None


def _require(value: str, what: str, asked: AskedRequest) -> None:
    if not value.strip():
        raise RecordError(f"the {what} is empty", where=asked.title, remedy=f"give a {what}")
