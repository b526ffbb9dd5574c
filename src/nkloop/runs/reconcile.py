"""After an interruption: ask the device what it did, close what can be known, name what nobody knows.

Everything here may itself be interrupted at any point and done again: a run is closed in one transaction, and what a
device is asked for twice (stop, file away) it does once.
"""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import ENDED, DeviceState, FoundRun
from nkloop.errors import BenchError, DeviceError, DeviceUnreachableError, RunForgottenError, StepUnknownError, first_of
from nkloop.frozen import FrozenModel
from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.runs.closing import (
    FORGOTTEN,
    LOST,
    UNSEEN,
    close_doubted,
    close_ended,
    close_unasked,
    close_unmoved,
    close_unseen,
    judge_anew,
    was_untold,
    words,
)
from nkloop.runs.following import OnProgress, follow_run, stopped
from nkloop.runs.foreign import note_foreign
from nkloop.runs.holding import Hold, device_held, devices_of
from nkloop.runs.left_tasks import take_confirmed
from nkloop.runs.on_deck import bench_of, reading_told
from nkloop.runs.same_device import require_same_device
from nkloop.worklists.models import PLATE_READING, Worklist

__all__ = [
    "Reconciled",
    "clear_the_way",
    "decision_needed",
    "devices_of",
    "find_new_runs",
    "reconcile_bench",
    "reconcile_run",
]


class Reconciled(FrozenModel):
    """What became of a run that was not over."""

    run: RunRecord
    told: str
    """What the device said and what follows from it, in one sentence."""


class _Way(FrozenModel):
    """How a run that its device still has is closed."""

    stop: bool
    is_allowed: bool
    only_watches: bool


async def clear_the_way(worklist: Worklist, bench: Bench, records: Records) -> None:
    """Reconcile what is open on the bench, then refuse to go on while somebody has to decide about an earlier run.

    Raises:
        StepUnknownError: a run on the same devices, or with labware of this worklist, waits for a decision.
        DeviceError: a run that was not begun from here is under way with labware of this worklist.
        DeviceUnreachableError: a device does not answer, so that an open run cannot be closed.
    """
    await reconcile_bench(bench, records)
    async with device_held(bench, records, worklist.name) as hold:
        await note_foreign(worklist, bench, records, hold)
    barcodes = [item.barcode for item in worklist.deck if item.barcode]
    waiting = records.decisions.undecided(devices_of(bench), barcodes)
    if waiting:
        raise decision_needed(waiting[0], records)


def decision_needed(run: RunRecord, records: Records) -> StepUnknownError:
    """The refusal of whatever would follow a run with steps of unknown outcome: run, wells and what to do."""
    if run.procedure == PLATE_READING:
        return StepUnknownError(
            f"run {run.id} ({run.name}) was interrupted on the reader of the robot, and nobody has said where its lid "
            "and the plate are",
            remedy=f"look at the reader, its lid and its plate, then `nkloop reconcile {run.id}`",
        )
    worklist = records.journal.worklist(run.worklist_hash)
    unknown = set(run.open_steps)
    wells = dict.fromkeys(
        f"{name} {well}"
        for step in worklist.steps
        if step.number in unknown
        for name, well in ((step.labware, step.well), (step.to_labware, step.to_well))
        if well
    )
    moves = [move for step in worklist.steps if step.number in unknown for move in step.moves]
    wells |= dict.fromkeys(name for move in moves for name in (move.from_vessel, move.to_vessel) if name)
    shown = first_of(list(wells), 6)
    if run.is_foreign:
        return StepUnknownError(
            f"{run.error}: it may have been done once more in {shown or 'what stood there'}; it is noted as {run.id}, "
            "and nobody has said what it touched",
            remedy=f"look at the deck, then `nkloop reconcile {run.id}`",
        )
    n = len(unknown)
    return StepUnknownError(
        f"run {run.id} ({run.name}) left {n} step{'s' if n > 1 else ''} of unknown outcome and nobody has decided "
        f"what becomes of its wells and vessels ({shown or 'none named'})",
        remedy=f"look at the deck, then `nkloop reconcile {run.id}`",
    )


