"""A verified worklist on a bench: preflight, intent, play, observe, outcome.

`prepare_run`, `play_run` and `finish_run` are three tasks of a flow; `execute` is the three in one. Each asks the
journal and the device before it does anything, so that calling it again after a crash repeats no physical step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import ENDED, DeviceState, Finding, LiquidHandler, TellsGiven
from nkloop.errors import (
    BenchError,
    DeviceError,
    NkloopError,
    Problem,
    RecordError,
    StaleHolderError,
    VerificationError,
)
from nkloop.records import Records
from nkloop.records.models import Context, OperatorRemark, RunRecord, RunState
from nkloop.runs import people
from nkloop.runs.closing import close_ended, words
from nkloop.runs.following import SAFE_SECONDS, OnProgress, RunProgress, follow_run
from nkloop.runs.holding import Hold, device_held
from nkloop.runs.on_deck import bench_of
from nkloop.runs.reconcile import clear_the_way, find_new_runs, taken_off
from nkloop.runs.same_device import require_same_device, serial_of
from nkloop.runs.unplayed import require_unplayed
from nkloop.worklists.models import PLATE_READING, Verdict, Worklist
from nkloop.worklists.verification import require

__all__ = ["OnProgress", "RunProgress", "execute", "finish_run", "play_run", "prepare_run"]

OnFound = Callable[[Finding], None]


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
    worklist: Worklist,
    verdict: Verdict,
    bench: Bench,
    records: Records,
    *,
    context: Context | None = None,
    known: Collection[str] | None = None,
    on_found: OnFound | None = None,
    is_again: bool = False,
) -> str:
    """Check the bench, have the deck loaded, journal what is intended, create the device's run. Moves no liquid.

    Args:
        worklist: what is run.
        verdict: what allows it.
        bench: where.
        records: where it is journalled.
        context: what the run belongs to.
        on_found: told, before the deck is loaded and once more if it was another thing, what the run is to be made
            with besides the worklist, such as labware offsets.
        known: runs of this worklist that it is meant to be done besides, as `Journal.create_run` takes them.
        is_again: a person says that it is meant to be done once more, whatever the device has done of it. Never said
            of a rest.

    Returns:
        Our id of the run.

    Raises:
        VerificationError: the verdict did not pass, belongs to another worklist, or its protocol file has changed.
        WorkspaceError: the protocol file cannot be read.
        BenchError: a preflight finding stands in the way; every one is named.
        OperatorRefusedError: the deck was not loaded.
        DeviceHeldError: somebody else holds the device.
        StepUnknownError: an earlier run on the device or with this labware waits for a decision.
        RecordError: the work was taken up already, is not what was decided last, needs wells that were discarded, or
            was done by the device without the records knowing of it.
        DeviceError: the device refused.
    """
    require(verdict, worklist)
    _require_same_protocol(verdict, worklist, bench.liquid_handler)
    async with device_held(bench, records, worklist.name) as hold:
        await clear_the_way(worklist, bench, records)
        kept = await _preflight(worklist, bench)
        _tell(kept, on_found)
        at, place = await bench.clock.now(), context or Context()
        device, claim = bench.liquid_handler.name, hold.claim
        run_id = records.journal.create_run(
            worklist, verdict, bench=bench.name, device=device, at=at, context=place, claim=claim, known=known,
            device_serial=await serial_of(bench),
        )  # fmt: skip
        given = await _prepared(run_id, worklist, verdict, bench, records, hold, is_again=is_again)
        if given != kept:
            _tell(given, on_found)
        return run_id


async def _prepared(
    run_id: str, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, hold: Hold, *, is_again: bool
) -> tuple[Finding, ...]:
    handler, journal, claim = bench.liquid_handler, records.journal, hold.claim
    at = await bench.clock.now()
    try:
        await require_unplayed(worklist, journal.run(run_id).parent, bench, records, is_again=is_again)
        if worklist.procedure != PLATE_READING:  # whose plate is asked for when the lid is open
            await people.load_deck(worklist, bench, records, run_id)
        played = [one.id for one in await handler.find_runs(worklist) if one.is_played]
        journal.set_run_state(run_id, "planned", found_before=played, claim=claim)
        numbers = [step.number for step in worklist.steps]
        journal.append_event(run_id, numbers, "intended", at=at, device=handler.name, claim=claim)
        _require_same_protocol(verdict, worklist, handler)  # loading the deck takes a while
        device_run_id = await handler.prepare(worklist)
    except StaleHolderError:  # the run belongs to whoever holds the device now
        raise
    except BaseException as error:
        await _withdraw(run_id, bench, records, hold, error)
        raise
    journal.set_run_state(run_id, "prepared", device_run_id=device_run_id, claim=claim)
    given = handler.given if isinstance(handler, TellsGiven) else ()
    for one in given:
        journal.add_remark(OperatorRemark(run_id=run_id, at=at, kind="found", title=one.subject, told=one.found))
    return given


async def _withdraw(run_id: str, bench: Bench, records: Records, hold: Hold, error: BaseException) -> None:
    """Close a run that could not be prepared, and take what was made of it off the device.

    Where the device cannot be asked whether it made a run, ours stays open and is reconciled later: a run that lies
    ready on a device could be played by anybody. It stays open as well when somebody has played one already.
    """
    state: RunState = "failed" if isinstance(error, Exception) else "interrupted"
    told, at = words(error), await bench.clock.now()
    try:
        async with asyncio.timeout(SAFE_SECONDS):
            if not await _is_withdrawn(run_id, bench, records, hold, told):
                _point_to_open_run(error, records.journal.run(run_id))
                return
    except (DeviceError, TimeoutError) as unclear:
        state, told = "planned", f"{told}; whether the device has made a run is not known: {words(unclear)}"
    ended_at = None if state == "planned" else at
    records.journal.set_run_state(run_id, state, error=told, ended_at=ended_at, claim=hold.claim)


async def _is_withdrawn(run_id: str, bench: Bench, records: Records, hold: Hold, why: str) -> bool:
    """Whether the device certainly moves nothing for this run, now that what waited there is taken off it.

    Otherwise the device has a run that somebody started, which may be the one made for this run or another of the same
    worklist. It may have moved our wells, so every step counts as sent; but ours does not take its id, so that
    reconciling follows nobody else's run and asks a person what became of the wells.
    """
    journal, claim = records.journal, hold.claim
    run = journal.run(run_id)
    # before the intent nothing was asked of the device
    found = await find_new_runs(run, bench, records) if run.steps else ()
    if not found:
        return True
    newest = found[-1].id
    state: DeviceState | None = await bench.liquid_handler.state(newest)
    if state is not None and state.status == "idle":
        state = await taken_off(newest, bench)
    played = [one.id for one in found[:-1] if one.is_played]
    if state is None and not played:
        # the device tells of it as of one that was played, so it has to be known as ours
        journal.set_run_state(run_id, run.state, device_run_id=newest, claim=claim)
        return True
    what = f"{newest}), which is {state.status}" if state is not None else f"{played[-1]})"
    told = f"{why}; somebody started a run of the same worklist at {run.device} ({what}"
    at = await bench.clock.now()
    journal.append_event(run_id, [step.number for step in run.steps], "sent", at=at, device=run.device, claim=claim)
    journal.set_run_state(run_id, "planned", error=told, claim=claim)
    return False


def _point_to_open_run(error: BaseException, run: RunRecord) -> None:
    if isinstance(error, NkloopError):
        remedy = f"let it end there, or stop it: `nkloop reconcile {run.id}`, with --stop; then say what it did"
        error.problems = (*error.problems, Problem(f"{run.error}; it stays open", f"run {run.id}", remedy))


async def play_run(run_id: str, bench: Bench, records: Records, *, on_progress: OnProgress | None = None) -> None:
    """Start a prepared run once, follow it to its end and close it; people do the tasks of its pauses.

    A run that is already under way is followed, not started again. Whatever interrupts this (cancellation, Ctrl+C,
    an operator who declines, a lost connection) stops the device, and the run is recorded as interrupted; where the
    device cannot be asked, the run stays open and is reconciled before anything else starts.

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
    bench = bench_of(run, bench)
    await require_same_device(run, bench)
    async with device_held(bench, records, run.name) as hold:
        await follow_run(run, bench, records, hold, on_progress)


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
    bench = bench_of(run, bench)
    await require_same_device(run, bench)
    async with device_held(bench, records, run.name) as hold:
        state = await bench.liquid_handler.state(run.device_run_id)
        if state.status not in ENDED:
            raise RecordError(f"run {run_id} is {state.status} on {run.device}", remedy="play it to its end first")
        return await close_ended(run, state, bench, records, hold)


def _tell(found: Iterable[Finding], on_found: OnFound | None) -> None:
    if on_found is not None:
        for one in found:
            on_found(one)


async def _preflight(worklist: Worklist, bench: Bench) -> tuple[Finding, ...]:
    """Look whether the bench is ready; what is told with the run though it stands in nobody's way."""
    findings = await bench.liquid_handler.preflight(worklist)
    device = bench.liquid_handler.name
    problems = [Problem(f"{f.subject}: {f.found}", device, f.remedy) for f in findings if not f.ok]
    if problems:
        raise BenchError.from_problems(problems)
    return tuple(one for one in findings if one.is_kept)


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
