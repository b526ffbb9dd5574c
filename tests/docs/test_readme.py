"""The README's two commands, as CI takes them from it, and its picture."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

DEMO = "pip install uv && uv run nkloop demo"
TESTS = "uv run pytest"


@pytest.fixture
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_come_first(readme: str) -> None:
    commands = re.findall(r"^\s*((?:pip install|uv run).*)$", readme, re.MULTILINE)
    assert commands[:2] == [DEMO, TESTS]


@pytest.mark.parametrize("command", [DEMO, TESTS])
def test_each_stands_alone_in_a_block(readme: str, command: str) -> None:
    assert f"```sh\n{command}\n```" in readme


@pytest.mark.parametrize(("number", "command"), [(1, DEMO), (2, TESTS)])
def test_ci_runs_them_verbatim(root: Path, number: int, command: str) -> None:
    script = (root / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme_command\(\).*?^}", script, re.MULTILINE | re.DOTALL)
    assert function is not None
    asked = ["bash", "-c", f"{function[0]}\nreadme_command {number}"]
    found = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == command


def test_the_picture_is_readable_and_says_what_it_shows(root: Path, readme: str) -> None:
    picture = root / "docs" / "pictures" / "demo.svg"
    assert f"]({picture.relative_to(root)})" in readme
    drawing = ElementTree.parse(picture).getroot()
    assert drawing.tag.endswith("svg")
    assert "Kill curves" in drawing.get("aria-label", "")


def test_it_says_that_biology_is_simulated_and_values_unverified(readme: str) -> None:
    assert "biology is simulated" in readme
    assert "Published values are not validated values" in readme


def test_every_command_of_the_program_is_listed(readme: str) -> None:

    from nkloop.cli import command

    for name in command().commands:
        assert f"| `nkloop {name}" in readme, name
