"""Plain data out of a YAML 1.2 file, and where in the file each piece stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nkloop.errors import NkloopError, Problem
from nkloop.yamlfile import quick

YamlPath = tuple[str | int, ...]
"""Keys and list indices from the top of a file to a value."""
_CORE = "tag:yaml.org,2002:"
_AS_VALUE = {f"{_CORE}{name}" for name in ("null", "bool", "int", "float")}


class YamlSyntaxError(NkloopError):
    """A file is not readable as one YAML document without duplicate keys."""


class Positions:
    """Line and column (both from 1) of every value and key of a YAML file, by path of keys and list indices."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._values: dict[YamlPath, tuple[int, int]] = {}
        self._keys: dict[YamlPath, tuple[int, int]] = {}

    def note(self, path: YamlPath, value: Any, key: Any = None) -> None:
        """Remember the marks of a value and, in a mapping, of its key."""
        self._values[path] = (value.start_mark.line + 1, value.start_mark.column + 1)
        if key is not None:
            self._keys[path] = (key.start_mark.line + 1, key.start_mark.column + 1)

    def place(self, path: YamlPath, line: int, column: int) -> None:
        """Say where a value stands, for data that comes from another file than YAML."""
        self._values[path] = (line, column)

    def place_new(self, path: YamlPath, line: int, column: int) -> None:
        """Say where a value stands unless that is known already."""
        self._values.setdefault(path, (line, column))

    def of(self, path: YamlPath, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a value (or of its key); of the nearest block around it when it is not in the file."""
        if key and path in self._keys:
            return self._keys[path]
        while path and path not in self._values:
            path = path[:-1]
        return self._values.get(path, (1, 1))

    def where(self, path: YamlPath, *, key: bool = False) -> str:
        """`file:line:column` of a value or key."""
        line, column = self.of(path, key=key)
        return f"{self.file}:{line}:{column}"


def load_yaml(path: Path) -> tuple[Any, Positions]:
    """Read one YAML document as plain data (dates stay text) with the position of every value.

    Raises:
        YamlSyntaxError: the file is missing, unreadable, empty, not YAML, or has duplicate keys (all are named).
    """
    # The loader is needed only when a file is read, and the models of the package must stay quick to import.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
        raise YamlSyntaxError(f"cannot be read: {reason}", where=str(path), remedy="check the path") from error
    except UnicodeDecodeError as error:
        raise YamlSyntaxError("is not UTF-8 text", where=str(path), remedy="save the file as UTF-8") from error
    yaml = YAML(typ="safe", pure=True)
    try:
        root = quick.compose(text) or yaml.compose(text)
    except (MarkedYAMLError, ReaderError, YAMLError) as error:
        raise _syntax(path, error) from error
    if root is None:
        raise YamlSyntaxError("the file is empty", where=f"{path}:1:1", remedy="write the fields or delete the file")
    builder = _Builder(path, yaml)
    data = builder.build(root, ())
    if builder.problems:
        raise YamlSyntaxError.from_problems(builder.problems)
    return data, builder.positions


class _Builder:
    """Turns nodes into plain data and keeps their positions."""

    def __init__(self, path: Path, yaml: Any) -> None:
        self.positions = Positions(path)
        self.problems: list[Problem] = []
        self._yaml = yaml
        self._open: list[Any] = []

    def build(self, node: Any, path: YamlPath, key: Any = None) -> Any:
        self.positions.note(path, node, key)
        if any(node is parent for parent in self._open):
            self._refuse(node, "a block contains itself through an alias", "write the block out")
            return None
        self._open.append(node)
        try:
            if node.id == "mapping":
                return self._mapping(node, path)
            if node.id == "sequence":
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._scalar(node)
        finally:
            self._open.pop()

    def _mapping(self, node: Any, path: YamlPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, value in node.value:
            if key.id != "scalar":
                self._refuse(key, "a field name must be plain text", "write `name: value`")
                continue
            name = str(key.value)
            if name in first:
                self._refuse(
                    key, f"'{name}' stands twice in this block, first in line {first[name]}", "keep one of them"
                )
                continue
            first[name] = key.start_mark.line + 1
            result[name] = self.build(value, (*path, name), key)
        return result

    def _scalar(self, node: Any) -> Any:
        from ruamel.yaml.nodes import ScalarNode

        tag = str(node.tag)
        if tag in _AS_VALUE:
            try:
                return self._yaml.constructor.construct_object(ScalarNode(tag, node.value))
            except ValueError:
                return node.value
        if not tag.startswith(_CORE):
            self._refuse(node, f"tag '{tag}' is not known here", "remove the tag")
        return node.value

    def _refuse(self, node: Any, message: str, remedy: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(message, f"{self.positions.file}:{mark.line + 1}:{mark.column + 1}", remedy))


def _syntax(path: Path, error: Any) -> YamlSyntaxError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    context = getattr(error, "context", None)
    told = f"this is not valid YAML: {reason}" + (f" ({context})" if context else "")
    if "'\\t'" in told:
        return YamlSyntaxError("a tab is used for indentation", where=place, remedy="indent with spaces")
    if "another document" in told:
        return YamlSyntaxError("a second document starts here", where=place, remedy="keep one document per file")
    remedy = "check indentation, brackets and quotes on this line and the one above"
    return YamlSyntaxError(told, where=place, remedy=remedy)
