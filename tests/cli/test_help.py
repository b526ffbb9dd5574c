"""Help answers at once: nothing heavy is imported for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from nkloop.cli import command as the_command_line

HEAVY = (
    "pandas", "scipy", "numpy", "altair", "sqlalchemy", "prefect", "pydantic", "pylabrobot", "httpx", "fastapi",
    "lmfit", "pint", "jinja2", "ruamel",
)  # fmt: skip
PROBE = """
import json, sys
from nkloop.cli import main
sys.argv = ["nkloop", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
COMMANDS = sorted(the_command_line().commands)


def test_help_imports_nothing_heavy() -> None:
    ended = subprocess.run([sys.executable, "-c", PROBE, "--help"], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(ended.stderr.splitlines()[-1])}
    assert loaded & set(HEAVY) == set()
    for name in COMMANDS:
        assert name in ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_explains_itself(nkloop: Callable[..., Any], command: str) -> None:
    ended = nkloop(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    found = the_command_line().commands[command]
    for name, one in (("", found), *getattr(found, "commands", {}).items()):
        assert one.help
        if name:
            ended = nkloop(command, name, "--help")
            assert (ended.code, ended.err) == (0, "")
        for parameter in one.params:
            assert getattr(parameter, "help", "") or parameter.name == "help", f"{one.name} {parameter.name}"


def test_a_typing_slip_is_refused_without_a_traceback(nkloop: Callable[..., Any]) -> None:
    ended = nkloop("demmo")
    assert ended.code == 2
    assert "demmo" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("arguments", [("--rounds", "0"), ("--arms", "1"), ("--seed", "-1"), ("--feeding", "daily")])
def test_the_demo_refuses_what_it_cannot_do_and_makes_no_folder(
    nkloop: Callable[..., Any], workspace: Any, arguments: tuple[str, str]
) -> None:
    before = sorted(path.name for path in workspace.root.iterdir())
    ended = nkloop("demo", *arguments)
    assert ended.code == 2
    assert arguments[0] in ended.err
    assert sorted(path.name for path in workspace.root.iterdir()) == before
