"""A verified worklist on a bench: preflight, intent, play, observe, outcome.

`prepare_run`, `play_run` and `finish_run` are three tasks of a flow; `execute` is the three in one. Each asks the
journal and the device before it does anything, so that calling it again after a crash repeats no physical step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import ENDED, DeviceCommand, DeviceState, LiquidHandler, announced_step
from nkloop.errors import (
    BenchError,
    DeviceError,
    DeviceUnreachableError,
    NkloopError,
    Problem,
    RecordError,
    StaleHolderError,
    VerificationError,
)
from nkloop.frozen import FrozenModel
from nkloop.records import Records
from nkloop.records.models import Context, RunRecord, RunState
from nkloop.runs import people
from nkloop.runs.holding import Hold, device_held
from nkloop.runs.outcomes import all_unknown, step_outcomes
from nkloop.worklists.models import Verdict, Worklist
from nkloop.worklists.verification import require

PATIENCE = 5
"""Looks at a device in a row that may fail before its connection counts as lost."""
SAFE_SECONDS = 20.0
"""Longest time spent on making a device safe after an interruption."""


class RunProgress(FrozenModel):
    """How far a run has come."""

    run_id: str
    current: int
    """Number of the last step known to have begun; 0 before the first."""
    total: int
    phrase: str


OnProgress = Callable[[RunProgress], None]


async def execute(
    worklist: Worklist,
    verdict: Verdict,
    bench: Bench,
    records: Records,
    *,
    context: Context | None = None,
    on_progress: OnProgress | None = None,
) -> RunRecord:
    """Run a worklist once, from preflight to the outcome of every step.

    Returns:
        The record, also of a run that the device ended as failed or stopped: look at its `state`.

    Raises:
        VerificationError: the verdict did not pass or belongs to another worklist or protocol; nothing was touched.
        BenchError: the bench is not ready; nothing was touched.
        OperatorRefusedError: a person declined; the device was stopped.
        DeviceHeldError: somebody else holds the device; nothing was touched.
        StaleHolderError: somebody else took the device over meanwhile; it was left to him.
        DeviceError: the device refused, or its connection was lost.
    """
    async with device_held(bench, records, worklist.name):
        run_id = await prepare_run(worklist, verdict, bench, records, context=context)
        await play_run(run_id, bench, records, on_progress=on_progress)
        return await finish_run(run_id, bench, records)


async def prepare_run(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, *, context: Context | None = None
) -> str:
    """Check the bench, have the deck loaded, journal what is intended, create the device's run. Moves no liquid.

    Returns:
        Our id of the run.

    Raises:
        VerificationError: the verdict did not pass, belongs to another worklist, or its protocol file has changed.
        WorkspaceError: the protocol file cannot be read.
        BenchError: a preflight finding stands in the way; every one is named.
        OperatorRefusedError: the deck was not loaded.
        DeviceHeldError: somebody else holds the device.
        DeviceError: the device refused.
    """
    require(verdict, worklist)
    _require_same_protocol(verdict, worklist, bench.liquid_handler)
    async with device_held(bench, records, worklist.name) as hold:
        await _preflight(worklist, bench)
        return await _prepared(worklist, verdict, bench, records, context or Context(), hold)


async def _prepared(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, context: Context, hold: Hold
) -> str:
    handler, journal, claim = bench.liquid_handler, records.journal, hold.claim
    at = await bench.clock.now()
    run_id = journal.create_run(
        worklist, verdict, bench=bench.name, device=handler.name, at=at, context=context, claim=claim
    )
    try:
        await people.load_deck(worklist, bench, records, run_id)
        numbers = [step.number for step in worklist.steps]
        journal.append_event(run_id, numbers, "intended", at=at, device=handler.name, claim=claim)
        _require_same_protocol(verdict, worklist, handler)  # loading the deck takes a while
        device_run_id = await handler.prepare(worklist)
    except StaleHolderError:  # the run belongs to whoever holds the device now
        raise
    except BaseException as error:
        state: RunState = "failed" if isinstance(error, Exception) else "interrupted"
        journal.set_run_state(run_id, state, error=_words(error), ended_at=at, claim=claim)
        raise
    journal.set_run_state(run_id, "prepared", device_run_id=device_run_id, claim=claim)
    return run_id


async def play_run(run_id: str, bench: Bench, records: Records, *, on_progress: OnProgress | None = None) -> None:
    """Start a prepared run once, follow it to its end and close it; people do the tasks of its pauses.

    A run that is already under way is followed, not started again. Whatever interrupts this (cancellation, Ctrl+C,
    an operator who declines, a lost connection) stops the device, and the run is recorded as interrupted.

    Raises:
        RecordError: the run was never prepared.
        OperatorRefusedError: a person declined.
        DeviceHeldError: somebody else holds the device.
        StaleHolderError: somebody else took the device over meanwhile; it was not stopped, he runs it.
        DeviceError: the device refused, or its connection was lost.
    """
    run = records.journal.run(run_id)
    if run.is_over:
        return
    if run.device_run_id is None:
        raise RecordError(f"run {run_id} was never prepared", remedy="prepare it first")
    async with device_held(bench, records, run.name) as hold:
        worklist = records.journal.worklist(run.worklist_hash)
        watch = _Watch(run, worklist, bench, records, hold, on_progress or (lambda progress: None))
        try:
            await watch.start()
            await watch.follow()
            # here too, not in the next task only: an interruption between the two would leave the run open for ever
            await finish_run(run_id, bench, records)
        except (GeneratorExit, StaleHolderError):  # nothing can be awaited any more; the device is another's
            raise
        except BaseException as error:  # Ctrl+C, cancellation and a coordinator's own signals are no `Exception`
            await watch.make_safe(_words(error))
            raise


async def finish_run(run_id: str, bench: Bench, records: Records) -> RunRecord:
    """Fetch the commands of a run that has ended, journal what became of each step, close the run; once.

    Raises:
        RecordError: the run has not ended, or was never prepared.
        DeviceError: the device no longer knows the run or does not answer; its steps stay unknown.
    """
    run = records.journal.run(run_id)
    if run.is_over:
        return run
    if run.device_run_id is None:
        raise RecordError(f"run {run_id} was never prepared", remedy="prepare it first")
    async with device_held(bench, records, run.name) as hold:
        state = await bench.liquid_handler.state(run.device_run_id)
        if state.status not in ENDED:
            raise RecordError(f"run {run_id} is {state.status} on {run.device}", remedy="play it to its end first")
        commands = await bench.liquid_handler.commands(run.device_run_id)
        at = await bench.clock.now()
        worklist = records.journal.worklist(run.worklist_hash)
        succeeded = state.status == "succeeded"
        events = step_outcomes(worklist, commands, succeeded=succeeded, at=at, device=run.device)
        records.journal.append_events(run_id, events, claim=hold.claim)
        ended: dict[str, RunState] = {"succeeded": "succeeded", "stopped": "stopped"}
        outcome, told = ended.get(state.status, "failed"), "; ".join(state.errors)
        records.journal.set_run_state(run_id, outcome, ended_at=at, error=told, claim=hold.claim)
    return records.journal.run(run_id)


class _Ended(NamedTuple):
    """How the device's run ended, and everything it did."""

    succeeded: bool
    commands: tuple[DeviceCommand, ...]


