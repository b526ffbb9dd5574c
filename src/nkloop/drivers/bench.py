"""A bench: its file read and checked, its devices built."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from nkloop.drivers.bench_file import BenchFile, DeviceSpec
from nkloop.drivers.interfaces import CellCounter, Clock, LiquidHandler, Operator, PlateReader
from nkloop.errors import BenchError, NkloopError
from nkloop.labware.catalogue import Catalogue
from nkloop.workspace import Workspace
from nkloop.yamlfile import validate_yaml

DEVICES = ("liquid_handler", "plate_reader", "cell_counter", "operator", "clock")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Bench:
    """The devices of one lab, built and owned by one process and one event loop."""

    file: BenchFile
    liquid_handler: LiquidHandler
    plate_reader: PlateReader
    cell_counter: CellCounter
    operator: Operator
    clock: Clock

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
    return validate_yaml(BenchFile, path, BenchError)


def open_bench(file: BenchFile, workspace: Workspace) -> Bench:
    """Build the devices; none is contacted yet.

    A device class is called with `name`, its settings, and those of `protocols` (folder), `catalogue` (labware) and
    `trash_slot` that it has parameters for and that the settings do not give.

    Raises:
        BenchError: a variable is not set, a class does not exist, or its settings do not fit.
        LabwareError: the labware catalogue is wrong.
    """
    offered = {
        "protocols": workspace.protocols,
        "catalogue": Catalogue.load(workspace.labware),
        "trash_slot": file.deck.trash_slot,
    }
    built = {device: _build(device, getattr(file, device), file.name, offered) for device in DEVICES}
    return Bench(
        file=file,
        liquid_handler=cast(LiquidHandler, built["liquid_handler"]),
        plate_reader=cast(PlateReader, built["plate_reader"]),
        cell_counter=cast(CellCounter, built["cell_counter"]),
        operator=cast(Operator, built["operator"]),
        clock=cast(Clock, built["clock"]),
    )


def fill_variables(value: Any, where: str, environment: Mapping[str, str] | None = None) -> Any:
    """Replace `${NAME}` in every text of a settings tree.

    Raises:
        BenchError: a variable is not set; all of one text are named.
    """
    known = os.environ if environment is None else environment
    if isinstance(value, Mapping):
        return {key: fill_variables(inner, f"{where}.{key}", known) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fill_variables(inner, where, known) for inner in value]
    if not isinstance(value, str):
        return value
    missing = [name for name in _VARIABLE.findall(value) if not known.get(name)]
    if missing:
        raise BenchError(
            f"environment variable {', '.join(missing)} is not set",
            where=where,
            remedy=f"set it, for example `export {missing[0]}=…`; `nkloop serve` and `nkloop demo` set their own",
        )
    return _VARIABLE.sub(lambda match: known[match[1]], value)


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


def _build(device: str, spec: DeviceSpec, bench: str, offered: Mapping[str, Any]) -> object:
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
            f"{spec.driver} cannot be built: {error or type(error).__name__}",
            where=where,
            remedy="install the library its driver needs, or correct its settings",
        ) from error
    return built
