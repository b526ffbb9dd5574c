"""Tasks that a run left to people: which they are, and which of them somebody has confirmed meanwhile."""

from __future__ import annotations

from nkloop.drivers.bench import Bench
from nkloop.records import Records
from nkloop.runs.answers import close_confirmed
from nkloop.runs.deciding import steps_by_hand
from nkloop.runs.people import do_left_task, left_title
from nkloop.runs.ways import fates_of


async def take_confirmed(run_id: str, bench: Bench, records: Records) -> None:
    """Write as done what was confirmed of a run that is over, on the list of requests or while its program was killed.

    Raises:
        RecordError: the run is not recorded.
        DeviceHeldError: somebody else holds the bench, on which a task was confirmed that nobody has written down.
        DeviceError: the world of a simulated operator, in which it is to happen, does not answer.
    """
    close_confirmed(run_id, records)
    run = records.journal.run(run_id)
    decision = run.decision
    if not run.is_over or decision is None or decision.follow_up is not None or decision.decision == "discard":
        return
    worklist = records.journal.worklist(run.worklist_hash)
    fates = fates_of(worklist, records.journal.events(run_id), decision.rulings)
    listed = [one.title for one in records.requests.of_run(run_id) if one.is_untaken and not one.choice]
    for step in steps_by_hand(fates) if listed else ():
        if any(left_title(step.number, run_id) in title for title in listed):
            await do_left_task(step, worklist, bench, records, run_id)
