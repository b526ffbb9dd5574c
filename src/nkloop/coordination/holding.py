"""A bench held by a flow: Prefect's limits outside, the claim of its devices inside, and what is told when it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from nkloop.coordination.artifacts import show_markdown
from nkloop.coordination.locks import WAIT_SECONDS, device_lock
from nkloop.errors import NkloopError, Problem
from nkloop.records.models import RunRecord
from nkloop.records.processes import has_ended
from nkloop.reports.markdown import markdown_text
from nkloop.reports.numbers import duration
from nkloop.runs.holding import device_held, devices_of
from nkloop.runs.launches import has_moved
from nkloop.runs.recovery import recover
from nkloop.runs.session import Session
from nkloop.worklists.models import Worklist

SHOW_SECONDS = 3.0
"""Longest time an interrupted flow spends on showing what became of its robot."""
TOLD_SECONDS = 5.0
"""A bench that is free within this time was not waited for."""
logger = logging.getLogger(__name__)


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
    waiting = time.monotonic()
    _tell_who_is_before(session)
    async with (
        device_lock(session.bench_file.locks),
        device_held(session.bench, session.records, purpose, wait_seconds=WAIT_SECONDS),
    ):
        if (waited := time.monotonic() - waiting) >= TOLD_SECONDS:
            logger.info("bench %s is free for this flow, after %s", session.bench_file.name, duration(waited / 60))
        for found in await recover(session):
            told = f"{found.run.id} ({found.run.name}) was left open: {found.told}"
            logger.warning(told)
            await show_markdown("reconciled", markdown_text(told), told)
        yield


def _tell_who_is_before(session: Session) -> None:
    """Say who holds the bench already: a flow that waits in line looks like one that does nothing."""
    ours = devices_of(session.bench)
    for holder in session.records.claims.holders():
        if holder.device in ours and holder.released_at is None and not has_ended(holder.process):
            told = f"{holder.device} is held by {holder.holder}; this flow waits in line for it"
            logger.info(told)


@asynccontextmanager
async def safety_told(session: Session, run_id: str) -> AsyncIterator[None]:
    """When what happens inside is cancelled or fails, say in the flow what became of the robot and of its steps."""
    try:
        yield
    except NkloopError as error:
        run = session.records.journal.run(run_id)
        raise type(error).from_problems(
            [*error.problems, Problem(_sentence(run), f"run {run_id}", next_step(run))]
        ) from error
    except BaseException:  # a cancelled flow gets its state from Prefect, so this is told beside it
        run = session.records.journal.run(run_id)
        await _show_at_once(f"{_sentence(run)}. Next: {next_step(run)}", run_id)
        raise


@asynccontextmanager
async def nothing_moved_told(session: Session, worklist: Worklist) -> AsyncIterator[None]:
    """When the flow is cancelled before it started its robot, say in the flow that nothing was moved.

    A run that could not be withdrawn, because its robot does not answer or somebody has started it there, is told.
    """
    try:
        yield
    except NkloopError:
        raise  # says itself what is wrong
    except BaseException:
        left = [run for run in session.records.journal.by_hash(worklist.content_hash) if not run.is_over]
        told = _sentence(left[-1]) if left else "interrupted before the robot was started; nothing was moved"
        await _show_at_once(told, worklist.name)
        raise


async def _show_at_once(told: str, subject: str) -> None:
    """Say it in the log and as an artifact; whatever Prefect answers, the flow ends by what interrupted it."""
    sentence = f"{subject}: {told}"
    logger.warning(sentence)
    with suppress(Exception):
        async with asyncio.timeout(SHOW_SECONDS):
            await show_markdown("robot-made-safe", markdown_text(sentence), f"{subject} interrupted")


def next_step(run: RunRecord) -> str:
    """What a person does after an interruption."""
    if run.is_over and not has_moved(run):
        return "when the cause is mended, retry this flow run or launch the flow anew"
    if run.is_over and not run.unknown_steps:
        return f"retry this flow run, which does the rest and repeats nothing; or `nkloop reconcile {run.id}`"
    return f"`nkloop reconcile {run.id}` or the deployment reconcile-run; then retry this flow run"


def _sentence(run: RunRecord) -> str:
    """What became of a run that did not end by itself."""
    if not run.is_over and run.error:
        return f"{run.error}; the run stays open and its device is asked again before anything else starts"
    if not run.is_over:
        return "the robot was not touched: another process holds it and follows the run"
    done = sum(step.event == "done" for step in run.steps)
    unknown = f", {len(run.unknown_steps)} of unknown outcome" if run.unknown_steps else ""
    moved = "" if has_moved(run) else "; nothing was moved"
    return f"{run.error or run.state}; {done} of {len(run.steps)} steps were done{unknown}{moved}"
