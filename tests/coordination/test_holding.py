"""What an interrupted flow says of its robot."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from nkloop.coordination import holding
from nkloop.coordination.holding import next_step, nothing_moved_told, safety_told
from nkloop.errors import DeviceError
from nkloop.records.models import StepRecord

AT = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def shown(monkeypatch):
    told = []

    async def show(key, text, description):
        told.append((key, text))

    monkeypatch.setattr(holding, "show_markdown", show)
    return told


def session_with(*, over=True):
    events = ("done", "done", "unknown")
    run = SimpleNamespace(
        id="run-0007",
        is_over=over,
        state="interrupted",
        error="the robot was stopped",
        steps=[StepRecord(number=n, event=event, at=AT) for n, event in enumerate(events, start=1)],
        unknown_steps=(3,),
    )
    return SimpleNamespace(
        records=SimpleNamespace(journal=SimpleNamespace(run=lambda run_id: run, by_hash=lambda _: [run]))
    )


async def test_a_cancelled_flow_shows_what_its_robot_did(shown):
    with pytest.raises(asyncio.CancelledError):
        async with safety_told(session_with(), "run-0007"):
            raise asyncio.CancelledError
    ((key, text),) = shown
    assert key == "robot-made-safe"
    assert "run-0007" in text
    assert "2 of 3 steps were done, 1 of unknown outcome" in text


async def test_a_flow_whose_run_stays_open_says_so(shown):
    with pytest.raises(asyncio.CancelledError):
        async with safety_told(session_with(over=False), "run-0007"):
            raise asyncio.CancelledError
    assert "its device is asked again" in shown[0][1]


async def test_a_failed_run_carries_its_robot_in_the_error(shown):
    with pytest.raises(DeviceError) as told:
        async with safety_told(session_with(), "run-0007"):
            raise DeviceError("the robot refused", where="robot", remedy="look")
    assert told.value.problems[0].message == "the robot refused"
    assert "nkloop reconcile run-0007" in str(told.value)
    assert not shown


@pytest.mark.parametrize(("over", "told"), [(True, "nothing was moved"), (False, "its device is asked again")])
async def test_a_flow_cancelled_before_its_robot_started_says_that_nothing_moved_where_that_is_so(shown, over, told):
    medium = SimpleNamespace(name="medium", content_hash="abc")
    with pytest.raises(asyncio.CancelledError):
        async with nothing_moved_told(session_with(over=over), medium):
            raise asyncio.CancelledError
    ((_, text),) = shown
    assert told in text


@pytest.mark.parametrize(
    ("events", "over", "told"),
    [
        (("failed", "failed"), True, "when the cause is mended, retry this flow run"),
        (("done", "failed"), True, "retry this flow run, which does the rest and repeats nothing"),
        (("done", "unknown"), True, "`nkloop reconcile run-0007` or the deployment reconcile-run"),
        (("sent", "sent"), False, "`nkloop reconcile run-0007` or the deployment reconcile-run"),
    ],
)
def test_what_comes_next_depends_on_what_has_moved(events, over, told):
    steps = [StepRecord(number=n, event=event, at=AT) for n, event in enumerate(events, start=1)]
    unknown = tuple(n for n, event in enumerate(events, start=1) if event in {"unknown", "sent"})
    run = SimpleNamespace(id="run-0007", is_over=over, steps=steps, unknown_steps=unknown)
    assert told in next_step(run)
