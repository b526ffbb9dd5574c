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


_SLACK_UL = 1e-6
_DRAWING = frozenset({"aspirate", "aspirateInPlace"})
_GIVING = frozenset({"dispense", "dispenseInPlace"})


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

    A step whose commands all succeeded before another one began is done; one with a failed command is failed, or
    unknown when liquid was just coming out; one the run never came to is failed, too, because it certainly did not
    happen. The step during which a run was stopped is unknown: nobody knows which command would have been its last.
    """
    seen = by_step(commands)
    last = next(reversed(seen), None)
    events = []
    for step in worklist.steps:
        commands_of = seen.get(step.number)
        event, detail = _outcome(step, commands_of, succeeded, is_last=step.number == last)
        moved = moved_ul(step, commands_of or ()) if step.action == "transfer" else ()
        events.append(
            JournalEvent(number=step.number, event=event, at=at, device=device, detail=detail, moved_ul=moved)
        )
    return tuple(events)


def moved_ul(step: Step, commands: Sequence[DeviceCommand]) -> tuple[float, ...]:
    """µL that each channel gave into wells other than those it drew from; empty when it drew nothing.

    What a mix draws from a well and gives back into it is no movement. Only commands that succeeded count, so of a
    step that was cut short this is what is certain.
    """
    kept: dict[tuple[str, str], float] = {}
    place = ("", "")
    for command in commands:
        if command.status != "succeeded":
            continue
        if "wellName" in command.params:
            place = (str(command.params.get("labwareId", "")), str(command.params["wellName"]))
        volume = float(command.params.get("volume") or 0.0)
        if command.command_type in _DRAWING:
            kept[place] = kept.get(place, 0.0) - volume
        elif command.command_type in _GIVING:
            kept[place] = kept.get(place, 0.0) + volume
    if not any(change < -_SLACK_UL for change in kept.values()):
        return ()
    given = sum(change for change in kept.values() if change > 0)
    return (round(given, 6),) * step.channels


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
    if broken is not None and broken.command_type in _GIVING:
        return "unknown", f"{broken.command_type}: {broken.error or 'no reason given'}; how much came out is not told"
    if broken is not None:
        return "failed", f"{broken.command_type}: {broken.error or 'no reason given'}"
    if succeeded or not is_last:
        return "done", f"device time {commands[-1].completed_at or 'not told'}"
    if step.action == "pause":
        return "failed", "the run ended during this pause; no liquid was moved"
    return "unknown", "the run ended during this step"