class _Watch:
    """One run being played: what is known of it and who is asked."""

    def __init__(
        self, run: RunRecord, worklist: Worklist, bench: Bench, records: Records, hold: Hold, on_progress: OnProgress
    ) -> None:
        self.run, self.worklist, self.bench, self.records, self.hold = run, worklist, bench, records, hold
        self.handler: LiquidHandler = bench.liquid_handler
        self.device_run_id = run.device_run_id or ""
        self._on_progress = on_progress
        self._step = 0
        self._door_was_open = False

    async def start(self) -> None:
        """Play an idle run, after `sent` is durable; leave one that is under way alone."""
        state = await self._look()
        if state.status != "idle":
            return
        at = await self.bench.clock.now()
        unsent = [step.number for step in self.run.steps if step.event == "intended"]
        journal, claim = self.records.journal, self.hold.claim
        journal.append_event(self.run.id, unsent, "sent", at=at, device=self.run.device, claim=claim)
        journal.set_run_state(self.run.id, "running", started_at=at, claim=claim)
        await self._play()

    async def follow(self) -> None:
        """Return when the run has ended."""
        while (state := await self._look()).status not in ENDED:
            if state.status in {"running", "finishing", "stop-requested"}:
                self._tell("running")
                await asyncio.sleep(self.handler.poll_seconds)
            elif state.status == "idle":
                raise DeviceError(
                    "the run is idle although it was started", where=self.run.device, remedy="look at the robot"
                )
            else:
                await self._attend(state)
        self._step = len(self.worklist.steps) if state.status == "succeeded" else self._step
        self._tell(state.status)

    async def make_safe(self, why: str) -> None:
        """Stop the device and record what can be known. Records in any case, also when interrupted once more."""
        ended: _Ended | None = None
        at = datetime.now(UTC)
        try:
            async with asyncio.timeout(SAFE_SECONDS):
                at = await self.bench.clock.now()
                ended = await self._stopped()
        except (NkloopError, TimeoutError) as error:
            why = f"{why}; {self.run.device} could not be stopped and may still be running: {_words(error)}"
        finally:
            with suppress(StaleHolderError):  # the run is another's; what ended this one matters more
                self._record_interruption(ended, why, at)

    async def _stopped(self) -> _Ended:
        await self.handler.stop(self.device_run_id)
        while True:
            state = await self.handler.state(self.device_run_id)
            if state.status in ENDED:
                return _Ended(state.status == "succeeded", await self.handler.commands(self.device_run_id))
            await asyncio.sleep(self.handler.poll_seconds)

    def _record_interruption(self, ended: _Ended | None, why: str, at: datetime) -> None:
        run = self.records.journal.run(self.run.id)
        if run.is_over:
            return
        open_steps = [step.number for step in run.steps if step.event == "sent"]
        succeeded = ended is not None and ended.succeeded
        if ended is None:
            events = all_unknown(open_steps, why, at=at, device=self.run.device)
        else:
            told = step_outcomes(self.worklist, ended.commands, succeeded=succeeded, at=at, device=self.run.device)
            events = tuple(event for event in told if event.number in open_steps)
        journal, claim = self.records.journal, self.hold.claim
        journal.append_events(self.run.id, events, claim=claim)
        state: RunState = "succeeded" if succeeded else "interrupted"
        journal.set_run_state(self.run.id, state, ended_at=at, error="" if succeeded else why, claim=claim)

    async def _attend(self, state: DeviceState) -> None:
        self._tell(state.pause_message or state.status)
        place = (self.worklist, self.bench, self.records, self.run.id)
        if state.status == "paused" and state.pause_message is not None:
            await people.answer_pause(state.pause_message, *place)
            await self._play()
        elif state.status == "paused":
            # Closing the door leaves a run paused; whoever closed it has already said that it may go on.
            if not self._door_was_open:
                await people.clear_obstacle(state, *place)
            self._door_was_open = False
            await self._play()
        else:
            self._door_was_open = state.status == "blocked-by-open-door"
            await people.clear_obstacle(state, *place)

    async def _look(self) -> DeviceState:
        """State of the run; a connection lost for a short time is waited for, because the device goes on anyway."""
        self.hold.watch()
        for _ in range(PATIENCE - 1):
            try:
                return await self.handler.state(self.device_run_id)
            except DeviceUnreachableError:
                await asyncio.sleep(self.handler.poll_seconds)
        return await self.handler.state(self.device_run_id)

    async def _play(self) -> None:
        """Play; asked again after a lost connection, because `play` itself asks the device first."""
        try:
            await self.handler.play(self.device_run_id)
        except DeviceUnreachableError:
            await self._look()
            await self.handler.play(self.device_run_id)

    def _tell(self, phrase: str) -> None:
        number = announced_step(phrase)
        self._step = number if number is not None else self._step
        progress = RunProgress(run_id=self.run.id, current=self._step, total=len(self.worklist.steps), phrase=phrase)
        self._on_progress(progress)


async def _preflight(worklist: Worklist, bench: Bench) -> None:
    findings = await bench.liquid_handler.preflight(worklist)
    device = bench.liquid_handler.name
    problems = [Problem(f"{f.subject}: {f.found}", device, f.remedy) for f in findings if not f.ok]
    if problems:
        raise BenchError.from_problems(problems)


def _require_same_protocol(verdict: Verdict, worklist: Worklist, handler: LiquidHandler) -> None:
    """Refuse a protocol file that is not the one the checks were made with."""
    now = handler.protocol_sha256(worklist) if verdict.protocol_sha256 else ""
    if now != verdict.protocol_sha256:
        raise VerificationError(
            f"protocol {verdict.protocol} has changed since the verdict: it was {verdict.protocol_sha256[:12]}, "
            f"now it is {now[:12] or 'none'}",
            where=worklist.name,
            remedy="verify the worklist again, with the protocol that is to run it",
        )


def _words(error: BaseException) -> str:
    if not isinstance(error, Exception):  # cancellation, Ctrl+C, a signal
        return "interrupted by a person or by the program"
    return str(error) or type(error).__name__
