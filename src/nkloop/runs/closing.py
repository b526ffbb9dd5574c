"""How a run is closed: with what its device tells of it, or with what nobody can tell any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import DeviceState
from nkloop.errors import DeviceError, NkloopError, RecordError, RunForgottenError
from nkloop.records import Records
from nkloop.records.models import IN_ORDER, JournalEvent, RunRecord, RunState, StepEvent
from nkloop.runs.answers import with_answers
from nkloop.runs.held_back import held_back
from nkloop.runs.holding import Hold
from nkloop.runs.outcomes import all_unknown, by_step, step_outcomes
from nkloop.runs.typed_steps import spans

NOT_SENT = "not started: it was never sent to the device"
FILES_LEFT = "its files were not copied out of the device"
"""Remark in the record of a run whose files are fetched later (`late_files`)."""
FORGOTTEN, LOST = "no longer knows", "is lost and cannot be asked"
"""Parts of the record of a run that was closed although its device did not tell what it did."""
FILING_SECONDS = 5.0
"""Longest wait until a device has filed a run away: who makes it safe in a hurry has to come to its commands."""
UNSEEN: frozenset[StepEvent] = frozenset({"sent", "seen"})
"""Last events of a step that may have happened without anybody having seen its end."""
_ENDED: dict[str, RunState] = {"succeeded": "succeeded", "stopped": "stopped"}
logger = logging.getLogger(__name__)


async def close_ended(
    run: RunRecord, state: DeviceState, bench: Bench, records: Records, hold: Hold, *, why: str = ""
) -> RunRecord:
    """Close a run whose device says that it has ended: copy its files out, fetch its commands, settle each step.

    Args:
        run: the run, not over yet.
        state: what the device says of it now, an end.
        bench: the bench it is on.
        records: where it is journalled.
        hold: the hold under which it is closed.
        why: what interrupted it, when it did not end by itself.

    Raises:
        DeviceUnreachableError: the device does not answer; the run stays open.
        StaleHolderError: somebody else has taken the device over.
    """
    handler = bench.liquid_handler
    if handler.stepwise:
        return close_told(run.id, state, records, hold, at=await bench.clock.now(), why=why)
    try:
        end = await _told_by_device(run, state, bench, records, why)
    except RunForgottenError as error:
        told = f"{bench.liquid_handler.name} {FORGOTTEN} what it did: {words(error)}"
        steps = records.journal.run(run.id).steps
        # one that was never started from here lay ready: somebody may have started it at the device's screen
        close = close_unasked if steps and all(step.event == "intended" for step in steps) else close_unseen
        return close(run.id, told, records, hold, at=await bench.clock.now())
    records.journal.close_run(run.id, end.events, end.state, ended_at=end.at, error=end.told, claim=hold.claim)
    return records.journal.run(run.id)


def was_untold(run: RunRecord) -> bool:
    """Whether a run was closed without its device's own list of what it did, which may turn up again."""
    return run.is_over and any(told in run.error for told in (FORGOTTEN, LOST))


async def judge_anew(run: RunRecord, state: DeviceState, bench: Bench, records: Records, hold: Hold) -> RunRecord:
    """Settle each step of a run that `was_untold` by what its device, which has ended it, tells after all.

    A run about which somebody has decided meanwhile stays as it is.

    Raises:
        RunForgottenError: the device does not know what it did.
        DeviceUnreachableError: the device does not answer.
        StaleHolderError: somebody else has taken the device over.
    """
    end = await _told_by_device(run, state, bench, records, "the program ended before")
    records.journal.judge_anew(run.id, end.events, end.state, error=end.told, claim=hold.claim)
    return records.journal.run(run.id)


class _End(NamedTuple):
    """How a run ended, as its device tells it."""

    events: tuple[JournalEvent, ...]
    state: RunState
    at: datetime
    told: str


