"""Every command, link, path and class a document names exists; nothing in them is of one machine only."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from nkloop.cli import command
from nkloop.cli.run import PLAY, RunGroup
from nkloop.drivers.bench import import_class

_SH = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
_CODE = re.compile(r"`([^`\n]+)`")
_REPOSITORY_PATH = re.compile(r"^(?:src|docs|devices|recipes|labware|protocols|flows|benchmarks|tests)/[\w./-]+\.\w+$")
_MADE_LATER = ("devices/lab.yaml", "devices/lots/lab.yaml", "recipes/ucb-nk-r1.yaml")
"""What a reader makes by following a document."""
_OF_ONE_MACHINE = re.compile(r"/work\b|/root\b|/home/|/tmp/|pypi\.org|pythonhosted|anaconda\.org|npmjs", re.IGNORECASE)


def nkloop_commands(text: str) -> list[list[str]]:
    """Arguments of every `nkloop ...` line of the shell blocks."""
    whole = [block.replace("\\\n", " ") for block in _SH.findall(text)]
    lines = [line.strip() for block in whole for line in block.splitlines()]
    called = [re.split(r"\bnkloop\s+", line, maxsplit=1) for line in lines if re.search(r"(^|&& |run )nkloop\s", line)]
    return [shlex.split(parts[1], comments=True) for parts in called]


def parse(arguments: list[str]) -> None:
    """Parse a command line as nkloop would, without running it.

    Raises:
        Exception: nkloop would refuse it; a usage error of the click that typer brings along.
    """
    here: Any = command()
    rest = list(arguments)
    while hasattr(here, "commands"):
        if isinstance(here, RunGroup) and rest[0] not in here.commands:
            rest.insert(0, PLAY)
        assert rest[0] in here.commands, f"nkloop has no command {' '.join(arguments)}"
        here = here.commands[rest.pop(0)]
    here.make_context(here.name, rest)


def test_commands_are_what_nkloop_takes(document: Path) -> None:
    for arguments in nkloop_commands(document.read_text(encoding="utf-8")):
        parse(arguments)


@pytest.mark.parametrize("wrong", [["demo", "--dir", "x"], ["recipe", "show"]])
def test_a_wrong_command_line_is_noticed(wrong: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such option|Missing parameter"):
        parse(wrong)


def test_commands_named_in_the_text_exist(document: Path) -> None:
    known = command().commands
    for code in _CODE.findall(document.read_text(encoding="utf-8")):
        match = re.match(r"nkloop ([a-z][a-z-]*)", code)
        assert match is None or match[1] in known, code


def test_links_lead_to_files(document: Path) -> None:
    for target in _LINK.findall(document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).resolve().exists(), target


def test_paths_named_in_the_text_exist(document: Path, root: Path) -> None:
    for code in _CODE.findall(document.read_text(encoding="utf-8")):
        if _REPOSITORY_PATH.match(code) and code not in _MADE_LATER:
            assert (root / code).exists(), code


def test_drivers_named_exist(document: Path) -> None:
    for path in re.findall(r"\b(?:nkloop|pylabrobot)(?:\.\w+)+:[A-Z]\w+", document.read_text(encoding="utf-8")):
        import_class(path, "document")


def test_nothing_of_one_machine(document: Path) -> None:
    found = _OF_ONE_MACHINE.search(document.read_text(encoding="utf-8"))
    assert found is None, found


def test_every_document_is_reached_from_the_readme(root: Path) -> None:
    seen, waiting = set(), [root / "README.md"]
    while waiting:
        document = waiting.pop()
        seen.add(document)
        found = _LINK.findall(document.read_text(encoding="utf-8")) if document.suffix == ".md" else []
        waiting += [p for t in found if "://" not in t and (p := (document.parent / t).resolve()) not in seen]
    assert {path.resolve() for path in root.glob("docs/**/*.md")} <= seen
