"""What nkloop logs inside a flow goes to the log of its run, and outside of one where it went before."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from nkloop.coordination.flow_log import speak_in_runs
from nkloop.coordination.work import Quarters
from nkloop.runs.following import RunProgress


class Listener(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@pytest.fixture
def page() -> Iterator[Listener]:
    """Stands for the handler with which Prefect keeps the log of a run."""
    speak_in_runs()
    listener, logger = Listener(), logging.getLogger("prefect.flow_runs")
    before = logger.level, logger.handlers
    logger.handlers = [listener]
    logger.setLevel(logging.INFO)
    yield listener
    logger.level, logger.handlers = before


def test_inside_a_flow_it_is_in_the_log_of_the_run(page: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect.context.FlowRunContext.get", lambda: object())
    logging.getLogger("nkloop.runs.people").info("Ada confirmed: load the deck")
    logging.getLogger("nkloop.runs.people").debug("a detail")
    assert page.heard == ["Ada confirmed: load the deck"]


def test_outside_of_a_flow_warnings_are_heard_as_before(page: Listener, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("nkloop.runs.people").warning("the lease was not renewed")
    assert page.heard == []
    assert "the lease was not renewed" in caplog.text


def test_it_is_set_up_once(page: Listener) -> None:
    before = len(logging.getLogger("nkloop").handlers)
    speak_in_runs()
    assert len(logging.getLogger("nkloop").handlers) == before


@pytest.mark.parametrize(
    ("name", "message", "is_told"),
    [
        ("prefect.task_runs", "Finished in state Completed()", False),
        ("prefect.flow_runs", "Finished in state Completed()", True),
        ("prefect.task_runs", "Finished in state Failed('the robot refused')", False),
        ("prefect.task_runs", "Task run failed with exception: the robot refused", True),
        ("prefect.task_runs", "Crash detected! Execution was cancelled by the runtime environment.", False),
        ("prefect.flow_runs", "Finished in state Running()", False),
    ],
)
def test_what_tells_nothing_is_left_out(page: Listener, name: str, message: str, is_told: bool) -> None:
    record = logging.LogRecord(name, logging.ERROR, "", 0, message, (), None)
    assert bool(logging.getLogger(name).filter(record)) == is_told


def test_a_run_tells_each_quarter_once_and_not_too_often(page: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect.context.FlowRunContext.get", lambda: object())
    eager, patient = Quarters("run-0001", least_seconds=0), Quarters("run-0002", least_seconds=3600)
    for step in range(1, 9):
        seen = RunProgress(run_id="", current=step, total=8, phrase="running")
        eager.tell(seen)
        patient.tell(seen)
    assert page.heard == [f"run-0001: step {step} of 8" for step in (2, 4, 6, 8)]