async def _told_by_device(run: RunRecord, state: DeviceState, bench: Bench, records: Records, why: str) -> _End:
    # first of all: what is not filed away yet, commands and readings, is lost with the robot's power
    await _filed_away(bench, run.device_run_id or "")
    commands = await bench.liquid_handler.commands(run.device_run_id or "")
    remark = await copy_files(run, bench, records)
    at = await bench.clock.now()
    worklist = records.journal.worklist(run.worklist_hash)
    succeeded = state.status == "succeeded"
    outcomes = step_outcomes(worklist, commands, succeeded=succeeded, at=at, device=run.device)
    events = with_answers(run.id, outcomes, records)
    # a plate that lacks a dose must not be read as if it had it
    undone = [event.number for event in events if event.event != "done"] if succeeded else []
    outcome = _ENDED.get(state.status, "failed")
    if undone:
        missing = f"the device reports success, but step {spans(undone)} is not known to be done"
        outcome, remark = "failed", f"{missing}; {remark}"
    elif why and not succeeded:
        outcome = "interrupted"
    told = "; ".join(part for part in (*state.errors, "" if succeeded else why, remark.strip("; ")) if part)
    return _End(events, outcome, at, told)


def close_told(
    run_id: str, state: DeviceState, records: Records, hold: Hold, *, at: datetime, why: str = ""
) -> RunRecord:
    """Close a run that was driven step by step: what was journalled of each step is all there is to know."""
    run = records.journal.run(run_id)
    events = with_answers(run_id, _settled(run, "the run ended during this step", at), records)
    unclear = any(event.event == "unknown" for event in events)
    outcome = _ENDED.get(state.status, "failed")
    if why and outcome != "succeeded":
        outcome = "interrupted"
    if outcome == "succeeded" and (unclear or any(step.event not in {"done", "seen", "sent"} for step in run.steps)):
        outcome = "failed"
    told = "; ".join(part for part in (*state.errors, why) if part)
    records.journal.close_run(run_id, events, outcome, ended_at=at, error=told, claim=hold.claim)
    return records.journal.run(run_id)


def close_unseen(run_id: str, why: str, records: Records, hold: Hold, *, at: datetime) -> RunRecord:
    """Close a run of which the device tells nothing: what was sent is unknown, what was not sent did not happen.

    Steps before one at which the device was seen are done: it carries them out in order. Those behind a pause that it
    was never told to end are said to be so.

    A run that is over already is left as it is.

    Raises:
        StaleHolderError: somebody else has taken the device over.
    """
    run = records.journal.run(run_id)
    events = with_answers(run_id, held_back(run, _settled(run, why, at), records), records)
    records.journal.close_run(run_id, events, "interrupted", ended_at=at, error=why, claim=hold.claim)
    return records.journal.run(run_id)


def close_unmoved(run_id: str, why: str, records: Records, hold: Hold, *, at: datetime) -> RunRecord:
    """Close a run of which it is certain that no step began.

    Raises:
        StaleHolderError: somebody else has taken the device over.
    """
    run = records.journal.run(run_id)
    numbers = [step.number for step in records.journal.worklist(run.worklist_hash).steps]
    events = [_event(number, "failed", f"not started: {why}", at, run.device) for number in numbers]
    records.journal.close_run(run_id, events, "interrupted", ended_at=at, error=why, claim=hold.claim)
    return records.journal.run(run_id)


def close_unasked(run_id: str, why: str, records: Records, hold: Hold, *, at: datetime) -> RunRecord:
    """Close a run that may lie ready on a device which cannot be asked: anybody may have started it there.

    Raises:
        StaleHolderError: somebody else has taken the device over.
    """
    run = records.journal.run(run_id)
    unclear = [step.number for step in run.steps if step.event not in {"done", "failed"}]
    events = all_unknown(unclear, why, at=at, device=run.device)
    records.journal.close_run(run_id, events, "interrupted", ended_at=at, error=why, claim=hold.claim)
    return records.journal.run(run_id)


