"""Named faults of the virtual robot: what goes wrong on a real one, on purpose and in the same place every time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from nkloop.errors import BenchError
from nkloop.virtual.robot.interfaces import Command

FAULTS = {
    "answers_500": "the first creation of a run is answered 500 and leaves a phantom; the second 500 clears it",
    "drops_connection": "the first POST on each route is carried out, but its connection breaks before the answer",
    "loses_power_mid_step": "the power fails right after a tip was filled, half-way through the first run",
    "restarts": "the robot's server restarts in the same place and comes back without the run",
    "never_finishes": "half-way through the first run a command never ends",
    "clock_wrong": "the robot's clock is three hours behind",
    "runs_another_persons_protocol": "somebody else's protocol is running when nkloop comes",
    "wrong_pipette": "another pipette is on the first mount than the bench file says",
    "clogs_tip": "half-way through the first run a tip is clogged: the robot waits for a person (Flex) or fails (OT-2)",
    "misses_tip": "half-way through the first run a pipette finds no tip: the robot waits for a person (Flex) or fails",
    "opens_door": "half-way through the first run the front door is opened and stays open",
}
"""Every fault with what it does. All but `clock_wrong`, `wrong_pipette` and the other person's run happen once."""
CLOCK_ERROR = timedelta(hours=-3)
MID_RUN = frozenset({"loses_power_mid_step", "restarts", "never_finishes", "clogs_tip", "misses_tip", "opens_door"})
_DRAWS = frozenset({"aspirate", "aspirateInPlace"})
_AT: dict[str, frozenset[str]] = {"misses_tip": frozenset({"pickUpTip"})}
"""Commands at which a fault happens, where that is not one that draws liquid."""
FAILURES: dict[str, dict[str, Any]] = {
    "clogs_tip": {
        "errorType": "overpressure",
        "errorCode": "3006",
        "detail": "Pipette Overpressure",
        "isDefined": True,
        "errorInfo": {"retryLocation": [0.0, 0.0, 0.0]},
    },
    "misses_tip": {
        "errorType": "tipPhysicallyMissing",
        "errorCode": "3003",
        "detail": "No Tip Detected",
        "isDefined": True,
        "errorInfo": {},
    },
}
"""Errors of the commands that faults make fail."""


class Faults:
    """The faults a robot was given, and which of them have happened."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Raises BenchError for a name that is no fault."""
        self._names = set(names)
        for name in sorted(self._names - set(FAULTS)):
            raise BenchError(f"there is no fault '{name}'", remedy=f"use one of: {', '.join(FAULTS)}")
        self._dropped: set[tuple[str, str]] = set()

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def take(self, name: str) -> bool:
        """True once for a fault that was given."""
        if name not in self._names:
            return False
        self._names.remove(name)
        return True

    def strikes(self, commands: Sequence[Command], command: Command) -> str | None:
        """Name of the fault that happens at this command of a run, the middle one of those of its kind."""
        for name in sorted(self._names & MID_RUN):
            kinds = _AT.get(name, _DRAWS)
            if command["commandType"] not in kinds:
                continue
            alike = [one for one in commands if one["commandType"] in kinds]
            if command is alike[len(alike) // 2]:
                self._names.remove(name)
                return name
        return None

    def drops(self, method: str, path: str) -> bool:
        """True for the first POST on each route of a robot that drops connections; ids in a path do not count."""
        if "drops_connection" not in self._names or method != "POST" or path.startswith("/virtual"):
            return False
        route = (method, "/".join(part for part in path.split("/") if "-" not in part))
        if route in self._dropped:
            return False
        self._dropped.add(route)
        return True
