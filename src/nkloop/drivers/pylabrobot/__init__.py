"""Everything PyLabRobot drives: liquid handlers, plate readers, shakers, temperature devices, incubators.

`adapter` is the only module of the package that imports PyLabRobot; what is built on it is imported when it is used,
because PyLabRobot takes most of a second to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nkloop.drivers.pylabrobot.handler import PyLabRobotHandler
    from nkloop.drivers.pylabrobot.incubator import PyLabRobotIncubator
    from nkloop.drivers.pylabrobot.reader import PyLabRobotReader

__all__ = ["PyLabRobotHandler", "PyLabRobotIncubator", "PyLabRobotReader"]

_HOMES = {"PyLabRobotHandler": "handler", "PyLabRobotIncubator": "incubator", "PyLabRobotReader": "reader"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
