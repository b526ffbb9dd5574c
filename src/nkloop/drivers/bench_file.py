"""`devices/<bench>.yaml`: the devices of one lab."""

from __future__ import annotations

from datetime import date
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from nkloop.drivers.reader_modes import ReaderMode
from nkloop.frozen import FrozenModel
from nkloop.worklists.bench_deck import BenchDeck

DRIVER_PATTERN = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


class Seen(FrozenModel):
    """What a device told of itself when somebody last looked; `nkloop bench check` says when that changes."""

    software: str = ""
    """Version of its software, as the device spells it."""
    firmware: str = ""
    """Version of its firmware."""
    on: date | None = None
    """Day of the look; null while nobody has looked."""
    by: str | None = None
    """Who looked."""


class DeviceSpec(FrozenModel):
    """How a device is reached: a driver class by dotted path and its settings."""

    driver: str = Field(pattern=DRIVER_PATTERN)
    """`package.module:Class`, built with keyword arguments `name` (the key `name` of `settings`, or what the device is)
    and every key of `settings`."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the driver. In a text value `${NAME}` is filled from the environment, `${block:NAME}` from a
    Prefect secret block; a password or token stands in the file in no other form."""
    model: str = ""
    """Make and model, as people call it."""
    address: str = ""
    """Where it is found when that is no setting of the driver: a port, a host name, a bench space."""
    serial_number: str = ""
    """On its type plate; compared with what the device tells of itself."""
    seen: Seen = Seen()
    """Versions somebody has seen."""


class BesideSpec(DeviceSpec):
    """A device beside the robot, which is driven while the robot does something else."""

    lock: str = ""
    """Name under which it is held while it is driven; benches that share it give the same. Empty makes a name of bench
    and device, for a device of this bench alone. A reader on the deck of a robot is held with the robot."""


class ReaderSpec(BesideSpec):
    """A plate reader and what it can measure."""

    modes: tuple[ReaderMode, ...] = ()
    """Modes and wavelengths; a plate that needs others is refused when it is planned. Empty leaves it to the reader."""


class IncubatorSpec(FrozenModel):
    """Where cultures grow; a person's incubator needs no driver."""

    model: str = ""
    """Make and model."""
    temperature_c: float = Field(default=37.0, ge=4, le=50)
    co2_percent: float = Field(default=5.0, ge=0, le=20)
    plates: int = Field(default=0, ge=0)
    """Plates it takes; 0 when nobody counts."""
    serial_number: str = ""
    driver: str = Field(default="", pattern=rf"^$|{DRIVER_PATTERN}")
    """Class of an automated one; empty when people move the plates."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the driver, as for every device."""
    lock: str = ""
    """Name under which an automated one is held while a plate goes in or out; benches that share it give the same."""
    seen: Seen = Seen()


class InboxSpec(FrozenModel):
    """A folder where the software of readers and counters drops files (`nkloop inbox`)."""

    folder: str = Field(min_length=1)
    """Absolute, or relative to the workspace; `${NAME}` is filled from the environment."""
    programs: tuple[str, ...] = ()
    """Programs whose files are taken, such as `SoftMax Pro`; empty takes all that can be read."""
    quiet_seconds: float = Field(default=5.0, ge=0, le=600)
    """A file is taken when neither its size nor its time has changed for so long."""
    early_minutes: float = Field(default=30.0, ge=0, le=1440)
    """How long before it was asked for a plate may have been read."""
    late_minutes: float = Field(default=240.0, gt=0, le=10080)
    """How long after it was asked for a plate may be read."""
    tolerance_nm: int = Field(default=5, ge=0, le=20)
    """A wavelength this far from the one asked for still measures the same dye."""
    time_zone: str = "UTC"
    """Zone of times that stand in files without one, such as `Europe/Berlin`."""
    accept_without_barcode: bool = False
    """Whether a file that names no plate may be given to the only plate it fits; else a person assigns it."""

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"'{value}' is no time zone. Remedy: write one like Europe/Berlin, or UTC") from error
        return value


class BenchFile(FrozenModel):
    """The devices of one lab."""

    name: str
    """The same as the file name without `.yaml`."""
    title: str
    """What people read."""
    simulated: bool
    """Whether the devices are simulated; reports say so, and `nkloop serve` starts the virtual bench."""
    deck: BenchDeck
    liquid_handler: DeviceSpec
    plate_reader: ReaderSpec
    cell_counter: BesideSpec
    operator: DeviceSpec
    clock: DeviceSpec
    incubator: IncubatorSpec | None = None
    """Where cultures grow between the procedures."""
    inbox: InboxSpec | None = None
    """Watched folder, for readers and counters that write files."""
    lots: str
    """Lot list of the lab, relative to the bench file."""
    lines: str | None = None
    """Cell lines of the lab with their checks, relative to the bench file; without it no killing assay may run."""
    locks: tuple[str, ...] = ()
    """Names of the Prefect concurrency limits that a run on this bench holds; benches that share a device share its
    lock."""

    @model_validator(mode="after")
    def _real_devices_are_locked(self) -> Self:
        if not self.simulated and not self.locks:
            raise ValueError(
                "a real bench without locks: two flows could drive one robot at once. "
                "Remedy: add a line like `locks: [flex]`"
            )
        return self
