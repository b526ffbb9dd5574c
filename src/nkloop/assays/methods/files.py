"""Methods out of their files: those of the package, and those a lab adds in `assays/methods/` of its workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nkloop.assays.methods.checks import limit_findings, method_findings
from nkloop.assays.methods.models import Limit, Method
from nkloop.errors import AssayError
from nkloop.frozen import FrozenModel
from nkloop.yamlfile import Finding, load_yaml, validate_yaml
from nkloop.yamlfile.problems import one_of

_PACKAGE = Path(__file__).parent
FOLDER = _PACKAGE / "data"
"""The methods of the package, one file each."""


class CommonLimits(FrozenModel):
    """Limits of every method that does not bring its own."""

    limits: tuple[Limit, ...]


@cache
def common_limits() -> tuple[Limit, ...]:
    """Limits every method starts from."""
    return validate_yaml(CommonLimits, _PACKAGE / "limits.yaml", AssayError, check=limit_findings).limits


def load_method(path: Path) -> Method:
    """Read one method; limits it does not name are the common ones.

    Raises:
        AssayError: the file does not describe a method; every problem with line and column.
    """
    method = validate_yaml(Method, path, AssayError, check=_findings)
    if method.name != path.stem:
        raise AssayError(
            f"the method is called '{method.name}' in a file called '{path.name}'",
            where=f"{load_yaml(path)[1].where(('name',))}: name",
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
    raise AssayError(f"there is no assay method '{name}'", remedy=one_of(name, methods(folder)))


@cache
def _shipped(name: str) -> Method:
    return load_method(FOLDER / f"{name}.yaml")


def _findings(data: Any) -> Iterator[Finding]:
    return method_findings(data, common_limits())
