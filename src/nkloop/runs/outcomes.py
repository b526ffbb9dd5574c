"""What became of each step, told from the commands the device executed between its announcement and the next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from nkloop.drivers.interfaces import DeviceCommand, announced_step
from nkloop.records.models import JournalEvent, StepEvent
from nkloop.worklists.models import Step, Worklist

ANNOUNCING = frozenset({"comment", "waitForResume", "pause"})


_STOPPED = "RunStopped"
"""Part of the error of a command that was cut short because the run was stopped; how far it came is not told."""


def by_step(commands: Sequence[DeviceCommand]) -> dict[int, list[DeviceCommand]]:
    """Commands under the step that was announced last before them; those before the first step are left out."""
    found: dict[int, list[DeviceCommand]] = {}
    current: int | None = None
    for command in commands:
        if command.command_type in ANNOUNCING:
            current = announced_step(command.params.get("message")) or current
        if current is not None:
            found.setdefault(current, []).append(command)
    return found


def step_outcomes(
    worklist: Worklist, commands: Sequence[DeviceCommand], *, succeeded: bool, at: datetime, device: str
) -> tuple[JournalEvent, ...]:
    """One event per step of a run that has ENDED: its list of commands is complete.

    A step whose commands all succeeded before another one began is done; one with a failed command is failed; one
    the run never came to is failed, too, because it certainly did not happen. The step during which a run was stopped
    is unknown: nobody knows which command would have been its last.
    """
    seen = by_step(commands)
    last = next(reversed(seen), None)
    events = []
    for step in worklist.steps:
        event, detail = _outcome(step, seen.get(step.number), succeeded, is_last=step.number == last)
        events.append(JournalEvent(number=step.number, event=event, at=at, device=device, detail=detail))
    return tuple(events)


def all_unknown(numbers: Sequence[int], why: str, *, at: datetime, device: str) -> tuple[JournalEvent, ...]:
    """Events for steps of which nothing can be known."""
    return tuple(JournalEvent(number=n, event="unknown", at=at, device=device, detail=why) for n in numbers)


def _outcome(
    step: Step, commands: Sequence[DeviceCommand] | None, succeeded: bool, *, is_last: bool
) -> tuple[StepEvent, str]:
    if commands is None:
        if succeeded:
            return "unknown", "the run succeeded, but the device reports no such step"
        return "failed", "not started: the run ended before this step"
    broken = next((command for command in commands if command.status == "failed"), None)
    if broken is not None and _STOPPED in (broken.error or ""):
        return "unknown", f"the run was stopped during {broken.command_type}"
    if broken is not None:
        return "failed", f"{broken.command_type}: {broken.error or 'no reason given'}"
    if succeeded or not is_last:
        return "done", f"device time {commands[-1].completed_at or 'not told'}"
    if step.action == "pause":
        return "failed", "the run ended during this pause; no liquid was moved"
    return "unknown", "the run ended during this step"