async def reconcile_bench(
    bench: Bench, records: Records, *, on_progress: OnProgress | None = None
) -> tuple[Reconciled, ...]:
    """Reconcile every run of a bench that is not over, oldest first; a run under way is followed to its end.

    Raises:
        DeviceHeldError: somebody else holds a device, so his run is not ours to close.
        DeviceUnreachableError: a device does not answer; the runs stay open.
        OperatorRefusedError: a person declined a pause of a run that was followed; it was stopped.
    """
    if not records.journal.open_runs(devices_of(bench), bench.name):
        return ()
    async with device_held(bench, records, f"reconcile {bench.name}"):
        open_runs = records.journal.open_runs(devices_of(bench), bench.name)
        return tuple([await reconcile_run(run.id, bench, records, on_progress=on_progress) for run in open_runs])


async def reconcile_run(
    run_id: str,
    bench: Bench,
    records: Records,
    *,
    stop: bool = False,
    is_lost: bool = False,
    is_allowed: bool = True,
    only_watches: bool = False,
    on_progress: OnProgress | None = None,
) -> Reconciled:
    """Close a run with what its device tells; nothing is started, and nothing is done twice.

    Args:
        run_id: the run; one that is over is only told, unless its device still moves in it.
        bench: the bench it is on.
        records: where it is journalled.
        stop: stop a run that is under way instead of following it.
        is_lost: the device will never answer again, so what was sent is unknown.
        is_allowed: the device may be told something; otherwise a run it still has is only looked at.
        only_watches: an interruption leaves a run under way alone instead of stopping it.
        on_progress: told while a run under way is followed.

    Raises:
        RecordError: the run is not recorded.
        BenchError: another device answers than the one the run was begun on.
        DeviceHeldError: somebody else holds the device, most likely because the run goes on there.
        DeviceUnreachableError: the device does not answer; the run stays open.
        DeviceError: the run was given up as lost, but its device has it still under way; or the device has it, and
            may not be told anything.
        OperatorRefusedError: a person declined a pause; the run was stopped.
    """
    run = records.journal.run(run_id)
    bench = bench_of(run, bench, is_lost=is_lost or run.is_over)
    if run.is_over:
        await take_confirmed(run_id, bench, records)
        run = records.journal.run(run_id)
        return await _over(run, bench, records, stop=stop, is_lost=is_lost, is_allowed=is_allowed)
    if not (is_lost or bench.liquid_handler.stepwise):
        await require_same_device(run, bench)
    async with device_held(bench, records, f"reconcile {run_id}") as hold:
        run = records.journal.run(run_id)
        if run.is_over:
            return Reconciled(run=run, told=f"the run is over: {run.state}")
        if is_lost or bench.liquid_handler.stepwise:
            found = await _closed_alone(run, bench, records, hold, is_lost=is_lost)
        else:
            way = _Way(stop=stop, is_allowed=is_allowed, only_watches=only_watches)
            found = await _closed_by_device(run, bench, records, hold, way, on_progress)
        if run.procedure != PLATE_READING:
            return found
        told = f"{found.told}; {reading_told(found.run, bench, records)}"
        return Reconciled(run=found.run, told=told)


async def _over(
    run: RunRecord, bench: Bench, records: Records, *, stop: bool, is_lost: bool, is_allowed: bool
) -> Reconciled:
    """A run that is over in the records; nobody decides about its wells while a device given up as lost still moves.

    A device that does not answer is no obstacle here: the run was closed with what it told, or a person insisted. One
    that could not tell before and knows the run after all is believed, as long as nobody has decided. Where a person
    has given it up as lost, another one in its place is no obstacle either.
    """
    told = f"the run is over: {run.state}"
    handler = bench.liquid_handler
    if is_lost or handler.stepwise or not run.needs_decision or run.device_run_id is None:
        return Reconciled(run=run, told=told)
    try:
        await require_same_device(run, bench)
        state = await _state(run, bench)
    except DeviceUnreachableError:
        return Reconciled(run=run, told=f"{told}; {handler.name} does not answer now")
    except BenchError as error:
        if LOST not in run.error:
            raise
        return Reconciled(run=run, told=f"{told}; its device was given up as lost, and {words(error)}")
    if state is None:
        return Reconciled(run=run, told=told)
    if state.status in ENDED:
        return await _judged_anew(run, state, bench, records, told)
    if stop and not is_allowed:
        raise _not_allowed(run, handler.name, state.status)
    if stop:
        told = f"{told}; it was still {state.status} on {handler.name} and was stopped"
        return await _judged_anew(run, await stopped(handler, run.device_run_id), bench, records, told)
    raise DeviceError(
        f"run {run.id} is over in the records, but {handler.name} still has it as {state.status}",
        remedy=f"stop it, so that its wells stay as they are: `nkloop reconcile {run.id} --stop`",
    )


