"""Runs of our worklists that somebody started at the device, as "run again" on its screen offers, noted as runs.

They may have done once more what a labware has had, or stood for another one: nobody can tell but who was there. So
what was begun in them is of unknown outcome until a person has said that it touched nothing, or has discarded the
wells. What they gave is never counted: on which contents is not known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import ENDED
from nkloop.errors import DeviceError, PlanError
from nkloop.records import Records
from nkloop.records.models import NOT_FROM_HERE, DecisionKind, RunRecord
from nkloop.runs.closing import begun_in, doubted_steps
from nkloop.runs.holding import Hold
from nkloop.runs.same_device import serial_of
from nkloop.runs.typed_steps import spans
from nkloop.worklists.models import PLATE_READING, Worklist

LATEST = 6
"""Worklists of a labware that a device is asked for, the newest: its list is long, and it forgets old runs."""


async def note_foreign(worklist: Worklist, bench: Bench, records: Records, hold: Hold) -> None:
    """Note what the device was told to do, by nobody here, with labware of a worklist; nothing is sent to it.

    Raises:
        DeviceError: such a run has not ended, or the device does not answer.
    """
    handler, journal = bench.liquid_handler, records.journal
    if handler.stepwise or worklist.procedure == PLATE_READING:
        return
    for run in _latest(worklist, bench, records):
        done = journal.worklist(run.worklist_hash)
        known = journal.device_runs()
        for found in await handler.find_runs(done):
            if found.is_played and found.id not in known:
                await _noted(run, done, found.id, bench, records, hold)


def _latest(worklist: Worklist, bench: Bench, records: Records) -> list[RunRecord]:
    """The newest run on this device of each of the last worklists with labware of this one."""
    barcodes = {item.barcode for item in worklist.deck if item.barcode}
    latest: dict[str, RunRecord] = {}
    for run in reversed(records.journal.with_labware(barcodes)):
        is_asked = run.device == bench.liquid_handler.name and run.device_run_id and run.procedure != PLATE_READING
        if is_asked and run.worklist_hash not in latest:
            latest[run.worklist_hash] = run
            if len(latest) == LATEST:
                break
    return list(latest.values())


async def _noted(
    run: RunRecord, done: Worklist, device_run_id: str, bench: Bench, records: Records, hold: Hold
) -> None:
    state = await bench.liquid_handler.state(device_run_id)
    if state.status not in ENDED:
        raise DeviceError(
            f"run {device_run_id}, which was not begun from here, is {state.status} with '{done.name}'",
            where=run.device,
            remedy="let it end there, or cancel it on the robot's screen, then start the same again",
        )
    numbers = [step.number for step in done.steps]
    begun, at = await begun_in(device_run_id, numbers, bench), await bench.clock.now()
    told = f"{run.device} carried out the worklist of {run.id} as its run {device_run_id}, which {NOT_FROM_HERE}"
    records.journal.note_foreign(
        run.id, device_run_id, doubted_steps(numbers, begun, told, at=at, device=run.device), at=at, error=told,
        device_serial=await serial_of(bench), claim=hold.claim,
    )  # fmt: skip


def require_foreign(run: RunRecord, kind: DecisionKind, said: Mapping[str, Collection[int]]) -> None:
    """Refuse what cannot be decided about a run that was not begun from here.

    Raises:
        PlanError: something else is said than that steps did not happen, or not of all where none is discarded.
    """
    denied = set(said.get("not_happened", ()))
    others = sorted({number for word, numbers in said.items() if word != "not_happened" for number in numbers})
    left = sorted(set(run.unknown_steps) - denied)
    if kind == "discard" and not others:
        return
    if kind == "continue" and not others and not left:
        return
    raise PlanError(
        f"{run.error}: what its wells hold since cannot be told, so that nothing is continued or corrected there",
        where=f"run {run.id}",
        remedy=f"when it touched none of the labware of this run, as when another plate stood there: --decide continue "
        f"--not-happened {spans(sorted(run.unknown_steps))}; else --decide discard, with --not-happened of the steps "
        "that touched nothing",
    )
