"""A scene is judged when the runner will claim nothing by itself any more."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

FREE, HELD = SimpleNamespace(released_at=1), SimpleNamespace(released_at=None)


@pytest.mark.parametrize(
    ("holders", "recovered", "is_at_rest"),
    [
        pytest.param((FREE, FREE), 7, True, id="all_given_back"),
        pytest.param((FREE, HELD), 7, False, id="one_held"),
        pytest.param((FREE,), 6, False, id="runner_still_looks"),
        pytest.param((FREE,), None, False, id="no_runner_has_looked"),
    ],
)
def test_a_runner_is_waited_for_until_it_is_done_with_what_it_found_open(
    monkeypatch: pytest.MonkeyPatch, holders: tuple[Any, ...], recovered: int | None, is_at_rest: bool
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    scenes = importlib.import_module("crash_lab.prefect_scene")
    assert scenes.is_at_rest(holders, 7, recovered) is is_at_rest
