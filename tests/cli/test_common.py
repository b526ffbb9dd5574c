"""What commands share when they speak."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.cli import common
from nkloop.cli.common import as_typed, elsewhere, find_workspace, on_one_line
from nkloop.workspace import Workspace


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plate 7 µL.csv", "plate 7 µL.csv"),
        ("a\nok b.csv", "a\\nok b.csv"),
        ("a\x1b[31m.csv", "a\\x1b[31m.csv"),
        ("a\udcff.csv", "a\\udcff.csv"),
    ],
)
def test_a_name_stays_on_one_line(name: str, told: str) -> None:
    assert on_one_line(name) == told


def test_commands_can_be_typed_as_they_stand(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    monkeypatch.setattr(common, "_asked", Path())
    told = "look at it: `nkloop run show run-0001`; `nkloop plan … --json > plan.json`; `nkloop doctor`"
    monkeypatch.chdir(workspace.recipes)
    find_workspace(Path())
    assert as_typed(told) == told.replace("`nkloop", "`uv run nkloop")
    find_workspace(workspace.root)
    assert elsewhere() == "", "it is found from here"
    monkeypatch.chdir(workspace.root.parent)
    find_workspace(Path(workspace.root.name))
    there = f" --workspace {workspace.root}"
    assert as_typed(told) == (
        f"look at it: `uv run nkloop run show run-0001{there}`; `uv run nkloop plan … --json{there} > plan.json`; "
        "`uv run nkloop doctor`"
    )
    assert as_typed("run `nkloop protocol update`") == f"run `uv run nkloop protocol update{there}`"
    find_workspace(workspace.root / "devices")
    assert elsewhere() == there
