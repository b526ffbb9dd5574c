"""A bench: its file read and checked, its devices built."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from nkloop.drivers.bench_file import BenchFile, DeviceSpec, IncubatorSpec
from nkloop.drivers.deck_checks import deck_findings
from nkloop.drivers.incubating import IncubatingOperator
from nkloop.drivers.interfaces import CellCounter, Clock, LiquidHandler, Operator, PlateReader, ReadsInRuns
from nkloop.drivers.secrets import fill_variables, literal_secrets, unclosed_places
from nkloop.drivers.settings_checks import settings_findings
from nkloop.drivers.stations import PlateStorage
from nkloop.errors import BenchError, NkloopError, words_of
from nkloop.labware.catalogue import Catalogue
from nkloop.workspace import Workspace
from nkloop.yamlfile import Finding, validate_yaml

__all__ = ["DEVICES", "Bench", "build_device", "fill_variables", "import_class", "load_bench_file", "open_bench"]

DEVICES = ("liquid_handler", "plate_reader", "cell_counter", "operator", "clock")
_WITH_SETTINGS = (*DEVICES, "incubator")


@dataclass(frozen=True)
class Bench:
    """The devices of one lab, built and owned by one process and one event loop."""

    file: BenchFile
    liquid_handler: LiquidHandler
    plate_reader: PlateReader | ReadsInRuns
    cell_counter: CellCounter
    operator: Operator
    clock: Clock
    whole: Bench | None = None
    """Of a bench on which the robot's own reader stands for the liquid handler: the bench as its file says."""
    catalogue: Catalogue | None = None
    """Names and shapes of labware for pictures; None where nobody has read it."""

    @property
    def name(self) -> str:
        """Name of the bench."""
        return self.file.name

    async def close(self) -> None:
        """Release every device that holds something, even when one of them fails.

        Raises:
            DeviceError: a device could not be released; the others were.
        """
        failed: list[NkloopError] = []
        for device in DEVICES:
            close = getattr(getattr(self, device), "close", None)
            try:
                if close is not None:
                    await close()
            except NkloopError as error:
                failed.append(error)
        if failed:
            raise failed[0]


def load_bench_file(path: Path) -> BenchFile:
    """Read `devices/<bench>.yaml`; variables stay as they are, so that a file is checked without its secrets.

    Raises:
        BenchError: every problem of the file with line and column.
    """
    return validate_yaml(BenchFile, path, BenchError, check=_findings)


def _findings(data: Any) -> Iterator[Finding]:
    yield from deck_findings(data)
    yield from settings_findings(data, _WITH_SETTINGS)
    for device in _WITH_SETTINGS:
        block = data.get(device) if isinstance(data, dict) else None
        for key in ("settings", "address"):
            if isinstance(block, dict) and key in block:
                yield from literal_secrets(block[key], (device, key))
                yield from unclosed_places(block[key], (device, key))


def open_bench(file: BenchFile, workspace: Workspace, offered: Mapping[str, Any] | None = None) -> Bench:
    """Build the devices; none is contacted yet.

    A device class is called with `name`, its settings, and those of `protocols` (folder), `catalogue` (labware),
    `trash_slot`, `deck`, `state_folder`, `workspace` (its folder) and what else is `offered` that it has parameters for
    and that the settings do not give.

    Raises:
        BenchError: a variable is not set, a class does not exist, or its settings do not fit.
        LabwareError: the labware catalogue is wrong.
    """
    things = parts_offered(file, workspace) | dict(offered or {})
    built = {device: build_device(device, getattr(file, device), file.name, things) for device in DEVICES}
    if file.incubator is not None and file.incubator.driver:
        storage = cast(PlateStorage, build_device("incubator", file.incubator, file.name, things))
        operator, clock = cast(Operator, built["operator"]), cast(Clock, built["clock"])
        built["operator"] = IncubatingOperator(operator, storage, clock, file.name)
    return Bench(
        file=file,
        liquid_handler=cast(LiquidHandler, built["liquid_handler"]),
        plate_reader=cast("PlateReader | ReadsInRuns", built["plate_reader"]),
        cell_counter=cast(CellCounter, built["cell_counter"]),
        operator=cast(Operator, built["operator"]),
        clock=cast(Clock, built["clock"]),
        catalogue=cast(Catalogue, things["catalogue"]),
    )


def parts_offered(file: BenchFile, workspace: Workspace) -> dict[str, Any]:
    """What every device class of a bench may ask for by the name of a parameter.

    Raises:
        LabwareError: the labware catalogue is wrong.
    """
    return {
        "protocols": workspace.protocols,
        "catalogue": Catalogue.load(workspace.labware),
        "deck": file.deck,
        "trash_slot": file.deck.trash_slot,
        "state_folder": workspace.state,
        "workspace": workspace.root,
        "bench_name": file.name,
    }


def import_class(path: str, where: str) -> type[Any]:
    """Import `package.module:Class`.

    Raises:
        BenchError: module or class do not exist.
    """
    module_name, _, class_name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise BenchError(
            f"'{path}' cannot be imported: {error}", where=where, remedy="write `package.module:Class`"
        ) from error
    if not isinstance(found, type):
        raise BenchError(f"'{path}' is not a class", where=where, remedy="name a class")
    return found


def build_device(device: str, spec: DeviceSpec | IncubatorSpec, bench: str, offered: Mapping[str, Any]) -> object:
    """Build one device of a bench; it is not contacted yet.

    Raises:
        BenchError: a variable is not set, the class does not exist, or its settings do not fit.
    """
    where = f"bench {bench}, {device}"
    driver = import_class(spec.driver, where)
    settings: dict[str, Any] = {"name": device.replace("_", " "), **fill_variables(spec.settings, f"{where}.settings")}
    signature = inspect.signature(driver)
    settings |= {key: value for key, value in offered.items() if key in signature.parameters and key not in settings}
    try:
        signature.bind(**settings)
    except TypeError as error:
        wanted = ", ".join(signature.parameters)
        raise BenchError(
            f"settings of {spec.driver} do not fit: {error}", where=where, remedy=f"it takes: {wanted}"
        ) from error
    try:
        built: object = driver(**settings)
    except NkloopError:
        raise
    except Exception as error:
        # A maker's driver may raise anything when its library or its device is absent.
        raise BenchError(
            f"{spec.driver} cannot be built: {words_of(error)}",
            where=where,
            remedy="install the library its driver needs, or correct its settings",
        ) from error
    return built
