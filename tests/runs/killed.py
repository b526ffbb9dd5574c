"""A run as a process leaves it that is killed, and what the journal says of its steps then."""

from __future__ import annotations

from typing import Any

from nkloop.drivers.bench import Bench
from nkloop.records import Records
from nkloop.records.models import Context
from nkloop.runs.holding import device_held
from nkloop.worklists.models import Verdict, Worklist


class Killed(BaseException):
    """The process ends here: nothing of the program runs any more."""


def events(records: Records, run_id: str = "run-0001") -> dict[int, str]:
    return {step.number: step.event for step in records.journal.run(run_id).steps}


async def killed_at(place: str, worklist: Worklist, verdict: Verdict, bench: Bench, records: Records) -> None:
    """Leave the journal and the device as a process leaves them that is killed at this place."""
    handler: Any = bench.liquid_handler
    async with device_held(bench, records, "killed") as hold:
        journal, claim, at = records.journal, hold.claim, await bench.clock.now()
        run_id = journal.create_run(
            worklist, verdict, bench=bench.name, device=handler.name, at=at, context=Context(), claim=claim
        )
        if place == "planned":
            return
        journal.append_event(run_id, [1, 2, 3], "intended", at=at, device="flex", claim=claim)
        if place == "intended":
            return
        device_run = await handler.prepare(worklist)
        if place == "created":
            return
        journal.set_run_state(run_id, "prepared", device_run_id=device_run, claim=claim)
        if place == "prepared":
            return
        journal.append_event(run_id, [1, 2, 3], "sent", at=at, device="flex", claim=claim)
        if place == "sent":
            return
        await handler.play(device_run)
        if place == "played":
            return
        journal.set_run_state(run_id, "running", started_at=at, claim=claim)
        while handler.status != "paused":
            await handler.state(device_run)
        if place == "paused":
            return
        await handler.play(device_run)
        while handler.status != "succeeded":
            await handler.state(device_run)
