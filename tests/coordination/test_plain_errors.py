"""An error of ours is logged as its sentence, any other with its traceback."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from pydantic import BaseModel

from nkloop.coordination.plain_errors import fails_plainly, no_tracebacks
from nkloop.coordination.server import PrefectServer
from nkloop.errors import PlanError


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def reported(error: Exception) -> logging.LogRecord:
    """What the log keeps when Prefect's engine reports what left a flow."""
    no_tracebacks()
    no_tracebacks()  # twice is once
    log, kept = logging.getLogger("prefect.engine"), Kept()
    log.addHandler(kept)
    try:
        raise error
    except Exception as exc:
        log.error("Encountered exception during execution: %r", exc, exc_info=True)
    finally:
        log.removeHandler(kept)
    (record,) = kept.records
    return record


def test_ours_is_one_sentence_with_place_and_remedy() -> None:
    record = reported(PlanError("no stage 'x'", where="recipe", remedy="use another"))
    assert record.getMessage() == "Encountered exception during execution: recipe: no stage 'x'. Remedy: use another"
    assert record.exc_info is None


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    record = reported(KeyError("x"))
    assert record.exc_info is not None


class Form(BaseModel):
    """What both flows take."""

    is_wrong: bool = False


@flow(name="inner")
@fails_plainly
async def inner(form: Form) -> int:
    """Refuse a wrong form."""
    if form.is_wrong:
        raise PlanError("no stage 'x'", where="recipe", remedy="use another")
    return 1


@flow(name="outer")
@fails_plainly
async def outer(form: Form) -> int:
    """Call the inner one."""
    return await inner(form) + 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[None]:
    started = PrefectServer.launch(tmp_path, temporary=True)
    try:
        started.wait()
        with temporary_settings({PREFECT_API_URL: f"{started.url}/api", PREFECT_LOGGING_TO_API_ENABLED: False}):
            yield
    finally:
        started.stop()
        gc.collect()  # connections that Prefect leaves open are this test's, not a later one's


@pytest.mark.slow
@pytest.mark.filterwarnings(
    r"ignore:(?s).*<socket\.socket:pytest.PytestUnraisableExceptionWarning"
)  # Prefect's clients
async def test_the_outermost_run_says_our_sentence(server: None) -> None:
    told = "recipe: no stage 'x'. Remedy: use another"
    assert await outer(Form()) == 2
    for one in (inner, outer):
        with pytest.raises(PlanError, match=told):
            await one(Form(is_wrong=True))
    async with get_client() as client:
        failed = [run for run in await client.read_flow_runs() if run.state is not None and run.state.is_failed()]
    messages = {(run.parent_task_run_id is None, run.state.message) for run in failed if run.state}
    assert (True, told) in messages
    assert {outermost for outermost, message in messages if message != told} == {False}


def test_a_form_keeps_its_schema() -> None:
    assert list(outer.parameters.properties) == ["form"]
    assert outer.description == "Call the inner one."
