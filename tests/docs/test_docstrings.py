"""Every public name says what it is for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def undocumented(module: ast.Module) -> Iterator[str]:
    """Public classes, functions, methods and properties of a module without a docstring, and the module itself."""
    if module.body and ast.get_docstring(module) is None:
        yield "the module"
    yield from _of_body(module.body, "")


def _of_body(body: list[ast.stmt], owner: str) -> Iterator[str]:
    for node in body:
        if not isinstance(node, Named) or node.name.startswith("_") or _repeats(node):
            continue
        if ast.get_docstring(node) is None:
            yield f"line {node.lineno}: {owner}{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from _of_body(node.body, f"{node.name}.")


def _repeats(node: Named) -> bool:
    """Overloads and setters belong to a name that is documented elsewhere."""
    return any(ast.unparse(one).rpartition(".")[2] in {"overload", "setter"} for one in node.decorator_list)


@pytest.mark.parametrize("folder", ["src/nkloop", "flows", "protocols", "benchmarks"])
def test_public_names_are_documented(folder: str) -> None:
    missing = [
        f"{path.relative_to(ROOT)}, {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in undocumented(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert missing == []


def test_what_is_missing_is_found() -> None:
    code = (
        "class A:\n    def told(self): 'Told.'\n    @property\n    def bare(self): ...\ndef _own(): ...\ndef f(): ...\n"
    )
    assert list(undocumented(ast.parse(code))) == ["the module", "line 1: A", "line 4: A.bare", "line 6: f"]
