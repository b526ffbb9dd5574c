"""A run that waits behind a failed command: a person is asked how to go on; the answer is recorded, then done."""

from __future__ import annotations

import asyncio
from typing import cast

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.drivers.recovering import Recovers, Recovery, Way
from nkloop.drivers.withdrawing import Moot
from nkloop.errors import DeviceError, DeviceUnreachableError, OperatorRefusedError
from nkloop.records import Records
from nkloop.records.models import JournalEvent, OperatorAction, RunRecord
from nkloop.runs import people
from nkloop.runs.closing import words
from nkloop.runs.holding import Hold
from nkloop.runs.outcomes import SKIPPED
from nkloop.runs.possible import sentence
from nkloop.worklists.models import OperatorTask, Worklist


async def mend(run: RunRecord, worklist: Worklist, bench: Bench, records: Records, hold: Hold, *, moot: Moot) -> bool:
    """Ask how a run that waits behind an error is to go on, and do that.

    The choice is in the journal before anything is sent: with `skip` the step is unknown from then on.

    Returns:
        Whether the device was told to go on or waits no more; False when a person recovers on its screen.

    Raises:
        OperatorRefusedError: a person chose to stop, or declined.
        QuestionWithdrawn: somebody recovered on the device's screen before anybody answered here.
        DeviceError: the device refused.
    """
    device, device_run_id = cast(Recovers, bench.liquid_handler), run.device_run_id or ""
    seen = await device.recovery(device_run_id)
    if seen is None:
        return True
    request = _request(seen, run, worklist)
    answer = await people.answered(request, bench, records, step=seen.step, moot=moot)
    way = cast(Way, answer.choice or "screen")
    if way == "stop":
        raise OperatorRefusedError(
            f"{answer.confirmed_by} chose to stop after {seen.error_kind} of {seen.command}: {answer.note}",
            where=request.title,
        )
    if way == "screen":
        return False
    await _note_choice(seen, answer, run, bench, records, hold)
    try:
        await device.recover(device_run_id, seen, way)
    except DeviceUnreachableError:
        raise
    except DeviceError as error:
        now = await device.recovery(device_run_id)
        if now is not None and now.command_id == seen.command_id:
            raise
        await _note_late(request, answer, error, bench, records)
        await asyncio.sleep(bench.liquid_handler.poll_seconds)
    return True


def _request(seen: Recovery, run: RunRecord, worklist: Worklist) -> OperatorRequest:
    step = next((step for step in worklist.steps if step.number == seen.step), None)
    parts = [f"The robot waits after an error: {seen.error_kind} ({seen.told})."]
    parts.append(f"Failed command: {seen.command}{f', {seen.place}' if seen.place else ''}.")
    if step is not None:
        parts.append(f"It belongs to step {step.number}: {sentence(step)}.")
    parts.append("Look at tips, deck and wells before you choose.")
    where = f"step {seen.step}" if seen.step is not None else "the robot"
    return OperatorRequest(
        title=f"{worklist.name}: {where} failed, {seen.error_kind}",
        task=OperatorTask(kind="confirm", instruction=" ".join(parts)),
        choices=seen.choices,
        run_id=run.id,
    )


async def _note_choice(
    seen: Recovery, answer: OperatorAnswer, run: RunRecord, bench: Bench, records: Records, hold: Hold
) -> None:
    """Write down, for the step that failed, what was chosen and what that makes of it."""
    if seen.step is None:
        return
    meaning = (
        f"{SKIPPED}, so whether its wells got their liquid is unknown"
        if answer.choice == "skip"
        else "the failed command is done once more"
    )
    told = JournalEvent(
        number=seen.step,
        event="unknown" if answer.choice == "skip" else "seen",
        at=await bench.clock.now(),
        device=run.device,
        detail=f"{seen.error_kind} of {seen.command}; {answer.confirmed_by} chose '{answer.choice}': {meaning}; "
        f"because: {answer.note}",
    )
    records.journal.append_events(run.id, [told], claim=hold.claim)


async def _note_late(
    request: OperatorRequest, answer: OperatorAnswer, error: DeviceError, bench: Bench, records: Records
) -> None:
    """Write down that an answer came too late: somebody went on at the device meanwhile."""
    records.journal.add_action(
        OperatorAction(
            run_id=request.run_id,
            step=None,
            at=await bench.clock.now(),
            confirmed_by=answer.confirmed_by,
            title=request.title,
            instruction=request.task.instruction,
            note=f"'{answer.choice}' was not carried out: {words(error)}",
        )
    )
