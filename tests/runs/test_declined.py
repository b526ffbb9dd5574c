"""A task in which people move liquid is declined: weighed and decided on, unless they say that nothing was moved."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from nkloop.drivers.bench import Bench
from nkloop.errors import OperatorRefusedError, StepUnknownError
from nkloop.records import Records
from nkloop.runs.execution import play_run
from nkloop.runs.resuming import rest_of
from nkloop.runs.session import Session

from .conftest import FakeHandler, FakeOperator
from .test_vessels import FILL, Answers, Passing, asked_by, decided, killed, prepared


@pytest.mark.parametrize(
    ("because", "said", "event", "detail"),
    [
        ("", "", "unknown", ""),
        (": it leaks", "", "unknown", "declined by Ada: it leaks"),
        (": it leaks", "stop", "unknown", "declined by Ada: it leaks; Ada chose 'stop': weighed it"),
        (": it leaks", "part", "unknown", "declined by Ada: it leaks; Ada chose 'part': weighed it"),
        (": it leaks", "nothing", "failed", "declined by Ada: it leaks; Ada chose 'nothing': weighed it"),
    ],
)
async def test_who_declines_says_what_was_done_of_it_and_it_is_unknown_until_then(
    bench: Bench, records: Records, because: str, said: str, event: str, detail: str
) -> None:
    person = Answers(declines="step 3:" if said else "step 3", because=because, begun=said)
    run_id = await prepared(bench, records)
    with pytest.raises(OperatorRefusedError):
        await play_run(run_id, replace(bench, operator=person), records)
    step = records.journal.run(run_id).steps[FILL - 1]
    assert (step.event, step.detail if detail else "") == (event, detail)
    assert [bool(request.choices) for request in person.asked][1:] == ([True] if because else [])


async def test_it_is_weighed_when_the_program_ends_before_anybody_says_what_was_done(
    bench: Bench, records: Records, handler: FakeHandler
) -> None:
    person = FakeOperator(declines="step 3:", because=": it leaks", waits_at="was declined")
    run_id = await prepared(bench, records)
    playing = asyncio.create_task(play_run(run_id, replace(bench, operator=person), records))
    while not any("was declined" in request.title for request in person.asked):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await killed(playing, handler)
    step = records.journal.run(run_id).steps[FILL - 1]
    assert (step.event, step.detail) == ("unknown", "declined by Ada: it leaks")


async def test_what_was_moved_of_a_declined_task_is_not_poured_again(
    session: Session, bench: Bench, records: Records
) -> None:
    session.verifier = Passing()  # type: ignore[assignment]
    ada = Answers(declines="step 3:", because=": the bag leaks, 12 mL of 20 mL are in it", begun="part")
    run_id = await prepared(session.bench, records)
    with pytest.raises(OperatorRefusedError):
        await play_run(run_id, replace(session.bench, operator=ada), records)
    with pytest.raises(StepUnknownError):
        await rest_of(session, records.journal.run(run_id))
    await decided(records, run_id, "continue", moved={FILL: 12_000})
    bo = Answers(begun="undone")
    assert await rest_of(asked_by(session, bo), records.journal.run(run_id)) is None
    assert [move.volume_ul for request in bo.asked if request.task.kind == "fill" for move in request.task.moves] == [
        8_000
    ]
