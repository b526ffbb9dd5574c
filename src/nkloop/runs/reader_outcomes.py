"""What became of a step of a reading on the deck, told from the commands the robot executed in it.

A measurement does no harm when it is made again, so one that was cut is certainly not done. A lid that was on its way
may be anywhere, so nobody guesses.
"""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.drivers.interfaces import DeviceCommand
from nkloop.records.models import StepEvent
from nkloop.worklists.models import Step

_OF_STEP = {
    "lid": frozenset({"absorbanceReader/openLid", "absorbanceReader/closeLid"}),
    "read": frozenset({"absorbanceReader/initialize", "absorbanceReader/read"}),
    "pause": frozenset({"moveLabware"}),
}
_CUT = {
    "read": "nothing was measured; it may be measured again",
    "pause": "the run ended while it waited for the plate",
}


def reader_outcome(step: Step, commands: Sequence[DeviceCommand]) -> tuple[StepEvent, str]:
    """Event and detail of one step of a run that has ended: its list of commands is complete."""
    own = [command for command in commands if command.command_type in _OF_STEP.get(step.action, ())]
    done = next((command for command in reversed(own) if command.status == "succeeded"), None)
    if done is not None:
        return "done", f"device time {done.completed_at or 'not told'}"
    if not own:
        return "failed", "not started: the run ended before this step"
    error = f"{own[-1].command_type}: {own[-1].error}; " if own[-1].error else ""
    if step.action == "lid":
        return "unknown", f"{error}where the lid is nobody saw"
    return "failed", f"{error}{_CUT[step.action]}"