async def close_doubted(
    run: RunRecord, device_runs: Sequence[str], why: str, bench: Bench, records: Records, hold: Hold
) -> RunRecord:
    """Close a run with those of its device that may be its own or another's: what was begun in any is unknown.

    The last of them is noted as its own, the others as found beside it.

    Raises:
        DeviceUnreachableError: the device does not answer; the run stays open.
        StaleHolderError: somebody else has taken the device over.
    """
    numbers = [step.number for step in records.journal.worklist(run.worklist_hash).steps]
    begun = set[int]()
    for one in device_runs:
        begun |= await begun_in(one, numbers, bench)
    at = await bench.clock.now()
    events = doubted_steps(numbers, begun, why, at=at, device=run.device)
    *beside, own = device_runs
    records.journal.close_run(
        run.id, events, "interrupted", ended_at=at, error=why, device_run_id=own,
        found_before=[*(run.found_before or ()), *beside], claim=hold.claim,
    )  # fmt: skip
    return records.journal.run(run.id)


def doubted_steps(
    numbers: Sequence[int], begun: Collection[int], why: str, *, at: datetime, device: str
) -> list[JournalEvent]:
    """Outcome of the steps of a run that may have been another's: what was begun in it is unknown."""
    unknown = all_unknown([n for n in numbers if n in begun], why, at=at, device=device)
    unbegun = [n for n in numbers if n not in begun]
    return [
        *unknown,
        *(_event(n, "failed", f"not started: {why}, which never came to it", at, device) for n in unbegun),
    ]


async def begun_in(device_run_id: str, numbers: Sequence[int], bench: Bench) -> set[int]:
    """Steps that were begun in a run of the device; all where it no longer knows.

    Raises:
        DeviceUnreachableError: the device does not answer.
    """
    try:
        return set(by_step(await bench.liquid_handler.commands(device_run_id)))
    except RunForgottenError:
        return set(numbers)


async def copy_files(run: RunRecord, bench: Bench, records: Records) -> str:
    """Copy out what the run left on the device; returns a remark when that failed, which never loses an outcome."""
    try:
        files = await bench.liquid_handler.files(run.device_run_id or "")
        records.files.save(run.id, [(file.name, file.media_type, file.content) for file in files])
    except (DeviceError, RecordError) as error:
        logger.warning("files of %s were not copied: %s", run.id, error)
        return f"{FILES_LEFT}: {words(error)}"
    return ""


def words(error: BaseException) -> str:
    """What to write down of an error; of what is no error of the program, that somebody interrupted it."""
    if not isinstance(error, Exception):  # cancellation, Ctrl+C, a signal
        return "interrupted by a person or by the program"
    if isinstance(error, NkloopError):
        return "; ".join(problem.message for problem in error.problems)
    return str(error) or type(error).__name__


def _settled(run: RunRecord, why: str, at: datetime) -> list[JournalEvent]:
    reached = max((step.number for step in run.steps if step.event == "seen" and step.detail == IN_ORDER), default=0)
    unseen = [step.number for step in run.steps if step.event in UNSEEN and step.number >= reached]
    passed = [step.number for step in run.steps if step.event in UNSEEN and step.number < reached]
    unsent = [step.number for step in run.steps if step.event == "intended"]
    unknown: Sequence[JournalEvent] = all_unknown(unseen, why, at=at, device=run.device)
    done = [_event(number, "done", f"the device was seen at step {reached}", at, run.device) for number in passed]
    return [*done, *unknown, *(_event(number, "failed", NOT_SENT, at, run.device) for number in unsent)]


def _event(number: int, event: StepEvent, detail: str, at: datetime, device: str) -> JournalEvent:
    return JournalEvent(number=number, event=event, at=at, device=device, detail=detail)


async def _filed_away(bench: Bench, device_run_id: str) -> None:
    """Let the device file the run away, where it can; one that refuses tells what the run did all the same."""
    release = getattr(bench.liquid_handler, "release", None)
    if release is None:
        return
    try:
        async with asyncio.timeout(FILING_SECONDS):
            await release(device_run_id)
    except TimeoutError:
        logger.warning("%s takes long to file run %s away", bench.liquid_handler.name, device_run_id)
    except DeviceError as error:
        logger.warning("%s did not file run %s away: %s", bench.liquid_handler.name, device_run_id, error)
