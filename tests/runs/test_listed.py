"""What stands on the list of requests when the same is asked elsewhere: never asked twice, never poured twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.drivers.operators import request_key
from nkloop.records import Records
from nkloop.records.models import JournalEvent
from nkloop.records.requests import AskedRequest
from nkloop.runs.execution import play_run
from nkloop.runs.holding import device_held
from nkloop.runs.reconcile import reconcile_run

from .conftest import AT, FakeHandler, FakeOperator
from .test_vessels import Answers, killed, prepared


@dataclass
class Page(Answers):
    """Asks elsewhere, and has a world in which things happen when it is told of them."""

    happened: list[str] = field(default_factory=list)

    async def catch_up(self, request: OperatorRequest, answer: OperatorAnswer) -> OperatorAnswer:
        self.happened.append(request.task.instruction)
        return answer


@pytest.fixture
async def listed(bench: Bench, records: Records, handler: FakeHandler) -> AskedRequest:
    """20 mL are asked for on the list, then the program dies; the robot waits on."""
    run_id = await prepared(bench, records)
    person = FakeOperator(waits_at="step 3")
    playing = asyncio.create_task(play_run(run_id, replace(bench, operator=person), records))
    while not (pour := [one for one in person.asked if "step 3" in one.title]):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    asked = records.requests.ask(bench.name, request_key(pour[0]), pour[0].title, "{}", run_id=run_id)
    await killed(playing, handler)
    return asked


async def reborn(bench: Bench, records: Records, run_id: str | None) -> Page:
    page = Page()
    await reconcile_run(run_id or "", replace(bench, operator=page), records)
    assert records.journal.run(run_id or "").state == "succeeded"
    return page


async def test_what_was_confirmed_there_is_done_on_every_surface(
    bench: Bench, records: Records, listed: AskedRequest
) -> None:
    records.requests.answer(listed.id, "confirmed", by="Bo", at=AT, note="by the scale")
    page = await reborn(bench, records, listed.run_id)
    assert [request.task.kind for request in page.asked] == ["rinse", "weld"]
    assert page.happened == ["Run 20 mL of base medium into bag-1."]
    pour = records.journal.actions(listed.run_id)[1]
    assert (pour.step, pour.confirmed_by, pour.note) == (3, "Bo", "by the scale")
    assert records.requests.get(listed.id).taken_at is not None


async def test_what_is_open_there_is_taken_off_before_it_is_asked_whether_it_was_done(
    bench: Bench, records: Records, listed: AskedRequest
) -> None:
    page = await reborn(bench, records, listed.run_id)
    assert [[choice.key for choice in request.choices][:1] for request in page.asked] == [["nothing"], [], []]
    now = records.requests.get(listed.id)
    assert (now.state, now.note) == ("withdrawn", "it is asked for elsewhere now")


async def test_a_choice_that_made_the_step_unknown_does_not_hide_that_it_was_asked_for(
    bench: Bench, records: Records, listed: AskedRequest
) -> None:
    """Somebody skipped a failed command in the pause, was asked for its task, and the program died."""
    records.requests.withdraw(listed.id, "its program ended")
    async with device_held(bench, records, "recovery") as hold:
        skipped = JournalEvent(number=3, event="unknown", at=AT)
        records.journal.append_events(listed.run_id or "", [skipped], claim=hold.claim)
    page = await reborn(bench, records, listed.run_id)
    assert [bool(request.choices) for request in page.asked] == [True, False, False]


async def test_what_was_declined_there_is_asked_about_and_answers_nothing_later(
    bench: Bench, records: Records, listed: AskedRequest
) -> None:
    records.requests.answer(listed.id, "declined", by="Bo", at=AT, note="the bag leaks")
    page = await reborn(bench, records, listed.run_id)
    assert page.asked[0].choices
    assert records.requests.get(listed.id).taken_at is not None


async def test_who_asks_by_the_list_finds_it_there_himself(
    bench: Bench, records: Records, listed: AskedRequest
) -> None:
    desk = FakeOperator()
    desk.by_list = True  # type: ignore[attr-defined]
    await reconcile_run(listed.run_id or "", replace(bench, operator=desk), records)
    assert [request.task.kind for request in desk.asked] == ["fill", "rinse", "weld"]
    assert records.requests.get(listed.id).state == "open"


async def test_the_rest_of_a_task_that_was_confirmed_there_makes_all_of_it_done(
    bench: Bench, records: Records, listed: AskedRequest
) -> None:
    records.requests.withdraw(listed.id, "its program ended")
    rest = records.requests.ask(bench.name, "the rest", listed.title, "{}", run_id=listed.run_id)
    records.requests.answer(rest.id, "confirmed", by="Bo", at=AT)
    page = await reborn(bench, records, listed.run_id)
    assert [request.task.kind for request in page.asked] == ["rinse", "weld"]
