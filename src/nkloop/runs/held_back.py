"""Steps that a device which forgot its run cannot have come to by itself: it stands at a pause until told to go on.

The journal proves that nobody was asked to end the pause, so nothing was sent to the device. It does not prove that
nobody went on at the device's own screen. So these steps stay unknown and say of themselves why they count as not
happened; a person who decides about the run is told, and may say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.records import Records
from nkloop.records.models import HELD_BACK, IN_ORDER, JournalEvent, RunRecord
from nkloop.worklists.models import PLATE_READING, Worklist


def held_back(run: RunRecord, events: Sequence[JournalEvent], records: Records) -> tuple[JournalEvent, ...]:
    """The same events; unknown ones behind the first pause that nobody was asked to end tell of that.

    Args:
        run: the run that is closed, as it stood before.
        events: what is to be written of its steps.
        records: where it is journalled.
    """
    worklist = records.journal.worklist(run.worklist_hash)
    pause = _pause(run, worklist, events, records)
    if pause is None:
        return tuple(events)
    unknown = [event.number for event in events if event.event == "unknown"]
    was_seen = any(step.number == pause and step.event == "seen" for step in run.steps)
    # who was asked, or stands at a run that began with it, may have done what the pause asks for
    first = pause + 1 if was_seen or not any(number < pause for number in unknown) else pause
    return tuple(_told(event, pause) if event.number >= first else event for event in events)


def _told(event: JournalEvent, pause: int) -> JournalEvent:
    if event.event != "unknown":
        return event
    return event.model_copy(update={"detail": f"{event.detail}; {HELD_BACK} {pause}"})


def _pause(run: RunRecord, worklist: Worklist, events: Sequence[JournalEvent], records: Records) -> int | None:
    """Number of the first pause that the device cannot have left by all that was sent to it; None where there is none,
    or somebody has started the run, or gone on in it, at the device itself."""
    if run.started_at is None or run.procedure == PLATE_READING:
        return None
    answered = {action.step for action in records.journal.actions(run.id)}
    seen = [step.number for step in run.steps if step.event == "seen" and step.detail == IN_ORDER]
    reached = max([0, *seen, *(event.number for event in events if event.event == "done")])
    pauses = (step.number for step in worklist.steps if step.action == "pause" and step.number not in answered)
    pause = next(pauses, None)
    return pause if pause is not None and pause >= reached else None
