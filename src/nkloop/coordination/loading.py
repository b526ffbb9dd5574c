"""Flows are loaded by path, as Prefect does it: nothing in the package imports one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from nkloop.errors import WorkspaceError


def load_flow(path: Path) -> ModuleType:
    """Load a flow file; files beside it can be imported by it.

    Raises:
        WorkspaceError: there is no such file.
    """
    if not path.is_file():
        raise WorkspaceError(f"there is no flow file {path.name}", where=str(path.parent), remedy="nkloop init DIR")
    folder = str(path.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if path.stem in sys.modules and getattr(sys.modules[path.stem], "__file__", None) == str(path.resolve()):
        return sys.modules[path.stem]
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise WorkspaceError(f"{path.name} is not a Python file", where=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]  # half a module must not be taken for the whole one later
        raise
    return module
