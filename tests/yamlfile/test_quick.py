"""Both loaders read a file the same: data, and where each piece of it stands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from nkloop.yamlfile import load_yaml, quick

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for folder in ("recipes", "labware", "devices", "tests") for path in (ROOT / folder).rglob("*.yaml")
)
LINES = (ROOT / "recipes" / "ucb-nk.yaml").read_text(encoding="utf-8").splitlines()
Told = tuple[tuple[str | int, ...], str, str, str, int, int]
"""Path, kind, tag, text, line and column of a node."""


def told(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[Told]:
    yield path, node.id, str(node.tag), _text(node), node.start_mark.line, node.start_mark.column
    if node.id == "mapping":
        for key, value in node.value:
            yield from told(key, (*path, "key"))
            yield from told(value, (*path, _text(key)))
    elif node.id == "sequence":
        for number, item in enumerate(node.value):
            yield from told(item, (*path, number))


def _text(node: Any) -> str:
    return str(node.value) if node.id == "scalar" else ""


def slow(text: str) -> list[Told] | None:
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError:
        return None
    return None if root is None else list(told(root))


def test_every_file_of_the_repository_is_read_the_same() -> None:
    n_quick = 0
    for path in FILES:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            continue
        root = quick.compose(text)
        if root is not None:
            assert list(told(root)) == slow(text), path
            n_quick += 1
    assert n_quick > 60


@pytest.mark.parametrize(
    "text",
    [
        "yes", "no", "on", "off", "y", "true", "~", "null", "007", "0o17", "0x1F", "0b11", "1_000", "12:30:45",
        "1e5", "1.5", ".5", "5.", "+12", ".inf", "-.Inf", ".nan", "2027-06-30", "2027-06-30T09:15:00Z", "<<", "=",
        "'1'", '"yes"', "25 ng/mL", "a:b", "a #b", "!!str 1", "&x 1", "|\n  1\n", ">-\n  yes\n", "[1, no]", "{a: on}",
    ],
)  # fmt: skip
def test_plain_text_means_what_yaml_1_2_says(text: str) -> None:
    document = f"a: {text}\n"
    root = quick.compose(document)
    assert root is not None
    assert list(told(root)) == slow(document)


@pytest.mark.parametrize("text", ["", "a:\n", "a: [\n", "a: 1\n---\nb: 2\n", "a:\t1\n", "%YAML 1.1\n---\na: yes\n"])
def test_what_the_loaders_would_tell_apart_is_left_to_the_other(text: str) -> None:
    assert quick.compose(text) is None


def test_without_libyaml_files_are_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "devices" / "virtual.yaml"
    data, _ = load_yaml(path)
    quick._loader.cache_clear()
    monkeypatch.setitem(sys.modules, "yaml.cyaml", None)
    assert quick.compose("a: 1\n") is None
    assert load_yaml(path)[0] == data


@settings(max_examples=60)
@given(st.integers(0, len(LINES) - 1), st.text(alphabet=" :-#[]{}'\"&*!|>%@`,?\tx1\n", max_size=6), st.booleans())
def test_a_slip_anywhere_is_read_the_same_or_left_to_the_other(number: int, slip: str, at_end: bool) -> None:
    lines = list(LINES[max(0, number - 25) : number + 1])
    lines[-1] = lines[-1] + slip if at_end else slip + lines[-1]
    text = "\n".join(lines) + "\n"
    root = quick.compose(text)
    if root is not None:
        assert list(told(root)) == slow(text)
