"""One worklist on the bench, as Prefect sees it: verified, shown, locked, run, shown again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from nkloop.coordination.artifacts import described, show_markdown
from nkloop.coordination.holding import bench_held, next_step, nothing_moved_told, safety_told
from nkloop.coordination.launching import launch_of
from nkloop.coordination.progress import Meter, progress_shown
from nkloop.coordination.run_artifacts import PlanShown, show_plan, show_run
from nkloop.drivers.interfaces import Finding
from nkloop.errors import DeviceError, Problem
from nkloop.records.models import Context, RunRecord
from nkloop.reports.markdown import markdown_text
from nkloop.reports.numbers import length
from nkloop.runs import finish_run, play_run, prepare_run
from nkloop.runs.execution import RunProgress
from nkloop.runs.launches import last_of
from nkloop.runs.people import change_deck
from nkloop.runs.resuming import rest_of
from nkloop.runs.session import Session
from nkloop.runs.stock_use import StockHold, stock_held
from nkloop.worklists.cells_back import cells_back_told
from nkloop.worklists.models import Verdict, Worklist
from nkloop.worklists.parts import Part
from nkloop.worklists.verification import require

TOLD_SECONDS = 30.0
"""Least time between two words in the log on how far a run is; the bar shows it all the time."""
logger = logging.getLogger(__name__)
_PLAIN: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False, "retries": 0}
"""Nothing physical is cached, persisted or retried by Prefect: the journal decides what was done."""


@task(name="verify worklist", **_PLAIN)
async def _verify(session: Session, worklist: Worklist) -> Verdict:
    logger.info("%s is being checked; the robot maker's own analysis may take a minute or two", worklist.name)
    return await session.verifier.verify(worklist)


@task(name="prepare run", **_PLAIN)
async def _prepare(session: Session, worklist: Worklist, verdict: Verdict, context: Context) -> str:
    def tell(one: Finding) -> None:
        logger.info("%s: %s: %s", worklist.name, one.subject, one.found)

    return await prepare_run(worklist, verdict, session.bench, session.records, context=context, on_found=tell)


@task(name="play run", **_PLAIN)
async def _play(session: Session, run_id: str, meter: Meter) -> None:
    quarters = Quarters(run_id)

    def tell(seen: RunProgress) -> None:
        session.tell(session.progress.phase, current=seen.current, total=seen.total)
        meter.tell(seen.current, seen.total)
        quarters.tell(seen)

    await play_run(run_id, session.bench, session.records, on_progress=tell)


class Quarters:
    """Says in the log when a run has come through another quarter of its steps, and not too often."""

    def __init__(self, run_id: str, *, least_seconds: float = TOLD_SECONDS) -> None:
        self._run_id, self._least = run_id, least_seconds
        self._quarter, self._told_at = 0, time.monotonic()

    def tell(self, seen: RunProgress) -> None:
        """Note how far the run is."""
        quarter = 4 * seen.current // seen.total if seen.total else 0
        if quarter <= self._quarter or time.monotonic() - self._told_at < self._least:
            return
        self._quarter, self._told_at = quarter, time.monotonic()
        logger.info("%s: step %d of %d", self._run_id, seen.current, seen.total)


@task(name="finish run", **_PLAIN)
async def _finish(session: Session, run_id: str) -> RunRecord:
    return await finish_run(run_id, session.bench, session.records)


Value = TypeVar("Value")


def _whole(value: Value) -> Value:
    """Keep Prefect from searching a large argument for futures; a task gets the value itself."""
    return cast(Value, quote(value))


@dataclass
class Begun:
    """A worklist at its place in the launch, with its plan on the pages of Prefect."""

    occurrence: str | None
    done: RunRecord | None = None
    """The run of this place that did it already."""
    shown: PlanShown | None = None
    """None for what is done already."""

    async def checked(self, verdict: Verdict) -> None:
        """Tell on the page what the checks say."""
        if self.shown is not None:
            await self.shown.checked(verdict)


async def _begun(session: Session, worklist: Worklist, plan_rows: Sequence[Mapping[str, Any]]) -> Begun:
    occurrence = (await launch_of(session)).place(worklist.content_hash[:16])
    last = last_of(occurrence, session.records)
    if last is not None and last.state == "succeeded":
        return Begun(occurrence, done=last)
    return Begun(occurrence, shown=await show_plan(session, worklist, plan_rows))


@asynccontextmanager
async def verified_ahead(
    session: Session, worklists: Sequence[Worklist]
) -> AsyncIterator[tuple[asyncio.Task[Verdict], ...]]:
    """Verify worklists while earlier ones run on the bench; gives one awaitable verdict for each, in order."""
    tasks = tuple(asyncio.create_task(_verdict(session, worklist)) for worklist in worklists)
    try:
        yield tasks
    finally:
        for pending in tasks:
            pending.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _verdict(session: Session, worklist: Worklist) -> Verdict:
    return await _verify(_whole(session), _whole(worklist))


async def carry_out(
    session: Session,
    worklist: Worklist,
    *,
    phase: str,
    plan_rows: Sequence[Mapping[str, Any]] = (),
    verdict: Awaitable[Verdict] | None = None,
    reservation: str = "",
    context: Context | None = None,
    begun: Begun | None = None,
) -> RunRecord:
    """Show the plan of a worklist, verify it, hold the bench's locks, run it, show what happened.

    Args:
        session: bench and records.
        worklist: what is run.
        phase: what the person at the screen reads.
        plan_rows: what the plan gives (composition, layout); it becomes the plan table in the user interface.
        verdict: a verification already under way, from `verified_ahead`.
        reservation: name the plan was reserved under; found by itself when the plan is the same.
        context: what the run belongs to; the session's campaign and round when not given.
        begun: its place in the launch, where its plan was shown before.

    Raises:
        InventoryError: the named reservation holds nothing.
        VerificationError: a check refused the worklist; nothing was sent.
        DeviceError: the bench is not ready or failed.
    """
    session.tell(phase, total=len(worklist.steps))
    logger.info("%s: %d steps, %d transfers", worklist.name, len(worklist.steps), worklist.n_transfers)
    begun = begun or await _begun(session, worklist, plan_rows)
    if begun.done is not None:
        return await _skipped(session, begun.done, worklist, phase)
    occurrence, checked = begun.occurrence, await (verdict or _verdict(session, worklist))
    await begun.checked(checked)
    require(checked, worklist)
    _log_verdict(checked)
    async with bench_held(session, worklist.name):
        last = last_of(occurrence, session.records)  # a run of this launch may just have been followed to its end
        rest = await rest_of(session, last) if last is not None and last.state != "succeeded" else None
        if last is not None and rest is None:
            return await _skipped(session, last, worklist, phase)
        if last is not None and rest is not None:
            worklist, checked = rest
            await _told(session, f"{last.id} was cut; its rest is run: {worklist.n_transfers} transfers")
        place = context or Context(campaign=session.campaign, round=session.round, batch=session.batch)
        place = place.model_copy(update={"occurrence": occurrence, **({"parent": last.id} if last else {})})
        record = await _run(session, worklist, checked, place, reservation)
    session.progress.runs_done += 1
    session.progress.transfers_done += record.n_transfers
    session.tell(phase)
    await show_run(session, record)
    _require_success(record, worklist, simulated=session.bench_file.simulated)
    return record


async def _run(session: Session, worklist: Worklist, verdict: Verdict, context: Context, reservation: str) -> RunRecord:
    """Prepare, play and finish, with the stock reserved around them and what interrupts them told."""
    async with _stock(session, worklist, reservation) as hold:
        async with nothing_moved_told(session, worklist):
            hold.run_id = run_id = await _prepare(_whole(session), _whole(worklist), _whole(verdict), context)
        logger.info("%s begins on the robot: %s", run_id, worklist.name)
        async with safety_told(session, run_id), progress_shown(described(worklist.name)) as meter:
            await _play(_whole(session), run_id, _whole(meter))
        return await _finish(_whole(session), run_id)


def _require_success(record: RunRecord, worklist: Worklist, *, simulated: bool) -> None:
    """Say how a run has ended, and which cells are put back now; one that did not do everything ends its flow.

    Raises:
        DeviceError: the run did not succeed.
    """
    done = sum(step.event == "done" for step in record.steps)
    took = f", {length(record.started_at, record.ended_at)}" if record.started_at and record.ended_at else ""
    clock = _clock(simulated=simulated) if took else ""
    told = f"{record.id} {record.state}: {done} of {len(record.steps)} steps done{took}{clock}"
    logger.log(logging.INFO if record.state == "succeeded" else logging.WARNING, told)
    if record.state != "succeeded":
        unknown = f"; steps of unknown outcome: {len(record.unknown_steps)}" if record.unknown_steps else ""
        raise DeviceError(
            f"the robot ended the run as {record.state}: {record.error or 'no reason given'}{unknown}",
            where=f"run {record.id} ({record.name})",
            remedy=f"look at the deck, then {next_step(record)}",
        )
    if told := cells_back_told(worklist):
        logger.info("%s", told)


def _clock(*, simulated: bool) -> str:
    """Which clock a time is by, where it is not the one on the wall."""
    return " by the clock of the simulated bench" if simulated else ""


def _log_verdict(verdict: Verdict) -> None:
    passed = ", ".join(f"{check.check} ({check.seconds:.1f} s)" for check in verdict.checks)
    logger.info("checks passed: %s", passed)
    for warning in (warning for check in verdict.checks for warning in check.warnings):
        logger.warning("%s", Problem(**warning))


async def _told(session: Session, sentence: str) -> None:
    session.tell(sentence)
    await show_markdown("resumed", markdown_text(sentence), sentence)


async def _skipped(session: Session, done: RunRecord, worklist: Worklist, phase: str) -> RunRecord:
    """Say that nothing is done again, because the journal proves that this launch has done it."""
    when = (
        f" on {done.ended_at:%Y-%m-%d %H:%M} UTC{_clock(simulated=session.bench_file.simulated)}"
        if done.ended_at
        else ""
    )
    told = f"{worklist.name} was done already in this launch, as {done.id}{when}; it is not done again"
    session.tell(f"{phase}: {done.id} was done already")
    logger.info(told)
    await show_markdown("skipped", f"{markdown_text(told)}. To do it once more, launch the flow anew.", told)
    return done


@asynccontextmanager
async def _stock(session: Session, worklist: Worklist, reservation: str) -> AsyncIterator[StockHold]:
    """The stock of a run, with what is to be told of its reservation shown before anything moves."""
    async with stock_held(session, worklist, reservation=reservation) as hold:
        for note in hold.notes:
            logger.info("stock: %s", note)
        if hold.notes:
            text = "".join(f"- {told}\n" for told in hold.notes)
            await show_markdown("stock", text, f"Stock reserved for {worklist.name}")
        yield hold


async def carry_out_parts(
    session: Session,
    parts: Sequence[Part],
    *,
    phase: str,
    plan_rows: Sequence[Mapping[str, Any]] = (),
    verdicts: Sequence[Awaitable[Verdict]] = (),
    reservation: str = "",
) -> tuple[RunRecord, ...]:
    """Run the parts of a plan in their order; a person changes the deck between two of them.

    Every part is verified before the first one moves: half a feeding is worse than none. `verdicts` are verifications
    of the parts already under way, from `verified_ahead`.

    Raises:
        VerificationError: a check refused a part; nothing was sent.
        OperatorRefusedError: a person declined to change the deck; the parts before were run.
        DeviceError: the bench is not ready or failed.
    """
    async with verified_ahead(session, [] if verdicts else [part.worklist for part in parts]) as own:
        known = verdicts or own
        begun = [await _begun(session, part.worklist, () if n else plan_rows) for n, part in enumerate(parts)]
        for part, verdict, one in zip(parts, known, begun, strict=True):
            await one.checked(await verdict)
            require(await verdict, part.worklist)
        records: list[RunRecord] = []
        for part, verdict, one in zip(parts, known, begun, strict=True):
            was_begun = one.done is not None or last_of(one.occurrence, session.records) is not None
            if part.before is not None and records and not was_begun:
                await change_deck(part.before, part.worklist, session.bench, session.records, records[-1].id)
            named = f"{phase}, part {len(records) + 1} of {len(parts)}" if len(parts) > 1 else phase
            records.append(
                await carry_out(
                    session,
                    part.worklist,
                    phase=named,
                    plan_rows=plan_rows,
                    verdict=verdict,
                    reservation=reservation,
                    begun=one,
                )
            )
    return tuple(records)
