"""What the operator does while the robot waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nkloop.errors import BenchError
from nkloop.virtual.containers import Container
from nkloop.worklists.models import OperatorTask, OperatorTaskKind

if TYPE_CHECKING:
    from nkloop.virtual.world import World

HANDLING_MINUTES: dict[OperatorTaskKind, float] = {
    "confirm": 1.0,
    "incubate": 1.0,
    "centrifuge": 2.0,
    "store": 2.0,
    "move": 1.0,
    "seed": 1.0,
    "harvest": 1.0,
    "weld": 10.0,
    "move_to_reader": 2.0,
    "thaw": 2.0,
    "warm": 2.0,
    "equilibrate": 2.0,
    "drain": 5.0,
    "rinse": 5.0,
    "fill": 5.0,
    "settle": 2.0,
    "weigh": 2.0,
    "sample": 3.0,
}
"""Time a person needs for the handling itself."""
INCUBATOR_C = 37.0
_HANDLES_LABWARE = frozenset({"incubate", "centrifuge", "store", "move_to_reader"})


def perform(world: World, task: OperatorTask, barcodes: Mapping[str, str]) -> None:
    """Carry a task out in the world; time passes.

    Raises:
        BenchError: a labware the task names is not here, or a plate without barcode shall be read.
    """
    concerned = _concerned(world, task, barcodes) if task.kind in _HANDLES_LABWARE else []
    world.clock.advance(60 * HANDLING_MINUTES[task.kind])
    if task.kind == "incubate":
        _incubate(world, task, concerned)
    elif task.kind == "store":
        for container in concerned:
            world.store(container, task.temperature_c)
        world.clock.advance(60 * task.minutes)
    elif task.kind == "move_to_reader":
        world.to_reader(_one_with_barcode(concerned))
        world.clock.advance(60 * task.minutes)
    else:
        world.clock.advance(60 * task.minutes)
        if task.kind == "centrifuge":
            for container in concerned:
                world.pellet(container)


def _concerned(world: World, task: OperatorTask, barcodes: Mapping[str, str]) -> list[Container]:
    nicknames = task.labware or tuple(barcodes)
    if not nicknames:
        return [container for container in world.deck.values() if container.barcode is not None]
    found = []
    for nickname in nicknames:
        container = world.containers.get(barcodes.get(nickname, "")) or world.nicknames.get(nickname)
        if container is None:
            raise BenchError(
                f"no labware '{nickname}' is here to {task.kind.replace('_', ' ')}",
                where=task.instruction,
                remedy="load it on the deck first, or give its barcode",
            )
        found.append(container)
    return found


def _incubate(world: World, task: OperatorTask, concerned: list[Container]) -> None:
    """Into the incubator (or onto the bench, below 30 °C) and back to where it stood."""
    temperature = INCUBATOR_C if task.temperature_c is None else task.temperature_c
    before = [(container, container.place, container.temperature_c) for container in concerned]
    for container in concerned:
        world.move(container, "incubator" if temperature >= 30 else container.place, temperature)
    world.clock.advance(60 * task.minutes)
    for container, place, old in before:
        if container in world.deck.values():
            world.move(container, place, old)


def _one_with_barcode(concerned: list[Container]) -> Container:
    marked = [container for container in concerned if container.barcode is not None]
    if not marked:
        raise BenchError("a plate without barcode cannot be read", remedy="give the detection plate a barcode")
    return marked[0]
