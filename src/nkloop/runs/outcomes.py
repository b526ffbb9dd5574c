"""What became of each step, told from the commands the device executed between its announcement and the next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from nkloop.drivers.interfaces import DeviceCommand, announced_step
from nkloop.records.models import JournalEvent, StepEvent
from nkloop.runs.mended import DRAWING, GIVING, LIQUID, drawn_besides, is_mended
from nkloop.runs.reader_outcomes import reader_outcome
from nkloop.worklists.models import PLATE_READING, Step, Worklist

ANNOUNCING = frozenset({"comment", "waitForResume", "pause"})


WENT_ON = "the run went on after error recovery"
"""Part of the detail of an unknown step that the device has passed over: others may be done or not all the same."""
NOT_TOLD = "the device reports no such step"
"""The same of a step that a run which succeeded says nothing of."""
SKIPPED = "the failed command is skipped"
"""The same of a step whose failed command a person had the device leave out."""
PASSED = (WENT_ON, NOT_TOLD, SKIPPED)
_STOPPED = "RunStopped"
"""Part of the error of a command that was cut short because the run was stopped; how far it came is not told."""
UNCONFIRMED = "people move liquid in it, and nobody has said how much of it they did"
"""Part of the detail of an unknown step that is left to people."""


MIXING_FIRST = "it was still mixing its source and had given nothing"
"""Part of the detail of an unknown transfer that was cut in the mix before its draw."""
NOT_GIVEN = "the device had not begun to give"
"""The same of one that was cut before it gave anything; whether it had drawn is not told."""
NOT_MIXED = "the device had not come to the end of its mix"
"""The same of a step that only mixes; whether liquid is in its tip is not told."""


_SLACK_UL = 1e-6
_ASKING = frozenset({"waitForResume", "pause"})
"""Commands at which a device stands until a person has it go on."""
_WAITS = frozenset({"pause", "delay"})
"""Actions in which the device does nothing, so that one that was cut short is done again, unless people move liquid."""


def by_step(commands: Sequence[DeviceCommand]) -> dict[int, list[DeviceCommand]]:
    """Commands under the step that was announced last before them.

    Those before the first step, and those that were never begun, are left out.
    """
    found: dict[int, list[DeviceCommand]] = {}
    current: int | None = None
    for command in commands:
        if command.status == "queued":
            continue
        if command.command_type in ANNOUNCING and command.intent != "fixit":
            current = announced_step(command.params.get("message")) or current
        if current is not None:
            found.setdefault(current, []).append(command)
    return found


def step_outcomes(
    worklist: Worklist, commands: Sequence[DeviceCommand], *, succeeded: bool, at: datetime, device: str
) -> tuple[JournalEvent, ...]:
    """One event per step of a run that has ENDED: its list of commands is complete.

    A step whose commands all succeeded before another one began is done. One with a failed command is unknown when
    that command moves liquid, and whenever the run went on behind it, because of what people do by hand in error
    recovery there is no trace; it is done when each failed command was done again in recovery, and failed when the run
    ended with a command that moves none. A step the run never came to is failed, because it certainly did not happen.
    The step during which a run was stopped is unknown: nobody knows which command would have been its last; unless it
    only waits, and nobody moves liquid meanwhile. The list is whole, so a transfer in which no dispense was begun has
    given nothing, and a mix whose last one was not begun has not mixed to its end.
    """
    seen = by_step(commands)
    if worklist.procedure == PLATE_READING:
        told = {step.number: reader_outcome(step, seen.get(step.number, ())) for step in worklist.steps}
        return tuple(
            JournalEvent(number=number, event=event, at=at, device=device, detail=detail)
            for number, (event, detail) in told.items()
        )
    last = next(reversed(seen), None)
    events = []
    for step in worklist.steps:
        commands_of = seen.get(step.number)
        event, detail = _outcome(step, commands_of, succeeded, is_last=step.number == last)
        moved = moved_ul(step, commands_of or ()) if step.action == "transfer" else ()
        if event == "unknown" and WENT_ON not in detail and _is_cut_first(step, commands_of or ()):
            # whether the liquid of the mix went back into its source is for people to see
            detail, moved = f"{detail}; {MIXING_FIRST}", ()
        elif event == "unknown" and WENT_ON not in detail and not succeeded and step.number == last:
            detail += _fell_short(step, commands_of or ())
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
        if command.command_type in DRAWING:
            kept[place] = kept.get(place, 0.0) - volume
        elif command.command_type in GIVING:
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
            return "unknown", f"the run succeeded, but {NOT_TOLD}"
        return "failed", "not started: the run ended before this step"
    waits = step.action in _WAITS and not any(one.command_type in LIQUID for one in commands)
    was_asked = any(one.command_type in _ASKING for one in commands)
    if step.moves and was_asked and is_last and not succeeded:
        return "unknown", f"the run ended during this {step.action}; {UNCONFIRMED}"
    if waits and is_last and not succeeded:
        return "failed", f"the run ended during this {step.action}; no liquid was moved"
    if any(command.status == "failed" for command in commands):
        return _after_failure(commands, went_on=succeeded or not is_last)
    if succeeded or not is_last:
        return "done", f"device time {commands[-1].completed_at or 'not told'}"
    return "unknown", "the run ended during this step"


def _is_cut_first(step: Step, commands: Sequence[DeviceCommand]) -> bool:
    """Whether a transfer that was the last of a run was cut in the mix before its draw, or right after it.

    The mix draws as often as it is told to; only the next draw is the step's own.
    """
    liquid = [command for command in commands if command.command_type in LIQUID]
    draws = sum(command.command_type in DRAWING for command in liquid)
    is_mended = any(command.intent == "fixit" for command in commands)
    return step.action == "transfer" and 0 < draws <= step.mix_before and not is_mended


def _fell_short(step: Step, commands: Sequence[DeviceCommand]) -> str:
    """What the last step of a run certainly did not come to; empty where it may have ended.

    A mix gives back as often as it is told to; what a transfer gives beyond the mix before its draw may have gone to
    its target. Where somebody sent commands of his own in error recovery, the list does not tell what was done by hand.
    """
    if any(command.intent == "fixit" for command in commands):
        return ""
    gives = sum(command.command_type in GIVING for command in commands)
    if step.action == "transfer" and gives <= step.mix_before:
        return f"; {NOT_GIVEN}"
    return f"; {NOT_MIXED}" if step.action == "mix" and gives < step.mix_before + step.mix_after else ""


def _after_failure(commands: Sequence[DeviceCommand], *, went_on: bool) -> tuple[StepEvent, str]:
    """Outcome of a step with a failed command; `went_on` when the run came to what follows the step."""
    broken = [command for command in commands if command.status == "failed"]
    first = broken[0]
    cut = next((command for command in broken if _STOPPED in (command.error or "")), None)
    told = f"{first.command_type}: {first.error or 'no reason given'}"
    if cut is not None:
        return "unknown", f"the run was stopped during {cut.command_type}"
    if went_on and is_mended(commands):
        return "done", f"{told}; done again in error recovery{_besides(commands)}"
    if went_on or commands[-1] is not first:
        return "unknown", f"{told}; {WENT_ON}, in which somebody may have mended it by hand"
    if first.command_type in GIVING:
        return "unknown", f"{told}; how much came out is not told"
    if first.command_type in DRAWING:
        return "unknown", f"{told}; how much was drawn is not told"
    return "failed", told


def _besides(commands: Sequence[DeviceCommand]) -> str:
    return "".join(
        f"; the first attempt may have drawn up to {ul:g} µL of {well}" for ul, well in drawn_besides(commands)
    )
