"""`devices/<bench>.yaml`: the devices of one lab."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from nkloop.frozen import FrozenModel
from nkloop.worklists.bench_deck import BenchDeck


class DeviceSpec(FrozenModel):
    """How a device is reached: a driver class by dotted path and its settings."""

    driver: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`package.module:Class`, built with keyword arguments `name` (the key `name` of `settings`, or what the device is)
    and every key of `settings`."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """A text value `${NAME}` is filled from the environment (address of a virtual bench, secrets)."""


class BenchFile(FrozenModel):
    """The devices of one lab."""

    name: str
    title: str
    simulated: bool
    deck: BenchDeck
    liquid_handler: DeviceSpec
    plate_reader: DeviceSpec
    cell_counter: DeviceSpec
    operator: DeviceSpec
    clock: DeviceSpec
    lots: str
    """Lot list of the lab, relative to the bench file."""
    lines: str | None = None
    """Cell lines of the lab with their checks, relative to the bench file; without it no killing assay may run."""
    locks: tuple[str, ...] = ()
    """Names of the Prefect concurrency limits that a run on this bench holds."""
