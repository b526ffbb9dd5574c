"""What a simulated device would really have done, read back from what was written to it.

Positions are in the device's own coordinates and are looked up on the deck, volumes are those of the command: nothing
of the worklist is used, so that comparing the two finds wrong channels, wells and volumes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.resources import Table

_STAR_KINDS = {"C0TP": "pick_up", "C0AS": "aspirate", "C0DS": "dispense"}
_STAR_VOLUME = {"aspirate": "av", "dispense": "dv"}
_JETS = (0, 1)
"""Dispensing modes of a STAR in which the liquid leaves the tip in the air."""
_RIM_MM = 0.5


class Written(NamedTuple):
    """One operation as it was written to the device."""

    position: int
    """Where it stands among everything written, from 0."""
    kind: str
    """`pick_up`, `aspirate` or `dispense`."""
    places: tuple[tuple[str, str], ...]
    """Labware and well of each channel at work, the rear one first."""
    volume_ul: float = 0.0
    """Volume of each channel."""
    at_rim: bool | None = None
    """Whether it was given from the rim; None where the commands do not tell."""


def read_star(sent: Sequence[str], table: Table) -> Iterator[Written]:
    """Firmware commands of a Hamilton STAR: tip pick-ups, aspirations, dispenses.

    Raises:
        ValueError: a position is over nothing on the deck, or the channels of one command differ in volume.
    """
    for position, command in enumerate(sent):
        kind = _STAR_KINDS.get(command[:4])
        if kind is None:
            continue
        at_work = [value == "1" for value in _field(command, "tm")]
        xs, ys = (_numbers(command, name) for name in ("xp", "yp"))
        points = [(x / 10, y / 10) for x, y, works in zip(xs, ys, at_work, strict=False) if works]
        volume = 0.0
        if kind in _STAR_VOLUME:
            told = _numbers(command, _STAR_VOLUME[kind])
            volume = _same([v / 10 for v, works in zip(told, at_work, strict=False) if works], command)
        at_rim = kind == "dispense" and min(_numbers(command, "dm")) in _JETS
        yield Written(position, kind, tuple(_over(table, x, y, command) for x, y in points), volume, at_rim)


def read_evo(sent: Sequence[tuple[str, str, tuple[Any, ...]]], table: Table) -> Iterator[Written]:
    """Firmware commands of a Tecan EVO; the arm is placed by one command, the plungers move by later ones.

    A plunger moves in steps of a third of a µL, so volumes are good to half of that.

    Raises:
        ValueError: a position is over nothing on the deck.
    """
    x = y = spacing = 0
    for position, (_, command, params) in enumerate(sent):
        if command == "PAA":
            x, y, spacing = (int(value) for value in params[:3])
        elif command == "AGT":
            channels = [number for number in range(8) if int(params[0]) >> number & 1]
            yield Written(position, "pick_up", _arm(table, x, y, spacing, channels))
        elif command == "MTR":
            channels = [number for number, steps in enumerate(params) if steps]
            kind = "aspirate" if params[channels[0]] > 0 else "dispense"
            volume = _same([_liquid_ul(params[number]) for number in channels], "MTR")
            yield Written(position, kind, _arm(table, x, y, spacing, channels), volume)


_STEPS_PER_UL = 3
"""Full steps of a plunger per µL, as PyLabRobot counts them."""


@cache
def _liquid_ul(steps: int) -> float:
    """Liquid that so many steps of a plunger move: the maker's correction for water taken back, and the air gaps.

    Raises:
        ValueError: no class of the maker gives this many steps.
    """
    liquid, tip = adapter.part("resources").Liquid.WATER, adapter.named("resources.tecan:TipType", "evo").DITI
    for (low, high, of, kind), one in adapter.part("liquid_handling.liquid_classes.tecan").mapping.items():
        if of != liquid or kind != tip:
            continue
        moved = abs(steps) / _STEPS_PER_UL
        if steps < 0:
            moved -= one.aspirate_lag_volume + one.aspirate_tag_volume
        volume = float((moved - one.calibration_offset) / one.calibration_factor)
        if low - 1 / _STEPS_PER_UL <= volume < high + 1 / _STEPS_PER_UL:
            return volume
    raise ValueError(f"no liquid class moves a plunger by {steps} steps")


def read_ot2(
    calls: Sequence[tuple[str, tuple[Any, ...], dict[str, Any]]], table: Table, names: dict[str, str]
) -> Iterator[Written]:
    """Calls of the HTTP library of an OT-2.

    Args:
        calls: name, arguments and keyword arguments in their order.
        table: the deck.
        names: what PyLabRobot calls a resource, by the name it gave it on the robot.

    Raises:
        ValueError: a position is over nothing on the deck.
    """
    over: dict[str, tuple[str, str]] = {}
    at_rim: dict[str, bool] = {}
    corner = table.deck.slot_locations[0]
    for position, (name, _, told) in enumerate(calls):
        pipette = str(told.get("pipette_id", ""))
        if name == "lh.pick_up_tip":
            spot = names[told["well_name"]].rpartition("_")[2]
            yield Written(position, "pick_up", ((names[told["labware_id"]], spot),))
        elif name == "lh.move_arm":
            place = table.locate(told["location_x"] + corner.x, told["location_y"] + corner.y)
            if place is not None:
                over[pipette] = place
                at_rim[pipette] = told["location_z"] >= table.rim_mm(*place) - _RIM_MM
        elif name in {"lh.aspirate_in_place", "lh.dispense_in_place"}:
            if pipette not in over:
                raise ValueError(f"{name} before the pipette stood over a well")
            kind = name[3:11]
            is_jet = kind == "dispense" and at_rim[pipette]
            yield Written(position, kind, (over[pipette],), float(told["volume"]), is_jet)


def _arm(table: Table, x: int, y: int, spacing: int, channels: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """Places under the channels of an EVO: y counts from the back, in 0.1 mm."""
    points = [(x / 10 + 100, 346.5 - (y + number * spacing) / 10) for number in channels]
    return tuple(_over(table, *point, "PAA") for point in points)


def _over(table: Table, x: float, y: float, command: str) -> tuple[str, str]:
    place = table.locate(x, y)
    if place is None:
        raise ValueError(f"{command[:30]} goes to ({x:g}, {y:g}) mm, where nothing stands")
    return place


def _same(volumes: Sequence[float], command: str) -> float:
    if len(set(volumes)) != 1:
        raise ValueError(f"{command[:30]} moves different volumes: {volumes}")
    return volumes[0]


def _field(command: str, name: str) -> list[str]:
    """Values of one parameter; `&` stands for 'and nothing for the channels after'."""
    match = re.search(rf"{name}([\d ]+)", command)
    return match[1].split() if match else []


def _numbers(command: str, name: str) -> list[int]:
    return [int(value) for value in _field(command, name)]
