"""`nkloop virtual-robot` by hand: which robot, what shall go wrong, what outlives it; every refusal with its remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nkloop.cli import app
from nkloop.virtual.robot.faults import FAULTS

ROOT = str(Path(__file__).resolve().parents[2])


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be served instead of serving it."""
    calls: list[Any] = []

    def serve(workspace: Path, port: int, settings: Any, *, announce: Any) -> None:
        calls.append((port, settings))
        announce("http://127.0.0.1:1")

    monkeypatch.setattr("nkloop.virtual.server.serve_virtual_bench", serve)
    return calls


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["virtual-robot", *arguments, "--workspace", ROOT])


def test_a_flex_is_served_by_default(served: list[Any]) -> None:
    told = run()
    assert told.exit_code == 0, told.output
    [(port, settings)] = served
    assert (port, settings.bench, settings.faults, settings.state) == (31950, "virtual", (), None)
    assert "export NKLOOP_VIRTUAL_URL=http://127.0.0.1:1" in told.output


def test_an_ot2_with_faults_and_a_memory(served: list[Any], tmp_path: Path) -> None:
    told = run(
        "--model", "ot2", "--port", "0", "--fault", "restarts", "--fault", "opens_door", "--state", str(tmp_path)
    )
    assert told.exit_code == 0, told.output
    [(_, settings)] = served
    assert (settings.bench, settings.faults, settings.state) == ("virtual_ot2", ("restarts", "opens_door"), tmp_path)
    assert "It will go wrong: restarts, opens_door." in told.output


def test_every_fault_is_listed_with_what_it_does(served: list[Any]) -> None:
    told = run("--fault", "list")
    assert [line.split()[0] for line in told.output.splitlines()] == list(FAULTS)
    assert served == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "ot2", "--bench", "virtual"), "that of a robot called flex, not ot2"),
        (("--bench", "virtual_ot2"), "add --model ot2"),
        (("--bench", "nowhere"), "nowhere.yaml"),
    ],
)
def test_a_bench_of_another_robot_is_refused(served: list[Any], arguments: tuple[str, ...], words: str) -> None:
    told = run(*arguments)
    assert told.exit_code != 0
    assert words in f"{told.output} {told.exception}"
    assert served == []
