"""One run being followed on its device: pauses answered, progress told, made safe when it is interrupted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import ENDED, DeviceState, LiquidHandler, OperatorAnswer, announced_step
from nkloop.drivers.recovering import Recovers
from nkloop.drivers.withdrawing import QuestionWithdrawn
from nkloop.errors import (
    DeviceError,
    DeviceUnreachableError,
    NkloopError,
    NobodyToAskError,
    OperatorRefusedError,
    RecordError,
    RunForgottenError,
    StaleHolderError,
)
from nkloop.frozen import FrozenModel
from nkloop.records import Records
from nkloop.records.models import IN_ORDER, JournalEvent, RunRecord, StepEvent
from nkloop.runs import people
from nkloop.runs.answers import declined_step, point_to_decision
from nkloop.runs.closing import close_ended, close_unseen, words
from nkloop.runs.holding import Hold, may_be_stopped
from nkloop.runs.mending import mend
from nkloop.runs.overdue import Stretch
from nkloop.worklists.models import Worklist

logger = logging.getLogger(__name__)
PATIENCE = 5
"""Looks at a device in a row that may fail before its connection counts as lost."""
GRACE_LOOKS = 5
"""Looks after a `play` without an answer before it is sent again: what was given up here may still arrive there."""
GOES_ON = frozenset({"running", "finishing", "stop-requested"})
"""States in which a device waits for nobody."""
ASK_AGAIN_SECONDS = 180.0
"""After this somebody is asked once more about an obstacle that was confirmed to be cleared and is still there."""
SAFE_SECONDS = 20.0
"""Longest time spent on making a device safe after an interruption, where it can tell later what it did."""
STOPPED = "the device was stopped"
"""What the record of a run says when an interruption has made its device safe."""


class RunProgress(FrozenModel):
    """How far a run has come."""

    run_id: str
    current: int
    """Number of the last step known to have begun; 0 before the first."""
    total: int
    phrase: str


OnProgress = Callable[[RunProgress], None]


async def follow_run(
    run: RunRecord,
    bench: Bench,
    records: Records,
    hold: Hold,
    on_progress: OnProgress | None = None,
    *,
    only_watches: bool = False,
) -> RunRecord:
    """Start a prepared run unless it is under way, follow it to its end, close it.

    Whatever interrupts this stops the device, except that somebody else has taken it over. A run whose device cannot be
    asked stays open. Who only watches what is under way leaves it alone when told to end, and the run stays open, too;
    so does one that was found under way and waits for a person where none can be asked.

    Raises:
        OperatorRefusedError: a person declined.
        NobodyToAskError: nobody can be asked here; a run that was found under way is left alone.
        StaleHolderError: somebody else has taken the device over.
        DeviceError: the device refused, or its connection was lost.
    """
    worklist = records.journal.worklist(run.worklist_hash)
    watch = Watch(run, worklist, bench, records, hold, on_progress or (lambda progress: None))
    try:
        await watch.start()
        state = await watch.follow()
        # here too, not in the next task only: an interruption between the two would leave the run open for ever
        return await close_ended(run, state, bench, records, hold)
    except (GeneratorExit, StaleHolderError):  # nothing can be awaited any more; the device is another's
        raise
    except BaseException as error:  # Ctrl+C, cancellation and a coordinator's own signals are no `Exception`
        is_told_to_end = only_watches and isinstance(error, asyncio.CancelledError)
        if not (is_told_to_end or (watch.is_found and isinstance(error, NobodyToAskError))):
            await watch.make_safe(words(error))
        with suppress(RecordError):  # what ended the run matters more than records that are away
            point_to_decision(error, records.journal.run(run.id))
        raise


async def stopped(handler: LiquidHandler, device_run_id: str) -> DeviceState:
    """Stop a run and wait until its device says how it ended; also while the records cannot be asked.

    Raises:
        DeviceError: the device refused or does not answer.
        StaleHolderError: somebody else has taken the device over.
    """
    with may_be_stopped(handler):
        await handler.stop(device_run_id)
    while True:
        state = await handler.state(device_run_id)
        if state.status in ENDED:
            return state
        await asyncio.sleep(handler.poll_seconds)


class Watch:
    """One run being played: what is known of it and who is asked."""

    def __init__(
        self, run: RunRecord, worklist: Worklist, bench: Bench, records: Records, hold: Hold, on_progress: OnProgress
    ) -> None:
        self.run, self.worklist, self.bench, self.records, self.hold = run, worklist, bench, records, hold
        self.handler: LiquidHandler = bench.liquid_handler
        self.device_run_id = run.device_run_id or ""
        self.is_found = False
        """Whether the run was under way before it was followed."""
        self._on_progress = on_progress
        self._step = 0
        self._seen: int | None = None
        self._ahead = timedelta(0)
        self._door_was_open = False
        self._stretch = Stretch(worklist, bench.file.deck)
        self._asked_before = frozenset(one.number for one in records.journal.events(run.id) if one.event == "seen")
        """Steps at whose pause the device was seen by a program that has ended since, whatever was written after it."""
        self._declined: int | None = None
        """Step that a person said is not done; what its device tells of it afterwards counts for nothing."""
        self._cleared: tuple[DeviceState, float] | None = None
        """The obstacle confirmed to be cleared last; until when, by the monotonic clock, nobody is asked again."""

    async def start(self) -> None:
        """Play an idle run, after `sent` is durable; leave one that is under way alone.

        One that somebody has started at the device itself is written down as sent, too: its steps may happen. A device
        that is driven step by step tells each step itself, durably, before and after it.
        """
        self.handler.on_step = self._note_step if self.handler.stepwise else None
        self._ahead = await self.bench.clock.now() - datetime.now(UTC)
        state, at = await self._look(), await self.bench.clock.now()
        journal, claim = self.records.journal, self.hold.claim
        if not self.handler.stepwise:
            unsent = [step.number for step in self.run.steps if step.event == "intended"]
            journal.append_event(self.run.id, unsent, "sent", at=at, device=self.run.device, claim=claim)
        if state.status != "idle":
            self.is_found = True
            return
        journal.set_run_state(self.run.id, "running", started_at=at, claim=claim)
        await self._play(state)

    async def follow(self) -> DeviceState:
        """Return how the run ended."""
        while (state := await self._look()).status not in ENDED:
            await self._note_seen(state)
            if state.status in GOES_ON:
                self._door_was_open, self._cleared = False, None
                self._stretch.begin(self._step)
                if late := self._stretch.overdue():
                    logger.warning("%s %s: look at it; Ctrl+C or a cancelled flow stops it", self.run.device, late)
                self._tell("running")
                await asyncio.sleep(self.handler.poll_seconds)
            elif state.status == "idle":
                raise DeviceError(
                    "the run is idle although it was started", where=self.run.device, remedy="look at the robot"
                )
            else:
                self._stretch.end()
                with suppress(QuestionWithdrawn):
                    await self._attend(state)
        self._step = len(self.worklist.steps) if state.status == "succeeded" else self._step
        self._tell(state.status)
        return state

    async def make_safe(self, why: str) -> None:
        """Stop the device and close the run with what it tells. Where it cannot be asked, the run stays open.

        The device goes on without us and can tell everything later. To close the run now would lose that, let a person
        decide while the device still moves, and leave a run on the device that anybody could play. A device driven
        step by step tells nothing later, so its run is closed with what is journalled; before that it has the time it
        takes to end the command under way and to drop its tips, or until it is interrupted once more.

        Records in any case, also when interrupted once more.
        """
        at = self._about_now()
        is_forgotten = False
        left = f"{why}; {self.run.device} could not be asked and may still be running"
        try:
            with may_be_stopped(self.handler):
                self.handler.fence()  # here, so that records that answer late take no time off the stop
                async with self._time_to_stop():
                    at = await self.bench.clock.now()
                    state = await stopped(self.handler, self.device_run_id)
                    left = f"{why}; {STOPPED}"
                    await close_ended(self.run, state, self.bench, self.records, self.hold, why=left)
        except RunForgottenError as error:
            is_forgotten, left = True, f"{why}; {words(error)}"
        except (NkloopError, TimeoutError) as error:
            left = f"{left}: {words(error)}"
        finally:
            try:
                if is_forgotten or self.handler.stepwise:
                    close_unseen(self.run.id, left, self.records, self.hold, at=at)
                else:
                    self._leave_open(left)
            except StaleHolderError:
                pass  # the run is another's; what ended this one matters more
            except RecordError as error:
                told = f"{self.run.id}: {left}. That could not be written down ({words(error)})"
                logger.error("%s; when the records are there again: `nkloop reconcile %s`", told, self.run.id)

    @asynccontextmanager
    async def _time_to_stop(self) -> AsyncIterator[None]:
        """Bound it, or say why nothing seems to happen while a device driven step by step takes long.

        Raises:
            TimeoutError: a device that can tell later what it did took longer than `SAFE_SECONDS`.
        """
        if not self.handler.stepwise:
            async with asyncio.timeout(SAFE_SECONDS):
                yield
            return
        told = asyncio.get_running_loop().call_later(
            SAFE_SECONDS,
            logger.warning,
            "%s still ends its command; then its tips are dropped. Wait for it: interrupted again, it keeps them",
            self.run.device,
        )
        try:
            yield
        finally:
            told.cancel()

    def _leave_open(self, why: str) -> None:
        """Write down why a run is not over; one that is over by now stays as it is."""
        run = self.records.journal.run(self.run.id)
        if not run.is_over:
            self.records.journal.set_run_state(run.id, run.state, error=why, claim=self.hold.claim)

    async def _attend(self, state: DeviceState) -> None:
        self._tell(state.pause_message or state.status)
        place = (self.worklist, self.bench, self.records, self.run.id)
        if state.status == "paused" and state.pause_message is not None:
            self._door_was_open = False
            try:
                await people.answer_pause(
                    state.pause_message, *place, moot=self._over_there, was_asked=self._asked_before
                )
            except OperatorRefusedError as error:
                await self._note_declined(state.pause_message, error)
                raise
            await self._play(state)
        elif state.status == "paused":
            # Closing the door leaves a run paused; whoever closed it has already said that it may go on.
            if not self._door_was_open:
                await people.clear_obstacle(state, *place, moot=self._settled_there)
            self._door_was_open = False
            await self._play(state)
        elif self._cleared is not None and self._cleared[0] == state and time.monotonic() < self._cleared[1]:
            await asyncio.sleep(self.handler.poll_seconds)
        elif state.status == "awaiting-recovery-paused":
            await self._play(state)  # only holds the recovery after its door was closed; nothing moves by it
        elif state.status == "awaiting-recovery" and isinstance(self.handler, Recovers):
            place_of_run = (self.run, self.worklist, self.bench, self.records, self.hold)
            if not await mend(*place_of_run, moot=self._settled_there):
                self._cleared = (state, time.monotonic() + ASK_AGAIN_SECONDS)
        else:
            self._door_was_open = state.status == "blocked-by-open-door"
            await people.clear_obstacle(state, *place, moot=self._settled_there)
            self._cleared = (state, time.monotonic() + ASK_AGAIN_SECONDS)

    async def _note_declined(self, message: str, error: OperatorRefusedError) -> None:
        """Write down that a person declined what a pause asks for, before he is asked what was done of it."""

        def note(said: OperatorAnswer | None = None) -> tuple[JournalEvent, ...]:
            at, device = self._about_now(), self.run.device
            told = declined_step(message, error, self.worklist, at=at, device=device, said=said)
            self.records.journal.append_events(self.run.id, told, claim=self.hold.claim)
            return told

        told = note()
        self._declined = told[0].number if told else None
        if told and told[0].event == "unknown":
            place = (self.worklist, self.bench, self.records, self.run.id)
            said = await people.done_of_declined(message, error, *place, moot=self._over_there)
            if said is not None:
                note(said)

    async def _settled_there(self) -> str:
        """How somebody settled at the device itself what is asked here; empty while the device waits for that."""
        state = await self._glance()
        goes_on = state is not None and (
            state.status in GOES_ON or (state.status == "paused" and state.pause_message is not None)
        )
        return f"somebody settled it at {self.run.device} itself, which goes on" if goes_on else self._ended(state)

    async def _over_there(self) -> str:
        """How the run ended while a question waited; empty while it is not over."""
        return self._ended(await self._glance())

    def _ended(self, state: DeviceState | None) -> str:
        is_over = state is not None and state.status in ENDED
        return f"the run is over on {self.run.device}: {state.status}" if state and is_over else ""

    async def _glance(self) -> DeviceState | None:
        """State of the run while a person is asked; None when the device does not answer, which can wait."""
        self.hold.watch()
        try:
            return await self.handler.state(self.device_run_id)
        except RunForgottenError:
            raise
        except DeviceError:
            return None

    async def _look(self) -> DeviceState:
        """State of the run; a connection lost for a short time is waited for, because the device goes on anyway."""
        self.hold.watch()
        for _ in range(PATIENCE - 1):
            try:
                return await self.handler.state(self.device_run_id)
            except DeviceUnreachableError:
                await asyncio.sleep(self.handler.poll_seconds)
        return await self.handler.state(self.device_run_id)

    async def _play(self, at: DeviceState) -> None:
        """Go on from where the run stood when somebody was asked, and from nowhere else.

        Without an answer it is sent again only to a run that still stands at the very same place after a grace time;
        a run that stands elsewhere may wait at its next pause, whose task nobody has done. `follow` then asks.
        """
        if await self._look() != at:
            return
        try:
            await self.handler.play(self.device_run_id)
        except DeviceUnreachableError:
            for _ in range(GRACE_LOOKS):
                await asyncio.sleep(self.handler.poll_seconds)
                if await self._look() != at:
                    return
            await self.handler.play(self.device_run_id)

    async def _note_seen(self, state: DeviceState) -> None:
        """Write down that the device has told of a step: at each of its pauses, and now and then while it works."""
        number = state.step if state.step is not None else announced_step(state.pause_message)
        if number is None or number == self._seen or self.handler.stepwise:
            return
        self._seen, self._step = number, max(self._step, number)
        detail = IN_ORDER if state.step is not None else ""
        seen = JournalEvent(
            number=number, event="seen", at=await self.bench.clock.now(), device=self.run.device, detail=detail
        )
        self.records.journal.append_events(self.run.id, [seen], claim=self.hold.claim)

    def _note_step(self, number: int, event: StepEvent, *, detail: str = "", moved_ul: tuple[float, ...] = ()) -> None:
        """Write down what a device driven step by step tells; a stale holder is refused before the step is sent."""
        self._step = max(self._step, number)
        if number == self._declined:
            return
        told = JournalEvent(
            number=number,
            event=event,
            at=self._about_now(),
            device=self.run.device,
            detail=detail,
            moved_ul=moved_ul,
        )
        self.records.journal.append_events(self.run.id, [told], claim=self.hold.claim)

    def _about_now(self) -> datetime:
        """Time of the bench by this computer's clock, where the bench itself cannot be asked."""
        return datetime.now(UTC) + self._ahead

    def _tell(self, phrase: str) -> None:
        number = announced_step(phrase)
        self._step = number if number is not None else self._step
        progress = RunProgress(run_id=self.run.id, current=self._step, total=len(self.worklist.steps), phrase=phrase)
        self._on_progress(progress)
