"""Requests to people: asked once, answered once, found again after a restart on either side."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from nkloop.drivers import desk_operator
from nkloop.drivers.desk_operator import DeskOperator
from nkloop.drivers.interfaces import Choice, LotToScan, OperatorAnswer, OperatorRequest
from nkloop.drivers.operators import request_key
from nkloop.drivers.timing import too_early
from nkloop.drivers.withdrawing import AnsweredAnyway
from nkloop.errors import OperatorRefusedError, RecordError
from nkloop.inventory import Inventory, Lot
from nkloop.records import Records, schema
from nkloop.runs import requests
from nkloop.runs.requests import RequestDesk, confirm, decline, waiting_requests
from nkloop.worklists.models import OperatorTask

from .inbox.conftest import add_run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_operator, "LOOK_SECONDS", 0.01)


def asking(**fields: object) -> OperatorRequest:
    task = OperatorTask(kind="weld", instruction="Weld dose tube D-1 to bag B-1")
    lot = LotToScan(lot="L-1", component="IL-2", expires=date(2099, 1, 1))
    return OperatorRequest.model_validate(
        {"title": "Weld", "task": task, "barcodes": {"bag": "B-1"}, "lots": (lot,), **fields}
    )


def operator(records: Records, wait_minutes: float = 1) -> DeskOperator:
    return DeskOperator("technician", wait_minutes=wait_minutes, requests=RequestDesk(records, "lab"))


async def test_a_request_is_answered_from_another_process(records: Records) -> None:
    other = Records(records.url)
    answer = asyncio.create_task(operator(records).perform(asking()))
    await asyncio.sleep(0.05)
    (asked,) = waiting_requests(other, "lab")
    confirm(other, asked.id, by=" Ada ", codes=["B-1", "L-1"], note="went well")
    found = await asyncio.wait_for(answer, 5)
    assert (found.confirmed_by, found.note, found.scanned) == ("Ada", "went well", ("B-1", "L-1"))
    assert waiting_requests(other) == ()
    assert records.audit.verify_chain() == ()
    other.close()


@pytest.mark.parametrize(
    ("by", "codes", "told"),
    [
        ("Ada", ["B-1"], r"still to scan: L-1 \(IL-2\)"),
        ("Ada", ["B-1", "L-9", "L-1"], "L-9 is not expected here"),
        ("Ada", [], r"still to scan: B-1 \(bag\), L-1"),
        (" ", ["B-1", "L-1"], "the name is empty"),
    ],
)
def test_a_wrong_answer_changes_nothing(records: Records, by: str, codes: list[str], told: str) -> None:
    number = RequestDesk(records, "lab").ask(asking(), "k")
    with pytest.raises(RecordError, match=told):
        confirm(records, number, by=by, codes=codes)
    assert records.requests.get(number).state == "open"


def test_a_lot_that_is_held_back_after_it_was_asked_for_is_refused_at_the_scan(records: Records) -> None:
    now = datetime.now(UTC)
    facts = {"component": "IL-2", "lot_number": "n", "supplier": "s", "concentration": "10 µg/mL", "volume": "1 mL"}
    lots = tuple(
        Lot.model_validate({"id": name, "expires": end, **facts})
        for name, end in (("L-1", "2099-01-01"), ("L-2", "2099-02-01"))
    )
    records.stock.import_lots("lab", Inventory(lots=lots), by="Ada", at=now)
    number = RequestDesk(records, "lab").ask(asking(), "k")
    scans = requests.scans_for(records, records.requests.get(number), "Ada")
    records.stock.set_state("lab", "L-1", "blocked", by="QA", at=now, reason="turbid")
    told = (
        "lot L-1 of IL-2 is blocked (turbid): do not use it; decline, and plan again with another lot; "
        "the stock has lot L-2, use by 2099-02-01"
    )
    assert (scans.take("L-1").ok, scans.take("L-1").told) == (False, told)
    with pytest.raises(RecordError, match=re.escape(told)):
        confirm(records, number, by="Ada", codes=["B-1", "L-1"])
    assert records.requests.get(number).state == "open"
    assert {one.told for one in records.journal.remarks(None)} == {told}
    records.stock.set_state("lab", "L-1", "released", by="QA", at=now, reason="was the wrong lot")
    assert confirm(records, number, by="Ada", codes=["B-1", "L-1"]).state == "confirmed"


def test_a_request_is_answered_once(records: Records) -> None:
    number = RequestDesk(records, "lab").ask(asking(), "k")
    confirm(records, number, by="Ada", codes=["B-1", "L-1"])
    with pytest.raises(RecordError, match="was confirmed by Ada at"):
        decline(records, number, by="Bea", reason="too late")
    with pytest.raises(RecordError, match="was confirmed by Ada at"):
        confirm(records, number, by="Bea", codes=["P-9"])
    assert records.requests.get(number).answered_by == "Ada"
    assert records.journal.remarks(None) == ()  # a scan that came too late is no deviation of the run


async def test_a_refusal_carries_its_reason(records: Records) -> None:
    number = RequestDesk(records, "lab").ask(asking(), request_key(asking()))
    with pytest.raises(RecordError, match="the reason is empty"):
        decline(records, number, by="Ada", reason="")
    decline(records, number, by="Ada", reason="no sterile tubing")
    with pytest.raises(OperatorRefusedError, match="Ada declined: no sterile tubing"):
        await operator(records).perform(asking())


async def test_an_answer_given_while_the_run_was_down_is_found_and_used_once(records: Records) -> None:
    waiting = asyncio.create_task(operator(records).perform(asking()))
    await asyncio.sleep(0.05)
    (asked,) = waiting_requests(records)
    # the process of the run is killed: nothing of it cleans up
    records.requests.withdraw = lambda number, why: None  # type: ignore[method-assign]
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    del records.requests.withdraw
    confirm(records, asked.id, by="Ada", codes=["B-1", "L-1"])
    answer = await operator(records).perform(asking())
    assert answer.confirmed_by == "Ada"
    again = asyncio.create_task(operator(records).perform(asking()))
    await asyncio.sleep(0.05)
    assert [one.id for one in waiting_requests(records)] == [asked.id + 1]
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_a_cancelled_run_takes_its_request_back(records: Records) -> None:
    waiting = asyncio.create_task(operator(records).perform(asking()))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting_requests(records) == ()
    with pytest.raises(RecordError, match="was withdrawn: the run was cancelled"):
        confirm(records, 1, by="Ada", codes=["B-1", "L-1"])


async def test_a_choice_that_meets_a_cancellation_is_none(records: Records) -> None:
    choices = (Choice(key="again", label="do it again"), Choice(key="stop", label="stop"))
    waiting = asyncio.create_task(operator(records).perform(asking(choices=choices, barcodes={}, lots=())))
    await asyncio.sleep(0.05)
    confirm(records, 1, by="Ada", codes=[], choice="again", note="tip is on")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError) as stop:
        await waiting
    assert not isinstance(stop.value, AnsweredAnyway)


async def test_nobody_answering_is_told(records: Records) -> None:
    with pytest.raises(OperatorRefusedError, match=r"nobody answered within 0.001 min.*nkloop operator"):
        await operator(records, wait_minutes=0.001).perform(asking())
    assert waiting_requests(records) == ()


def test_a_timed_task_is_confirmed_early_only_with_a_note(records: Records) -> None:
    task = OperatorTask(kind="incubate", instruction="Incubate", minutes=240, temperature_c=37)
    number = RequestDesk(records, "lab").ask(asking(task=task, barcodes={}, lots=()), "k")
    asked = records.requests.get(number)
    soon = asked.asked_at + timedelta(minutes=12)
    with pytest.raises(RecordError, match="12 of 240 min have passed"):
        confirm(records, number, by="Ada", codes=[], at=soon)
    assert requests.due_at(asked) == asked.asked_at + timedelta(minutes=240)
    assert too_early(task, asked.asked_at, asked.asked_at + timedelta(minutes=230)) == ""
    confirm(records, number, by="Ada", codes=[], note="was in since noon", at=soon)
    answer = RequestDesk(records, "lab").answered(number)
    assert isinstance(answer, OperatorAnswer)
    assert answer.early == "12 of 240 min have passed since it was asked"


def test_requests_of_runs_that_have_ended_since_are_withdrawn(records: Records) -> None:
    run_id = add_run(records, state="running")
    desk = RequestDesk(records, "lab")
    during = desk.ask(asking(run_id=run_id), "during")
    assert [one.id for one in waiting_requests(records)] == [during]
    with records._database.writing() as connection:
        connection.execute(sa.update(schema.runs).values(state="stopped"))
    assert waiting_requests(records) == ()
    assert records.requests.get(during).note == "its run has ended"
    after = desk.ask(asking(run_id=run_id, title="Plate into the reader"), "after")
    assert [one.id for one in waiting_requests(records)] == [after]


async def test_without_records_it_is_refused() -> None:
    from nkloop.errors import BenchError

    with pytest.raises(BenchError, match="there is no list of requests"):
        await DeskOperator("technician").perform(asking())


def test_an_unknown_request_is_told(records: Records) -> None:
    with pytest.raises(RecordError, match="there is no request 7"):
        confirm(records, 7, by="Ada", codes=[], at=datetime.now(UTC))


CHOICES = (Choice(key="again", label="Do it again"), Choice(key="stop", label="Stop the run"))


async def test_a_choice_reaches_the_one_who_asked_with_its_reason(records: Records) -> None:
    question = asking(barcodes={}, lots=(), choices=CHOICES)
    answer = asyncio.create_task(operator(records).perform(question))
    await asyncio.sleep(0.05)
    (asked,) = waiting_requests(records, "lab")
    confirm(records, asked.id, by="Ada", codes=[], note="rack stood askew", choice="again")
    found = await asyncio.wait_for(answer, 5)
    assert (found.choice, found.note) == ("again", "rack stood askew")
    assert records.audit.verify_chain() == ()


@pytest.mark.parametrize(
    ("choice", "note", "told"),
    [
        ("skip", "why not", r"'skip' is no choice here; choose again or stop.*--choose again \(Do it again\)"),
        ("", "why not", "'' is no choice here"),
        ("again", " ", "needs a reason of at least 3 characters"),
    ],
)
async def test_a_choice_that_is_none_or_has_no_reason_changes_nothing(
    records: Records, choice: str, note: str, told: str
) -> None:
    desk = RequestDesk(records, "lab")
    number = desk.ask(asking(barcodes={}, lots=(), choices=CHOICES), "key")
    with pytest.raises(RecordError, match=told):
        confirm(records, number, by="Ada", codes=[], note=note, choice=choice)
    assert [one.id for one in waiting_requests(records)] == [number]


async def test_a_choice_where_there_is_none_is_refused(records: Records) -> None:
    number = RequestDesk(records, "lab").ask(asking(barcodes={}, lots=()), "key")
    with pytest.raises(RecordError, match="there is nothing to choose here"):
        confirm(records, number, by="Ada", codes=[], choice="again")