async def _judged_anew(run: RunRecord, state: DeviceState, bench: Bench, records: Records, told: str) -> Reconciled:
    """The run as its device tells it now, where it was closed without that."""
    if not was_untold(run):
        return Reconciled(run=run, told=told)
    async with device_held(bench, records, f"reconcile {run.id}") as hold:
        try:
            run = await judge_anew(run, state, bench, records, hold)
        except RunForgottenError:
            return Reconciled(run=run, told=told)
    told = f"what {bench.liquid_handler.name} tells of the run after all counts; {told}"
    if run.procedure == PLATE_READING:
        told = f"{told}; {reading_told(run, bench, records)}"
    return Reconciled(run=run, told=told)


async def _closed_alone(run: RunRecord, bench: Bench, records: Records, hold: Hold, *, is_lost: bool) -> Reconciled:
    """Close with the journal alone: the device has no memory of its own, or none that can be asked."""
    at = await bench.clock.now()
    name = bench.liquid_handler.name
    why = f"{name} {LOST}" if is_lost else f"{name} keeps no record of what it was sent"
    if not bench.liquid_handler.stepwise and any(step.event == "intended" for step in run.steps):
        closed = close_unasked(
            run.id, f"{why}: whether somebody started the run there is not known", records, hold, at=at
        )
        return Reconciled(run=closed, told=f"{why}: whether somebody has started the run at its screen is not known")
    if not any(step.event in UNSEEN for step in run.steps):
        if any(step.event in {"done", "failed", "unknown"} for step in run.steps):
            told = "the program ended between two steps; every step that was sent is known"
            return Reconciled(run=close_unseen(run.id, told, records, hold, at=at), told=told)
        told = "nothing was sent, so nothing was moved"
        return Reconciled(run=close_unmoved(run.id, told, records, hold, at=at), told=told)
    closed = close_unseen(run.id, f"the program ended before this step was seen to end; {why}", records, hold, at=at)
    return Reconciled(run=closed, told=f"{why}: {len(closed.open_steps)} steps are of unknown outcome")


def _not_allowed(run: RunRecord, device: str, status: str) -> DeviceError:
    return DeviceError(
        f"{device} is a real device and has run {run.id} as {status}; nothing was sent to it",
        remedy=f"`nkloop reconcile {run.id} --yes` "
        + ("takes it off the device" if status == "idle" else "follows it to its end, `--stop --yes` stops it"),
    )


async def _closed_by_device(
    run: RunRecord, bench: Bench, records: Records, hold: Hold, way: _Way, on_progress: OnProgress | None
) -> Reconciled:
    handler = bench.liquid_handler
    # before the intent nothing was asked of the device, so that it has no run of ours
    was_asked = bool(run.steps) and run.device_run_id is None
    if was_asked and (found := await find_new_runs(run, bench, records)):
        if any(one.is_played for one in found):
            return await _doubted(run, found, bench, records, hold, way)
        records.journal.set_run_state(run.id, "prepared", device_run_id=found[-1].id, claim=hold.claim)
        run = records.journal.run(run.id)
    state = await _state(run, bench)
    at = await bench.clock.now()
    if state is None:
        if any(step.event in UNSEEN for step in run.steps):
            why = f"{handler.name} {FORGOTTEN} the run"
            closed = close_unseen(run.id, why, records, hold, at=at)
            return Reconciled(run=closed, told=f"{why}: {len(closed.open_steps)} steps are of unknown outcome")
        if run.device_run_id is not None:
            why = f"{handler.name} {FORGOTTEN} the run, which lay ready: whether somebody started it there is not known"
            closed = close_unasked(run.id, why, records, hold, at=at)
            return Reconciled(run=closed, told=f"{why}; {len(closed.open_steps)} steps are of unknown outcome")
        told = f"{handler.name} knows no such run and it was never started, so nothing was moved"
        return Reconciled(run=close_unmoved(run.id, told, records, hold, at=at), told=told)
    if state.status not in ENDED and not way.is_allowed:
        raise _not_allowed(run, handler.name, state.status)
    if state.status == "idle":
        return await _stopped_idle(run, bench, records, hold)
    if state.status not in ENDED and way.stop:
        state = await stopped(handler, run.device_run_id or "")
        closed = await close_ended(run, state, bench, records, hold, why="stopped by a person after an interruption")
        return Reconciled(run=closed, told=f"the run was under way and was stopped on {handler.name}")
    if state.status not in ENDED:
        closed = await follow_run(run, bench, records, hold, on_progress, only_watches=way.only_watches)
        return Reconciled(run=closed, told=f"the run was under way on {handler.name} and was followed to its end")
    closed = await close_ended(run, state, bench, records, hold)
    return Reconciled(run=closed, told=f"the run had ended on {handler.name} as {state.status}")


