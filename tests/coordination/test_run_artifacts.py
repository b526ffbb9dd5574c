"""What Prefect shows of a run: the sheet before the checks, marks of simulated and unverified, how the run ended."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID

import prefect.artifacts
import pytest

from nkloop.coordination import artifacts, run_artifacts, work
from nkloop.coordination.run_artifacts import CHECKS_UNDER_WAY, show_plan, show_run, show_told
from nkloop.records.models import OperatorRemark
from nkloop.worklists.models import CheckResult, Verdict

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
ID = UUID(int=3)


class Page:
    """What is sent to Prefect, by key, in place of sending it."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, Any]] = {}

    async def create(self, **artifact: Any) -> UUID:
        self.shown[artifact["key"]] = artifact
        return ID

    async def renew(self, artifact: UUID, text: str, description: str) -> None:
        assert artifact == ID
        self.shown["run-sheet"] = {"markdown": text, "description": description}


class Clock:
    """Stands still."""

    async def now(self) -> datetime:
        return NOW


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session at a simulated bench."""
    bench_file = SimpleNamespace(simulated=True, name="virtual")
    parts = {
        "bench": SimpleNamespace(clock=Clock()),
        "catalogue": None,
        "records": SimpleNamespace(
            stock=SimpleNamespace(inventory=lambda bench, at: None), campaigns=SimpleNamespace(revisions=lambda: ())
        ),
    }
    found = SimpleNamespace(bench_file=bench_file, workspace=SimpleNamespace(state=tmp_path, recipes=tmp_path), **parts)
    monkeypatch.setattr(artifacts, "session_here", lambda: found)
    return found


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    made = Page()
    monkeypatch.setattr(prefect.artifacts, "acreate_markdown_artifact", made.create)
    monkeypatch.setattr(prefect.artifacts, "acreate_table_artifact", made.create)
    monkeypatch.setattr(run_artifacts, "renew_markdown", made.renew)
    return made


@pytest.fixture(scope="module")
def tell() -> ModuleType:
    """The story builder of the reports."""
    file = Path(__file__).resolve().parents[1] / "reports" / "story.py"
    spec = importlib.util.spec_from_file_location("story_of_reports", file)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


ROWS = [{"component": "SCF", "target": 25.0}, {"component": "GBGM", "target": 90.0}]


async def test_the_sheet_is_shown_before_the_checks_and_then_tells_what_they_say(
    session: Any, page: Page, tell: ModuleType
) -> None:
    worklist = tell.worklist("medium_preparation", 1, "ucb-nk@0").model_copy(update={"unverified": ("SCF",)})
    shown = await show_plan(session, worklist, ROWS)
    assert CHECKS_UNDER_WAY in page.shown["run-sheet"]["markdown"]
    assert page.shown["run-sheet"]["description"].startswith("checks under way: ")
    problem = {"where": "step 1", "message": "too much", "remedy": "less", "rule": "V001"}
    check = CheckResult(check="ledger", passed=False, seconds=0.1, problems=(problem,))
    await shown.checked(Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(check,)))
    text = page.shown["run-sheet"]["markdown"]
    assert CHECKS_UNDER_WAY not in text
    assert "## Checks: FAILED\n\n- **FAILED**: ledger (0.10 s)\n  - V001 step 1: too much. Remedy: less" in text


async def test_labels_can_be_printed_before_anything_is_loaded(
    session: Any, page: Page, tell: ModuleType, tmp_path: Path
) -> None:
    await show_plan(session, tell.worklist("medium_preparation", 1, "ucb-nk@0"), ROWS)
    (file,) = (tmp_path / "reports").glob("labels-*.html")
    assert "MED-0001" in file.read_text(encoding="utf-8")
    assert "to print before loading" in page.shown["labels"]["description"]
    assert str(file) in page.shown["labels"]["markdown"]


async def test_cards_begin_with_the_verdict(session: Any, page: Page, tell: ModuleType) -> None:
    shown = await show_plan(session, tell.worklist("medium_preparation", 1, "ucb-nk@0"), ROWS)
    assert page.shown["plan"]["description"].startswith("on target; what ")
    check = CheckResult(check="ledger", passed=True, seconds=0.1)
    await shown.checked(Verdict(worklist="x", worklist_hash="y", checks=(check,)))
    assert page.shown["run-sheet"]["description"].startswith("checks passed: ")


async def test_why_something_is_off_target_is_told_once_and_above_the_table(
    session: Any, page: Page, tell: ModuleType
) -> None:
    off = {"target": 1.0, "deviation [%]": -0.5, "why": "volumes are rounded"}
    rows = [{"component": name, **off} for name in ("SCF", "TPO")]
    await show_plan(session, tell.worklist("medium_preparation", 1, "ucb-nk@0"), rows)
    assert "off target, because volumes are rounded: SCF -0.50 %, TPO -0.50 %" in page.shown["plan"]["description"]
    assert "why" not in page.shown["plan"]["table"][0]


async def test_plan_and_sheet_say_what_is_unverified_and_simulated(session: Any, page: Page, tell: ModuleType) -> None:
    worklist = tell.worklist("medium_preparation", 1, "ucb-nk@0").model_copy(update={"unverified": ("SCF",)})
    await show_plan(session, worklist, ROWS)
    assert [row["recipe value"] for row in page.shown["plan"]["table"]] == ["unverified", "verified"]
    assert page.shown["plan"]["description"].endswith("; unverified values: SCF (simulated bench)")
    assert page.shown["run-sheet"]["markdown"].startswith("**Simulated bench:** no real robot moves")
    assert "Unverified values" in page.shown["run-sheet"]["markdown"]


async def test_a_plan_tells_what_is_off_and_what_it_warns_of_as_the_command_does(
    session: Any, page: Page, caplog: pytest.LogCaptureFixture
) -> None:
    await show_told(SimpleNamespace(notes=("Fed by hand.",), warnings=("TPO is off",)), "feeding")
    text = page.shown["plan-notes"]["markdown"]
    assert text.endswith("- **Warning:** TPO is off\n- Fed by hand.\n")
    assert "feeding: TPO is off" in caplog.text


async def test_on_a_real_bench_nothing_is_called_simulated(session: Any, page: Page, tell: ModuleType) -> None:
    session.bench_file.simulated = False
    await show_plan(session, tell.worklist("medium_preparation", 1, "ucb-nk@0"), ROWS)
    assert "imulated" not in str(page.shown)


async def test_a_run_tells_which_cells_are_put_back_now(
    session: Any, page: Page, tell: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = tell.run("medium_preparation", 1, "ucb-nk@0")
    filled = next(step.to_labware for step in told.worklist.steps if step.action == "transfer")
    limits = told.worklist.limits.model_copy(update={"cells_in": (filled,)})
    told = told.model_copy(update={"worklist": told.worklist.model_copy(update={"limits": limits})})
    monkeypatch.setattr(run_artifacts, "run_story", lambda *_, **__: told)
    await show_run(session, told.record)
    rows = {row["what"]: row["value"] for row in page.shown["run"]["table"]}
    assert rows["afterwards"].endswith("back into the incubator at once; at most 60 min outside")
    with caplog.at_level("INFO", logger="nkloop.coordination.work"):
        work._require_success(told.record, told.worklist, simulated=True)
    assert caplog.messages[-1] == f"Afterwards: {rows['afterwards']}"


async def test_a_run_tells_the_vessel_it_fills_use_by_and_steps_of_all(
    session: Any, page: Page, tell: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tell.run("medium_preparation", 1, "ucb-nk@0", state="interrupted", unknown=(2,))
    item = told.worklist.deck[0].model_copy(update={"barcode": "base-1"})
    more = {"deck": (item, *told.worklist.deck[1:]), "use_until": NOW.date(), "unverified": ("SCF",)}
    found = OperatorRemark(at=NOW, kind="found", title="labware offsets", told="none for base, medium")
    told = told.model_copy(update={"worklist": told.worklist.model_copy(update=more), "found": (found,)})
    monkeypatch.setattr(run_artifacts, "run_story", lambda *_, **__: told)
    await show_run(session, told.record)
    rows = {row["what"]: row["value"] for row in page.shown["run"]["table"]}
    done = sum(step.event == "done" for step in told.record.steps)
    assert rows["steps done"] == f"{done} of {len(told.worklist.steps)}"
    assert rows["steps unknown"] == 1
    assert rows["vessel"] == "MED-0001", "base-1 is only taken from"
    assert rows["use by"] == "2026-11-25"
    assert rows["labware offsets"] == "none for base, medium"
    assert rows["bench"].endswith("(simulated)")
    assert rows["unverified values"] == "1, named above"
    assert page.shown["run"]["description"].endswith("; unverified values: SCF (simulated bench)")
