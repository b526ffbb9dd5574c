"""Questions that are settled elsewhere while somebody is asked: withdrawn, and what was confirmed until then counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.desk_operator import DeskOperator
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.errors import (
    StaleHolderError,
)
from nkloop.records import Records
from nkloop.records.models import Claim
from nkloop.runs.execution import execute
from nkloop.runs.requests import RequestDesk
from nkloop.worklists.models import Verdict, Worklist

from .conftest import AT
from .killed import events


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nkloop.runs.people.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("nkloop.drivers.desk_operator.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("nkloop.runs.holding.CHECK_SECONDS", 0.01)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("asked", "then", "told"), [("recovery", "running", "goes on"), ("step 2", "stopped", "is over")]
)
async def test_a_question_that_the_device_no_longer_waits_for_is_taken_off_the_list(
    worklist: Worklist,
    verdict: Verdict,
    bench: Bench,
    records: Records,
    handler: Any,
    operator: Any,
    asked: str,
    then: Any,
    told: str,
) -> None:
    handler.recovers = asked == "recovery"
    desk = DeskOperator("technician", requests=RequestDesk(records, bench.name))

    async def perform(request: OperatorRequest) -> OperatorAnswer:
        if asked not in request.title:
            return await type(operator).perform(operator, request)
        asyncio.get_running_loop().call_later(0.05, lambda: setattr(handler, "status", then))
        return await desk.perform(request)

    operator.perform = perform
    run = await asyncio.wait_for(execute(worklist, verdict, bench, records), 20)
    assert run.state == ("succeeded" if then == "running" else "stopped")
    (request,) = records.requests.of_run(run.id)
    assert (request.state, told in request.note) == ("withdrawn", True)
    assert [remark.told for remark in records.journal.remarks(run.id)] == [request.note]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("ends_by", ["the robot is stopped at its screen", "Ctrl+C"])
async def test_a_task_confirmed_just_as_its_question_ends_is_done(
    worklist: Worklist,
    verdict: Verdict,
    bench: Bench,
    records: Records,
    handler: Any,
    operator: Any,
    ends_by: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nkloop.drivers.desk_operator.LOOK_SECONDS", 60)
    desk = DeskOperator("technician", requests=RequestDesk(records, bench.name))

    def confirmed() -> None:
        (asked,) = records.requests.open()
        records.requests.answer(asked.id, "confirmed", by="Bo", at=AT)
        if ends_by == "Ctrl+C":
            playing.cancel()
        else:
            handler.status = "stopped"

    async def perform(request: OperatorRequest) -> OperatorAnswer:
        if "step 2" not in request.title.lower():
            return await type(operator).perform(operator, request)
        asyncio.get_running_loop().call_later(0.05, confirmed)
        return await desk.perform(request)

    operator.perform = perform
    playing = asyncio.ensure_future(execute(worklist, verdict, bench, records))
    await asyncio.wait((playing,), timeout=20)
    assert playing.cancelled() == (ends_by == "Ctrl+C")
    assert events(records, "run-0001")[2] == "done"
    assert [(action.step, action.confirmed_by) for action in records.journal.actions("run-0001")][1:] == [(2, "Bo")]


@pytest.mark.usefixtures("soon")
async def test_a_question_is_withdrawn_when_another_process_has_the_device(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, operator: Any
) -> None:
    handler.recovers, operator.waits_at = True, "recovery"

    def take_over() -> None:
        (holder,) = records.claims.holders()
        records.claims.release(Claim(devices=(holder.device,), token=holder.token, holder=holder.holder))

    perform = operator.perform

    async def performed(request: OperatorRequest) -> Any:
        if "recovery" in request.title:
            take_over()
        return await perform(request)

    operator.perform = performed
    with pytest.raises(StaleHolderError):
        await asyncio.wait_for(execute(worklist, verdict, bench, records), 20)
