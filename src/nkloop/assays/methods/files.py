"""Methods out of their files: those of the package, and those a lab adds in `assays/methods/` of its workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nkloop.assays.methods.models import Limit, Method
from nkloop.errors import AssayError
from nkloop.frozen import FrozenModel
from nkloop.yamlfile import Finding, validate_yaml
from nkloop.yamlfile.problems import did_you_mean

_PACKAGE = Path(__file__).parent
FOLDER = _PACKAGE / "data"
"""The methods of the package, one file each."""
_NEEDS = {
    "effector_only": "effector_only",
    "medium_background": "background",
    "volume_correction": "volume_correction",
}
"""Term of the formula to the control it is computed from."""


class CommonLimits(FrozenModel):
    """Limits of every method that does not bring its own."""

    limits: tuple[Limit, ...]


@cache
def common_limits() -> tuple[Limit, ...]:
    """Limits every method starts from."""
    return validate_yaml(CommonLimits, _PACKAGE / "limits.yaml", AssayError).limits


def load_method(path: Path) -> Method:
    """Read one method; limits it does not name are the common ones.

    Raises:
        AssayError: the file does not describe a method; every problem with line and column.
    """
    method = validate_yaml(Method, path, AssayError, check=_findings)
    if method.name != path.stem:
        raise AssayError(
            f"the method is called '{method.name}' in a file called '{path.name}'",
            where=str(path),
            remedy=f"rename the file to {method.name}.yaml or the method to {path.stem}",
        )
    own = {limit.name for limit in method.limits}
    inherited = tuple(limit for limit in common_limits() if limit.name not in own)
    return method.model_copy(update={"limits": (*method.limits, *inherited)})


def methods(folder: Path | None = None) -> Mapping[str, Method]:
    """Methods by name: the package's, then those of a lab's folder, which may replace one of the package.

    Raises:
        AssayError: a file of either folder is wrong.
    """
    loaded = {path.stem: _shipped(path.stem) for path in sorted(FOLDER.glob("*.yaml"))}
    own = sorted(folder.glob("*.yaml")) if folder is not None and folder.is_dir() else []
    return MappingProxyType({**loaded, **{path.stem: load_method(path) for path in own}})


def method_named(name: str, folder: Path | None = None) -> Method:
    """Look a method up; `folder` holds a lab's own methods.

    Raises:
        AssayError: there is no such method, or its file is wrong.
    """
    for place in (folder, FOLDER):
        if place is not None and name in {path.stem for path in place.glob("*.yaml")}:
            return _shipped(name) if place is FOLDER else load_method(place / f"{name}.yaml")
    known = methods(folder)
    hint = did_you_mean(name, known)
    raise AssayError(f"there is no assay method '{name}'", remedy=hint or f"use one of: {', '.join(known)}")


@cache
def _shipped(name: str) -> Method:
    return load_method(FOLDER / f"{name}.yaml")


def _findings(data: Any) -> Iterator[Finding]:
    """What the model cannot see: terms without their control, windows the wrong way round, settings of another mode."""
    controls = data.get("controls")
    listed = controls if isinstance(controls, list) else []
    terms = data.get("terms") if isinstance(data.get("terms"), dict) else {}
    for term, role in _NEEDS.items():
        if terms.get(term) is True and role not in listed:
            yield Finding(("terms", term), f"needs {role} wells, which are not among the controls", f"add {role}")
    if "spontaneous" not in listed:
        yield Finding(("controls",), "targets alone (spontaneous) are missing, lysis is nothing without them", "add it")
    if data.get("formula") == "release" and "maximum" not in listed:
        yield Finding(("controls",), "release is a share of the maximum, which is missing", "add maximum")
    for block in ("contact", "targets"):
        low, high = _window(data.get(block), block)
        if low is not None and high is not None and low > high:
            yield Finding((block,), f"begins at {low:g} and ends at {high:g}", "put the lower figure first")
    names = {limit.name for limit in common_limits()}
    for index, limit in enumerate(data.get("limits") or () if isinstance(data.get("limits"), list) else ()):
        if isinstance(limit, dict) and isinstance(limit.get("name"), str) and limit["name"] not in names:
            hint = did_you_mean(limit["name"], names) or f"use one of: {', '.join(sorted(names))}"
            yield Finding(("limits", index, "name"), f"'{limit['name']}' is no quality figure", hint)


def _window(block: Any, name: str) -> tuple[float | None, float | None]:
    if not isinstance(block, dict):
        return None, None
    keys = ("low_minutes", "high_minutes") if name == "contact" else ("low", "high")
    low, high = (block.get(key) for key in keys)
    if isinstance(low, int | float) and isinstance(high, int | float):
        return float(low), float(high)
    return None, None
