"""A person who practises on the virtual bench confirms before the world changes."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from nkloop.drivers.desk_operator import Declined, DeskOperator
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.drivers.withdrawing import AnsweredAnyway
from nkloop.errors import BenchError, OperatorRefusedError
from nkloop.virtual.operator import VirtualOperator
from nkloop.worklists.models import OperatorTask

REQUEST = OperatorRequest(title="Spin", task=OperatorTask(kind="centrifuge", instruction="Spin", minutes=5))


class Answered:
    """A list on which every request is answered already."""

    def __init__(self, answer: OperatorAnswer | Declined) -> None:
        self.answer = answer

    def ask(self, request: OperatorRequest, key: str) -> int:
        return 1

    def answered(self, number: int) -> OperatorAnswer | Declined | None:
        return self.answer

    def taken(self, number: int) -> None: ...

    def withdraw(self, number: int, why: str) -> None: ...

    def waiting(self) -> int:
        return 0


def operator(answer: OperatorAnswer | Declined, done: list[str], people: str = "desk") -> VirtualOperator:
    def world(request: httpx.Request) -> httpx.Response:
        done.append(request.url.path)
        return httpx.Response(200, json={"now": "2026-01-05T08:00:00+00:00"})

    transport = httpx.MockTransport(world)
    return VirtualOperator("Ada", "http://bench", transport, people=people, requests=Answered(answer))


@pytest.mark.parametrize("people", ["desk", "prefect"])
async def test_the_world_changes_after_the_person_confirmed(people: str) -> None:
    done: list[str] = []
    person = OperatorAnswer(confirmed_by="Ada", at=datetime.now(UTC), note="ok", scanned=("P-1",))
    answer = await operator(person, done, people).perform(REQUEST)
    assert done == ["/virtual/task"]
    assert (answer.confirmed_by, answer.scanned, answer.at) == ("Ada", ("P-1",), datetime(2026, 1, 5, 8, tzinfo=UTC))


async def test_the_world_changes_when_the_confirmation_met_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(self: DeskOperator, request: OperatorRequest) -> OperatorAnswer:
        raise AnsweredAnyway(person)

    done: list[str] = []
    person = OperatorAnswer(confirmed_by="Ada", at=datetime.now(UTC))
    monkeypatch.setattr(DeskOperator, "perform", late)
    with pytest.raises(AnsweredAnyway):
        await operator(person, done).perform(REQUEST)
    assert done == ["/virtual/task"]


async def test_the_world_changes_for_what_was_confirmed_while_nobody_asked() -> None:
    done: list[str] = []
    person = OperatorAnswer(confirmed_by="Ada", at=datetime.now(UTC), note="ok")
    answer = await operator(person, done).catch_up(REQUEST, person)
    assert (done, answer.note) == (["/virtual/task"], "ok")


@pytest.mark.parametrize(("people", "expected"), [("desk", True), ("terminal", False), ("", False)])
def test_whoever_is_asked_first_says_whether_it_stands_on_the_list(people: str, expected: bool) -> None:
    assert operator(Declined(by="", reason=""), [], people).by_list is expected


async def test_nothing_is_done_when_the_person_declines() -> None:
    done: list[str] = []
    with pytest.raises(OperatorRefusedError, match="Ada declined: no rotor"):
        await operator(Declined(by="Ada", reason="no rotor"), done).perform(REQUEST)
    assert done == []


async def test_a_look_at_the_bench_tells_that_a_person_is_asked_first() -> None:
    (finding,) = await operator(Declined(by="", reason=""), []).inspect()
    assert finding.found.startswith(
        "simulated, does what is asked once a person confirms; answers with `nkloop operator`"
    )


def test_who_is_asked_must_be_known() -> None:
    with pytest.raises(BenchError, match="people is 'everybody'"):
        VirtualOperator("Ada", "http://bench", people="everybody")


async def test_a_desk_says_how_many_wait() -> None:
    (finding,) = await DeskOperator("Ada", requests=Answered(Declined(by="", reason=""))).inspect()
    assert "no requests waiting" in finding.found


async def test_the_simulated_person_keeps_the_time_asked_for() -> None:
    now = iter(("2026-01-05T08:00:00+00:00", "2026-01-05T08:07:00+00:00", "2026-01-05T09:00:00+00:00") * 2)

    def world(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"now": next(now)})

    simulated = VirtualOperator("Ada", "http://bench", httpx.MockTransport(world))
    assert (await simulated.perform(REQUEST)).at == datetime(2026, 1, 5, 8, 7, tzinfo=UTC)
    with pytest.raises(OperatorRefusedError, match="0 of 5 min have passed"):
        await simulated.perform(REQUEST)
