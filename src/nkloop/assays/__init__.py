"""Killing assays: methods as data, plate layouts, lysis, plate quality, curves over true E:T, verdict."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nkloop.assays.analysis import analyse
    from nkloop.assays.curves import fit_curve
    from nkloop.assays.layout import capacity, lay_out
    from nkloop.assays.methods import Method, method_named

__all__ = ["Method", "analyse", "capacity", "fit_curve", "lay_out", "method_named"]

_HOME = {
    "analyse": "analysis",
    "fit_curve": "curves",
    "capacity": "layout",
    "lay_out": "layout",
    "Method": "methods",
    "method_named": "methods",
}


def __getattr__(name: str) -> Any:
    """Load the public names when first used: the models alone must not import scipy."""
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
