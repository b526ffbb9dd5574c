"""What is wrong with a bench file beyond its fields: files and classes it names, devices it shares with others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from nkloop.assays.panel import load_line_stock
from nkloop.drivers.bench import DEVICES, import_class, load_bench_file
from nkloop.drivers.bench_file import BenchFile
from nkloop.drivers.settings_checks import OWN, unknown_settings
from nkloop.errors import BenchError, LabwareError, NkloopError, Problem
from nkloop.labware import Catalogue
from nkloop.runs.beside import Beside, lock_of
from nkloop.runs.lot_files import load_lots
from nkloop.yamlfile import load_yaml
from nkloop.yamlfile.problems import did_you_mean, field_path

_ADDRESS_KEYS = ("url", "port", "device_id", "host", "serial_number")
"""Settings that tell one device from another."""


def bench_problems(path: Path, *, with_drivers: bool = True) -> tuple[Problem, ...]:
    """Everything that can be told of a bench file without its devices.

    `with_drivers` looks for the classes too; whoever builds the devices anyway is told of them there.

    Raises:
        BenchError: the file is wrong in itself.
    """
    file = load_bench_file(path)
    drivers = _drivers(file, path) if with_drivers else ()
    return (*_name(file, path), *drivers, *_tips(file, path), *_lists(file, path), *_shared(file, path))


def devices_of(file: BenchFile) -> dict[str, Any]:
    """Device name to its entry, of every device that has a driver."""
    found = {device: getattr(file, device) for device in DEVICES}
    if file.incubator is not None and file.incubator.driver:
        found["incubator"] = file.incubator
    return found


def addresses(file: BenchFile) -> dict[str, str]:
    """Address (as it stands in the file) to the device that has it; of devices only one run may use at a time."""
    found: dict[str, str] = {}
    for device, spec in devices_of(file).items():
        backend = spec.settings.get("backend_settings")
        settings = {**spec.settings, **(backend if isinstance(backend, dict) else {})}
        told = [str(settings[key]) for key in _ADDRESS_KEYS if settings.get(key)]
        told += [spec.serial_number] if spec.serial_number else []
        if device in {"liquid_handler", "plate_reader", "incubator"}:
            for address in told:  # what stands on the deck of a robot is the robot
                found.setdefault(address, device.replace("_", " "))
    return found


def _name(file: BenchFile, path: Path) -> Iterator[Problem]:
    if file.name != path.stem:
        where = _where(path, "name")
        yield Problem(f"name is '{file.name}', the file is called {path.name}", where, "make the two the same")


def _drivers(file: BenchFile, path: Path) -> Iterator[Problem]:
    for device, spec in devices_of(file).items():
        try:
            driver = import_class(spec.driver, _where(path, device, "driver"))
        except BenchError as error:
            yield from error.problems
        else:
            if not spec.driver.startswith(OWN):  # those are told when the file is read
                for one in unknown_settings(driver, spec.settings):
                    yield Problem(one.message, _where(path, device, "settings", *one.path), one.remedy)


def _tips(file: BenchFile, path: Path) -> Iterator[Problem]:
    """Tip racks and adapters of the deck against the catalogue of the workspace, where there is one."""
    try:
        catalogue = Catalogue.load(path.parent.parent / "labware")
    except LabwareError:
        return  # told where it is checked
    named = [(("tips", i), tip.load_name) for i, tip in enumerate(file.deck.tips)]
    named += [(("modules", i), one.adapter) for i, one in enumerate(file.deck.modules) if one.adapter]
    for (block, index), name in named:
        key = "load_name" if block == "tips" else "adapter"
        if name not in catalogue:
            kind = "tip_rack" if block == "tips" else "adapter"
            alike = [one.load_name for one in catalogue.entries if one.kind == kind]
            hint = did_you_mean(name, alike) or "add it to labware/catalogue.yaml"
            where = _where(path, "deck", block, index, key)
            yield Problem(f"'{name}' is not in the labware catalogue", where, hint)
    for index, tip in enumerate(file.deck.tips):
        volume = catalogue[tip.load_name].well_volume_ul if tip.load_name in catalogue else tip.volume_ul
        if volume != tip.volume_ul:
            told = f"{tip.volume_ul:g} µL, but {tip.load_name} of the catalogue holds {volume:g} µL"
            yield Problem(told, _where(path, "deck", "tips", index, "volume_ul"), f"write {volume:g}")


def _lists(file: BenchFile, path: Path) -> Iterator[Problem]:
    for key, named, load in (("lots", file.lots, load_lots), ("lines", file.lines, load_line_stock)):
        if named is None:
            continue
        listed = path.parent / named
        if not _is_there(listed):
            known = ", ".join(sorted(f"{key}/{one.name}" for one in (path.parent / key).glob("*.*"))) or "none"
            yield Problem(f"there is no {named}", _where(path, key), f"name a file of this folder: {known}")
            continue
        try:
            load(listed)
        except NkloopError as error:
            if listed.parent.name == key:
                yield from error.problems  # as they are told of the list itself, so that they are told once
            else:
                told = f"{named} cannot be used as {key}: {error.problems[0]}"
                yield Problem(told, _where(path, key), f"mend that file, or name one in {key}/")


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name no file can have
        return False


def _shared(file: BenchFile, path: Path) -> Iterator[Problem]:
    """A device of two benches is one device: both must hold the same lock."""
    own = addresses(file)
    for other_path in sorted(path.parent.glob("*.yaml")):
        if other_path == path:
            continue
        try:
            other = load_bench_file(other_path)
        except BenchError:
            continue  # told where that file is checked
        if file.simulated and other.simulated:
            continue  # each has a simulating process of its own
        both = {device for address, device in own.items() if address in addresses(other)}
        if "liquid handler" in both and not set(file.locks) & set(other.locks):
            yield Problem(
                f"the liquid handler is that of bench {other.name}, but no lock is common to both",
                _where(path, "locks"),
                "write the same name into `locks` of both, so that only one run at a time uses it",
            )
        for device in sorted(both - {"liquid handler"}):
            key = device.replace(" ", "_")
            if lock_of(file, cast(Beside, key)) != lock_of(other, cast(Beside, key)):
                yield Problem(
                    f"the {device} is that of bench {other.name}, but the two hold it under different names",
                    _where(path, key),
                    f"write the same `lock` into `{key}` of both, so that only one at a time drives it",
                )


def _where(path: Path, *keys: str | int) -> str:
    data, positions = load_yaml(path)
    return f"{positions.where(keys)}: {field_path(data, keys)}"
