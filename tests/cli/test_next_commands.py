"""Commands that are told to be typed next: about this workspace and this bench."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.cli import common
from nkloop.cli.common import as_typed, find_workspace
from nkloop.cli.plan.display import show
from nkloop.cli.plan.planned import Planned, ProtocolFile
from nkloop.cli.run.chosen_parts import part_command
from nkloop.cli.run.playing import Order
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.models import CheckResult, Verdict
from nkloop.workspace import Workspace

ORDER = Order("plan.json", "lab", "", is_allowed=False, is_again=False, wait_seconds=0, quiet=False)
EXAMPLE = Path(__file__).parents[2] / "protocols" / "medium_preparation.example.csv"


@pytest.fixture
def there(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is to be typed about a workspace that is not found from here."""
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    monkeypatch.setattr(common, "_asked", Path())
    monkeypatch.chdir(workspace.root.parent)
    find_workspace(workspace.root)
    return f" --workspace {workspace.root}"


@pytest.mark.parametrize("called", [pytest.param("nkloop", id="installed"), pytest.param("uv run nkloop", id="by_uv")])
def test_parts_that_are_left_are_run_in_their_workspace(
    called: str, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if called != "nkloop":
        monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    told = part_command(ORDER, [2, 3])
    assert told == f"{called} run plan.json --bench lab --part 2-3{there}"
    assert as_typed(f"`{told}`") == f"`{told}`"


@pytest.mark.parametrize(
    ("n_parts", "csv", "told"),
    [
        (1, None, "with --csv FILE.csv, then: nkloop run FILE.csv --bench lab"),
        (2, None, "with --csv FILE.csv, then: nkloop run FILE.plan.json --bench lab"),
        (1, Path("m.csv"), "To run it: nkloop run m.csv --bench lab"),
        (2, Path("m.csv"), "To run it: nkloop run m.plan.json --bench lab"),
    ],
)
def test_a_plan_tells_how_it_is_run_on_its_bench(
    n_parts: int, csv: Path | None, told: str, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    part = from_csv(EXAMPLE.read_text(encoding="utf-8"), name="medium", procedure="medium_preparation")
    verdict = Verdict(
        worklist="medium", worklist_hash="a" * 64, checks=(CheckResult(check="ledger", passed=True, seconds=0),)
    )
    planned = Planned(
        title="Medium", parts=(part,) * n_parts, composition=(), lots=(), warnings=(), notes=(),
        verdicts=(verdict,) * n_parts, protocol=ProtocolFile("x.py", "a" * 64), robot_minutes=(None,) * n_parts,
        bench="lab",
    )  # fmt: skip
    files = () if csv is None else (csv,) if n_parts == 1 else (Path("m-1.csv"), Path("m-2.csv"))
    show(planned, files, csv)
    assert f"{told}{there}" in capsys.readouterr().out
