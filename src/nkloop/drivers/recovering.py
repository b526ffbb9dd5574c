"""Error recovery: what failed on a device that waits for a person, and the ways on that are truly open."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from nkloop.drivers.interfaces import Choice
from nkloop.frozen import FrozenModel

Way = Literal["again", "skip", "screen", "stop"]
SCREEN = Choice(key="screen", label="I recover on the device's own screen; nkloop only watches")
STOP = Choice(key="stop", label="Stop the run; its tips are dropped")
AGAIN = Choice(key="again", label="The cause is mended: the device does the failed command once more, then goes on")
SKIP = Choice(
    key="skip",
    label="A false alarm: the failed command is skipped as if it had been done. Nobody then knows what the step's "
    "wells hold: the step counts as unknown, and a person decides after the run",
)


class Recovery(FrozenModel):
    """One failed command that a run waits behind."""

    command_id: str
    command: str
    """Its kind, as the device calls it."""
    error_kind: str
    """Kind of the error, as the device calls it; bench files name it under `resumes`."""
    told: str
    """The device's own words."""
    step: int | None = None
    """Worklist step during which it failed."""
    place: str = ""
    """Labware and well concerned, in words; empty when it names none."""
    choices: tuple[Choice, ...] = (SCREEN, STOP)
    """Ways on: what the error leaves open and the bench allows."""


@runtime_checkable
class Recovers(Protocol):
    """A device whose runs wait for a person after some errors and can be told to go on."""

    async def recovery(self, run_id: str) -> Recovery | None:
        """What failed; None when the run does not wait for that."""

    async def recover(self, run_id: str, recovery: Recovery, way: Way) -> None:
        """Go on in a way that was chosen; `screen` and `stop` send nothing here.

        Raises:
            DeviceError: the run no longer waits behind this command, the way is not open, or the device refused.
            DeviceUnreachableError: no answer, and whether it arrived could not be found out.
        """