async def _stopped_idle(run: RunRecord, bench: Bench, records: Records, hold: Hold) -> Reconciled:
    """Stop a run that waits to be started: it would stand in the way of the next one.

    A start that was on its way, or a hand on the device's screen, may come between the look and the stop; only what
    the device did until it was stopped tells whether something was moved.
    """
    handler = bench.liquid_handler
    if (state := await taken_off(run.device_run_id or "", bench)) is not None:
        closed = await close_ended(run, state, bench, records, hold, why="started while it was being stopped")
        told = f"the run was waiting on {handler.name}, but was started before it could be stopped there"
        return Reconciled(run=closed, told=told)
    told = f"the run was waiting on {handler.name} and was never started, so nothing was moved"
    return Reconciled(run=close_unmoved(run.id, told, records, hold, at=await bench.clock.now()), told=told)


async def taken_off(device_run_id: str, bench: Bench) -> DeviceState | None:
    """Stop a run that waits to be started; how it ended if it was started all the same, None when nothing was moved.

    Raises:
        DeviceError: the device refused or does not answer.
    """
    handler = bench.liquid_handler
    state = await stopped(handler, device_run_id)
    try:
        return state if await handler.commands(device_run_id) else None
    except RunForgottenError:
        return state  # nobody can tell any more


async def find_new_runs(run: RunRecord, bench: Bench, records: Records) -> tuple[FoundRun, ...]:
    """Runs on the device that may be the one made for this run, whose id was never written down; the newest last.

    They are none that belong to a recorded run, and none that were played there before: another database, or an
    earlier state of this one, may have run the same worklist. Of several somebody started some at the screen.

    Raises:
        DeviceError: the device refused or does not answer.
    """
    known = records.journal.device_runs()
    found = await bench.liquid_handler.find_runs(records.journal.worklist(run.worklist_hash))
    return tuple(one for one in found if one.id not in known)


async def _doubted(
    run: RunRecord, found: Sequence[FoundRun], bench: Bench, records: Records, hold: Hold, way: _Way
) -> Reconciled:
    """Close a run that was never started from here, of whose worklist the device has runs that somebody started.

    Somebody may have started ours at the device, or another program its own with other labware: a person has to look.
    """
    handler = bench.liquid_handler
    for one in found:
        state = await handler.state(one.id)
        if state.status == "idle" and not way.is_allowed:
            raise _not_allowed(run, handler.name, state.status)
        if state.status not in {*ENDED, "idle"} and not (way.stop and way.is_allowed):
            raise DeviceError(
                f"{handler.name} has a run of the same worklist as {state.status}, which was not started from here",
                where=f"run {run.id}",
                remedy=f"let it end there, or stop it: `nkloop reconcile {run.id} --stop`, on a real bench with --yes",
            )
        if state.status not in ENDED:
            await stopped(handler, one.id)
    played = [one.id for one in found if one.is_played]
    ids = [*(one.id for one in found if not one.is_played), *played]
    what = (
        f"a run of the same worklist ({played[0]})" if len(played) == 1 else f"{len(played)} runs of the same worklist"
    )
    told = f"{handler.name} carried out {what} that {'was' if len(played) == 1 else 'were'} not started from here"
    return Reconciled(run=await close_doubted(run, ids, told, bench, records, hold), told=told)


async def _state(run: RunRecord, bench: Bench) -> DeviceState | None:
    if run.device_run_id is None:
        return None
    try:
        return await bench.liquid_handler.state(run.device_run_id)
    except RunForgottenError:
        return None
