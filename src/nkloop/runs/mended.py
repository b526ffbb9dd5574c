"""Failed commands of a step that were made good: what somebody did again in error recovery, and what that proves.

A robot in error recovery takes single commands (their intent is `fixit`) and then goes on behind the command that
failed, whether that was done again, done by hand, or taken for a false alarm. Only the first leaves a trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nkloop.drivers.interfaces import DeviceCommand

DRAWING = frozenset({"aspirate", "aspirateInPlace"})
GIVING = frozenset({"dispense", "dispenseInPlace", "blowout", "blowOutInPlace"})
LIQUID = DRAWING | GIVING
"""Commands that move liquid."""
_TARGET = ("pipetteId", "labwareId", "wellName", "volume")
"""Parameters that say what a liquid command does; others say how."""


def is_mended(commands: Sequence[DeviceCommand]) -> bool:
    """Whether every failed command of a step was done again, alike and once, and nobody moved other liquid meanwhile.

    What a failed dispense gave before it failed is not told, so doing one again proves nothing.
    """
    failed = {root_of(command): command for command in reversed(commands) if command.status == "failed"}
    fixes = [command for command in commands if command.intent == "fixit" and command.status == "succeeded"]
    if any(command.command_type in GIVING for command in failed.values()):
        return False
    if any(fix.command_type in LIQUID and not _does_again(fix, failed.get(root_of(fix))) for fix in fixes):
        return False
    return all(_is_once(command, root, fixes) for root, command in failed.items())


def root_of(command: DeviceCommand) -> str:
    """The command of the protocol that a command mends; the command itself when it mends none."""
    return (command.failed_command_id or command.id) if command.intent == "fixit" else command.id


def drawn_besides(commands: Sequence[DeviceCommand]) -> Iterator[tuple[float, str]]:
    """Largest volume in µL, and the well, that each failed aspirate may have drawn although it counts as not done."""
    for command in commands:
        if command.status == "failed" and command.command_type in DRAWING:
            yield float(command.params.get("volume") or 0.0), str(command.params.get("wellName") or "its source")


def _is_once(command: DeviceCommand, root: str, fixes: Sequence[DeviceCommand]) -> bool:
    times = sum(root_of(fix) == root and _does_again(fix, command) for fix in fixes)
    return times == 1 if command.command_type in LIQUID else times > 0


def _does_again(fix: DeviceCommand, failed: DeviceCommand | None) -> bool:
    if failed is None or fix.command_type != failed.command_type:
        return False
    if fix.command_type not in LIQUID:  # a tip may come from another place
        return True
    return all(fix.params.get(name) == failed.params.get(name) for name in _TARGET)
