"""A bench held by a flow: Prefect's limits outside, the claim of its devices inside, and what is told when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from nkloop.coordination.artifacts import show_markdown
from nkloop.coordination.locks import WAIT_SECONDS, device_lock
from nkloop.errors import NkloopError, Problem
from nkloop.records.models import RunRecord
from nkloop.reports.markdown import markdown_text
from nkloop.runs.holding import device_held
from nkloop.runs.recovery import recover
from nkloop.runs.session import Session

SHOW_SECONDS = 3.0
"""Longest time an interrupted flow spends on showing what became of its robot."""
logger = logging.getLogger("prefect.flow_runs")


@asynccontextmanager
async def bench_held(session: Session, purpose: str) -> AsyncIterator[None]:
    """Hold the bench of a session, and close first what an interruption left open on it.

    Prefect's limits make flows wait for each other in their order; the claim in our records keeps everybody else out,
    and this flow too once another process has taken the bench over.

    Raises:
        TimeoutError: another flow held the bench for `WAIT_SECONDS`.
        DeviceHeldError: a process outside of Prefect holds a device and did not give it back in that time.
        DeviceUnreachableError: a run is open and its device does not answer.
    """
    async with (
        device_lock(session.bench_file.locks),
        device_held(session.bench, session.records, purpose, wait_seconds=WAIT_SECONDS),
    ):
        for found in await recover(session):
            told = f"{found.run.id} ({found.run.name}) was left open: {found.told}"
            logger.warning(told)
            await show_markdown("reconciled", markdown_text(told), told)
        yield


@asynccontextmanager
async def safety_told(session: Session, run_id: str) -> AsyncIterator[None]:
    """When what happens inside is cancelled or fails, say in the flow what became of the robot and of its steps."""
    try:
        yield
    except NkloopError as error:
        told = Problem(_sentence(session.records.journal.run(run_id)), f"run {run_id}", f"`nkloop reconcile {run_id}`")
        raise type(error).from_problems([*error.problems, told]) from error
    except BaseException:  # a cancelled flow gets its state from Prefect, so this is told beside it
        told_ = _sentence(session.records.journal.run(run_id))
        logger.warning("run %s: %s", run_id, told_)
        with suppress(Exception):  # whatever Prefect answers, the flow ends by what interrupted it
            async with asyncio.timeout(SHOW_SECONDS):
                await show_markdown("robot-made-safe", markdown_text(f"run {run_id}: {told_}"), f"{run_id} interrupted")
        raise


@asynccontextmanager
async def nothing_moved_told(worklist: str) -> AsyncIterator[None]:
    """When the flow is cancelled before its robot was started, say in the flow that nothing was moved."""
    try:
        yield
    except NkloopError:
        raise  # says itself what is wrong
    except BaseException:
        told = f"{worklist}: interrupted before the robot was started; nothing was moved"
        logger.warning(told)
        with suppress(Exception):  # whatever Prefect answers, the flow ends by what interrupted it
            async with asyncio.timeout(SHOW_SECONDS):
                await show_markdown("robot-made-safe", markdown_text(told), told)
        raise


def _sentence(run: RunRecord) -> str:
    """What became of a run that did not end by itself."""
    if not run.is_over and run.error:
        return f"{run.error}; the run stays open and its device is asked again before anything else starts"
    if not run.is_over:
        return "the robot was not touched: another process holds it and follows the run"
    done = sum(step.event == "done" for step in run.steps)
    unknown = f", {len(run.unknown_steps)} of unknown outcome" if run.unknown_steps else ""
    return f"{run.error or run.state}; {done} of {len(run.steps)} steps were done{unknown}"
