"""The one door to PyLabRobot: nothing else of nkloop imports it.

The 0.2 series and the `legacy` package of the 1.0 series hold the same front ends; `part` finds them in either. What
is set for the whole process is set here: tip and volume tracking on (off by default, and then nothing is checked),
unknown arguments refused, no download of labware definitions.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, NoReturn

from nkloop.errors import BenchError

_LEGACY = "pylabrobot.legacy"
_TIP_MM = 6.0
"""Width of a tip, for the picture of it only."""
_DOWNLOAD = "_download_ot_resource_file"
WIRES = "install the wires: `pip install 'nkloop[devices]'`"
"""Remedy where a library for USB, FTDI, serial or HID is missing."""
_NOT_IN_LEGACY = ("resources", "io")
"""Parts that the 1.0 series keeps at their old place."""


@cache
def part(path: str) -> ModuleType:
    """A module of PyLabRobot by its path in the 0.2 series, for example `plate_reading.backend`.

    Raises:
        ModuleNotFoundError: the installed release has it neither there nor below `pylabrobot.legacy`.
    """
    if path.partition(".")[0] not in _NOT_IN_LEGACY and is_legacy():
        return importlib.import_module(f"{_LEGACY}.{path}")
    return importlib.import_module(f"pylabrobot.{path}")


@cache
def is_legacy() -> bool:
    """Whether the installed release keeps the 0.2 front ends in `pylabrobot.legacy`."""
    return importlib.util.find_spec(_LEGACY) is not None


def version() -> str:
    """Version of the installed PyLabRobot."""
    from importlib.metadata import version

    return version("pylabrobot")


def named(path: str, where: str) -> Any:
    """A class or function `part:Name`, as registries and bench files name it.

    Raises:
        BenchError: the installed release has none.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(part(module), name)
    except (ImportError, AttributeError) as error:
        raise BenchError(
            f"PyLabRobot {version()} has no {name} in {module} ({error})",
            where=where,
            remedy="choose another model, or install the release and extras that have it",
        ) from error


def built(make: Callable[[], Any], what: str, where: str, remedy: str = f"check backend_settings, and {WIRES}") -> Any:
    """Build a backend, which raises whatever its optional libraries and its checks of arguments raise.

    Raises:
        BenchError: it cannot be built.
    """
    try:
        return make()
    except BenchError:
        raise
    except Exception as error:
        raise BenchError(f"{what} cannot be built: {error}", where=where, remedy=remedy) from error


def remedy_of(error: BaseException, otherwise: str) -> str:
    """How to install the library of a device's wire when that is what is missing, else what is said here."""
    is_missing = isinstance(error, ImportError) or "is not installed" in str(error)
    return WIRES if is_missing else otherwise


def child_name(parent: str, name: str) -> str:
    """What to call a well or tip spot: the 0.2 series puts the parent's name before it, the 1.0 series does not."""
    return f"{parent}_{name}" if is_legacy() else name


def make_tip(name: str | None, *, length_mm: float, overlap_mm: float, volume_ul: float, has_filter: bool) -> Any:
    """A tip that belongs to no maker PyLabRobot knows."""
    tip, told = part("resources").Tip, {"name": name, "has_filter": has_filter, "maximal_volume": volume_ul}
    if not is_legacy():
        return tip(total_tip_length=length_mm, fitting_depth=overlap_mm, **told)
    return tip(size_z=length_mm, diameter=_TIP_MM, fitting_depth=overlap_mm, **told)


def switch_on() -> None:
    """Set what belongs to the whole process; cheap, so it is called before every operation.

    PyLabRobot's `no_volume_tracking()` leaves tracking off for good when an exception passes through it, so a setting
    made once at the start cannot be relied on.
    """
    resources = part("resources")
    if not resources.does_tip_tracking():
        resources.set_tip_tracking(True)
    if not resources.does_volume_tracking():
        resources.set_volume_tracking(True)
    strictness = part("liquid_handling.strictness")
    if strictness.get_strictness() is not strictness.Strictness.STRICT:
        strictness.set_strictness(strictness.Strictness.STRICT)
    _refuse_downloads()


@cache
def _refuse_downloads() -> None:
    """Have PyLabRobot's Opentrons labware refused instead of fetched from the network in the middle of a run."""
    try:
        loading = part("resources.opentrons.load")
    except ModuleNotFoundError:
        return
    if hasattr(loading, _DOWNLOAD):
        setattr(loading, _DOWNLOAD, _refused)


def _refused(*_: Any, **__: Any) -> NoReturn:
    raise BenchError(
        "PyLabRobot would fetch a labware definition from the network",
        remedy="use the labware of the catalogue, which needs no network",
    )
