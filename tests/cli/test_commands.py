"""Commands in a workspace made by `nkloop init`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from nkloop.cli import demo_run
from nkloop.cli.demo_display import show_outcome
from nkloop.recipes import apply_factors, load_recipe
from nkloop.recipes.models import Recipe
from nkloop.records import Records
from nkloop.records.models import CampaignEntry, Context, RunDecision
from nkloop.vendor import VendorClient
from nkloop.vendor.cache import CACHE_VARIABLE
from nkloop.worklists.models import CheckResult, DeckItem, Filling, Liquid, Step, Verdict, Worklist
from nkloop.workspace import Workspace
from nkloop.workspace.folders import FOLDERS

Nkloop = Callable[..., Any]
AT = datetime(2026, 1, 5, 8, tzinfo=UTC)
PLAN = ("plan", "medium", "--recipe", "ucb-nk", "--stage", "expansion_i", "--volume", "50 mL")


@pytest.fixture
def without_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of the vendor environment are replayed from nothing: every worklist is refused by it."""

    async def ask(self: VendorClient, job: str, asked: dict[str, Any], seconds: float | None = None) -> Any:
        if job == "ping":
            return {"python": "3.11", "opentrons": "9.0.0"}
        refused = {"result": "not-ok", "errors": [{"detail": "refused by a stand-in"}]}
        return [] if job == "validate_labware" else refused

    monkeypatch.setattr(VendorClient, "_ask", ask)
    monkeypatch.delenv(CACHE_VARIABLE)  # made-up answers are for nobody else

    async def start(self: VendorClient) -> dict[str, Any]:
        return {"opentrons": "9.0.0"}

    monkeypatch.setattr(VendorClient, "start", start)


@pytest.fixture
def proposed(workspace: Workspace) -> Recipe:
    """A revision a campaign proposed."""
    recipe = load_recipe(workspace.recipes / "ucb-nk.yaml")
    changed = apply_factors(recipe, {"TPO@expansion_i": 1.5}, reason="Proposed by campaign c-1.", source="c-1")
    records = Records.open(workspace.state)
    records.campaigns.add_revision(recipe, at=AT)
    records.campaigns.add_revision(changed, at=AT)
    records.close()
    return changed


def test_init_makes_a_workspace_and_says_what_is_next(nkloop: Nkloop, tmp_path: Path) -> None:
    ended = nkloop("init", tmp_path / "new")
    assert (ended.code, ended.err) == (0, "")
    assert "nkloop check" in ended.out
    assert {*FOLDERS, "prefect.yaml"} <= {path.name for path in (tmp_path / "new").iterdir()}
    again = nkloop("init", tmp_path / "new")
    assert (again.code, again.out) == (1, "")
    assert "the folder is not empty" in again.err


@pytest.mark.slow
def test_check_passes_what_init_makes(nkloop: Nkloop) -> None:
    ended = nkloop("check", "--json")
    assert ended.code == 0
    assert ended.json["passed"] is True
    kinds = [item["kind"] for item in ended.json["items"]]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "recipe": 3, "bench": 6, "lots": 5, "lines": 5, "labware": 9, "protocol": 6, "worklist": 6,
    }  # fmt: skip
    three = ["ledger", "opentrons analysis", "pylabrobot tracking"]
    assert all(item["checks"] == three for item in ended.json["items"] if item["kind"] == "worklist")


def test_check_shows_a_table_with_verdict_and_time(nkloop: Nkloop) -> None:
    ended = nkloop("check", "recipes", "devices")
    assert ended.code == 0
    assert re.search(r"passed.*recipe.*ucb-nk.yaml.*\d\.\d\d s", ended.out)
    assert "All 19 passed." in ended.out


def test_check_tells_a_slip_that_stops_other_files_once(nkloop: Nkloop, workspace: Workspace) -> None:
    catalogue = workspace.labware / "catalogue.yaml"
    catalogue.write_text(catalogue.read_text().replace("rows: 8", "rows: eight", 1))
    ended = nkloop("check", "labware", *sorted(workspace.protocols.glob("*.example.csv")))
    assert ended.code == 1
    assert ended.out.count("'eight' is not a whole number") == 1
    assert ended.out.count("cannot be verified while the labware of the workspace is wrong") == 3


def test_check_tells_a_slip_of_a_lot_list_once_with_its_path_seen_from_here(
    nkloop: Nkloop, workspace: Workspace
) -> None:
    lots = workspace.devices / "lots/virtual.yaml"
    lots.write_text(lots.read_text().replace("volume: 1 L", "volume: 1 kg", 1))
    ended = nkloop("check", "devices")
    assert ended.code == 1
    assert ended.out.count("'kg' is not known") == 1
    assert "error: devices/lots/virtual.yaml:" in ended.out
    assert str(workspace.root) not in ended.out
    assert nkloop("check", workspace.devices).out.count("error: devices/lots/virtual.yaml:") == 1


def test_a_misspelt_component_of_a_lot_is_told_by_check_and_import(nkloop: Nkloop, workspace: Workspace) -> None:
    lots = workspace.devices / "lots/virtual.yaml"
    lots.write_text(lots.read_text().replace("component: heparin", "component: heparine", 1))
    ended = nkloop("check", lots)
    assert ended.code == 1
    assert re.search(r"virtual.yaml:59:16: lots.LOT-HEPARIN-01.component: component 'heparine' is in no", ended.out)
    assert "did you mean 'heparin'?" in ended.out
    ended = nkloop("lots", "import", lots, "--by", "Ada")
    assert ended.code == 0
    assert "did you mean 'heparin'?" in ended.err


def test_check_of_an_empty_folder_has_checked_nothing(nkloop: Nkloop, workspace: Workspace) -> None:
    (workspace.root / "empty").mkdir()
    ended = nkloop("check", "empty")
    assert ended.code == 1
    assert "nothing to check here" in ended.out


@pytest.mark.slow
def test_a_medium_plan_as_json_and_csv(nkloop: Nkloop, workspace: Workspace) -> None:
    ended = nkloop(*PLAN, "--leave-out", "SCF", "--csv", "out/monday.csv", "--json")
    assert ended.code == 0
    plan = ended.json
    assert set(plan) >= {
        "transfers", "composition", "lots", "tips", "robot_minutes", "warnings", "verdict", "protocol", "parts",
    }  # fmt: skip
    assert plan["verdict"]["passed"] is True
    assert [check["check"] for check in plan["verdict"]["checks"]] == [
        "ledger", "opentrons analysis", "pylabrobot tracking",
    ]  # fmt: skip
    first = plan["transfers"][0]
    assert (first["source"], first["destination"]) == ("base:A1", "medium:A1")
    assert sum(part["transfers"] for part in plan["parts"]) == len(plan["transfers"])
    assert sum(plan["tips"].values()) > sum(row["new_tip"] for row in plan["transfers"]) > 0
    by_name = {row["component"]: row for row in plan["composition"]}
    assert "SCF" not in by_name
    assert by_name["TPO"]["unit"] == "ng/mL"
    assert (by_name["TPO"]["target"], by_name["TPO"]["deviation_percent"]) == (25, pytest.approx(0, abs=1))
    assert all(lot["drawn_ul"] <= lot["volume_ul"] for lot in plan["lots"])
    assert (workspace.root / "out" / "monday.csv").read_text(encoding="utf-8").startswith("record,step,action")


def test_a_refused_plan_is_not_written(nkloop: Nkloop, workspace: Workspace, without_vendor: None) -> None:
    ended = nkloop(*PLAN, "--csv", "out.csv")
    assert ended.code == 1
    assert "FAILED opentrons analysis" in ended.out
    assert "Refused; no worklist was written." in ended.out
    assert not (workspace.root / "out.csv").exists()


def test_files_that_cannot_be_written_are_told(nkloop: Nkloop, workspace: Workspace, proposed: Recipe) -> None:
    campaign(workspace)
    ended = nkloop("report", "c-1", "--out", workspace.root / "prefect.yaml" / "report.html")
    assert (ended.code, ended.out) == (1, "")
    assert re.search(r"report.html: cannot be written: .*Remedy: name a file you may write", ended.err)


# recipes


def test_recipes_are_listed_with_their_revisions(nkloop: Nkloop, proposed: Recipe) -> None:
    rows = nkloop("recipe", "list", "--json").json
    assert [(row["status"], row["parent"]) for row in rows] == [
        *[("published", None)] * 3, ("proposed", proposed.revision.parent),
    ]  # fmt: skip
    assert rows[-1]["revision"] == proposed.revision_id
    assert {row["product"] for row in rows} == {"NK", "DC"}
    assert "ucb-nk-transduced" in nkloop("recipe", "list").out


def test_a_recipe_is_shown_whole(nkloop: Nkloop, proposed: Recipe) -> None:
    told = nkloop("recipe", "show", "ucb-nk")
    assert told.code == 0
    assert "25 ng/mL" in told.out
    assert "unverified" in told.out.lower() or "not verified" in told.out.lower()
    assert Recipe.model_validate(nkloop("recipe", "show", proposed.revision_id, "--json").json) == proposed


def test_recipes_are_compared(nkloop: Nkloop, proposed: Recipe) -> None:
    found = nkloop("recipe", "diff", "ucb-nk", proposed.revision_id, "--json").json
    (row,) = found["amounts"]
    assert (row["stage"], row["component"], row["factor"]) == ("expansion_i", "TPO", pytest.approx(1.5))
    assert "37.5 ng/mL" in nkloop("recipe", "diff", "ucb-nk", proposed.revision_id).out
    assert "expansion_i.medium.additives.TPO.source" in [field["field"] for field in found["fields"]]
    assert "same content" in nkloop("recipe", "diff", "ucb-nk", "ucb-nk").out


def test_approving_writes_the_revision_beside_the_others(
    nkloop: Nkloop, workspace: Workspace, proposed: Recipe
) -> None:
    ended = nkloop("recipe", "approve", proposed.revision_id, "--by", "Ada", "--reason", "convincing")
    assert ended.code == 0
    written = load_recipe(workspace.recipes / "ucb-nk-r1.yaml")
    assert written.revision_id == proposed.revision_id
    assert (written.revision.status, written.revision.approved_by) == ("approved", "Ada")
    parent, child = (workspace.recipes / name for name in ("ucb-nk.yaml", "ucb-nk-r1.yaml"))
    comments = [re.findall("#.*", path.read_text(encoding="utf-8")) for path in (parent, child)]
    assert comments[0] == comments[1]
    again = nkloop("recipe", "reject", proposed.revision_id, "--by", "Bob", "--reason", "no")
    assert again.code == 1
    assert "already approved by Ada" in again.err


def test_rejecting_writes_nothing(nkloop: Nkloop, workspace: Workspace, proposed: Recipe) -> None:
    assert nkloop("recipe", "reject", proposed.revision_id, "--by", "Ada", "--reason", "too toxic").code == 0
    assert not list(workspace.recipes.glob("*-r1.yaml"))
    assert nkloop("recipe", "list", "--json").json[-1]["status"] == "rejected"


@pytest.mark.parametrize("given", [("--by", " ", "--reason", "x"), ("--by", "Ada", "--reason", "")])
def test_a_decision_needs_a_person_and_a_reason(nkloop: Nkloop, proposed: Recipe, given: tuple[str, ...]) -> None:
    ended = nkloop("recipe", "approve", proposed.revision_id, *given)
    assert (ended.code, ended.out) == (1, "")
    assert "a decision needs a person and a reason" in ended.err


# doctor


def test_the_doctor_finds_everything_needed(nkloop: Nkloop, without_vendor: None) -> None:
    ended = nkloop("doctor", "--json")
    assert ended.code == 0
    states = {line["subject"]: line["state"] for line in ended.json["lines"]}
    assert ended.json["ok"] is True
    assert {states[name] for name in ("Python", "uv", "workspace", "vendor environment", "database")} == {"present"}
    assert "ok" in nkloop("doctor").out


def test_the_doctor_says_what_is_missing_and_how_to_get_it(nkloop: Nkloop, tmp_path: Path) -> None:
    ended = nkloop("doctor", "--json", "--workspace", tmp_path)
    assert ended.code == 1
    missing = [line for line in ended.json["lines"] if line["state"] == "missing"]
    assert [line["subject"] for line in missing] == ["workspace"]
    assert "nkloop init DIR" in missing[0]["remedy"]


def test_a_bench_that_does_not_answer_is_missing(
    nkloop: Nkloop, without_vendor: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NKLOOP_VIRTUAL_URL", "http://127.0.0.1:9")
    ended = nkloop("doctor", "--json")
    assert ended.code == 1
    silent = {line["subject"]: line["found"] for line in ended.json["lines"] if line["state"] == "missing"}
    robot = next(found for subject, found in silent.items() if "liquid handler" in subject)
    assert "no answer from http://127.0.0.1:9" in robot


def test_a_prefect_server_is_found_where_the_environment_says(
    nkloop: Nkloop, without_vendor: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def get(url: str, **given: Any) -> httpx.Response:
        asked.append(url)
        return httpx.Response(200, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4300/api")
    states = {line["subject"]: line["state"] for line in nkloop("doctor", "--json").json["lines"]}
    assert (states["Prefect server"], asked) == ("present", ["http://127.0.0.1:4300/api/health"])


# reports


def campaign(workspace: Workspace) -> str:
    """A campaign with one run, both just begun; returns the run id."""
    recipe = load_recipe(workspace.recipes / "ucb-nk.yaml")
    worklist = Worklist(
        name="feed", procedure="cytokine_dosing", pipettes={"left": "flex_1channel_1000"},
        deck=(DeckItem(nickname="plate", slot="D2", load_name="corning_24_wellplate_3.4ml_flat", barcode="P-1"),),
        fillings=(Filling(labware="plate", well="A1", volume_ul=900, liquid=Liquid(name="m", per_ul={"GBGM": 1})),),
        steps=(Step(number=1, action="transfer", labware="plate", well="A1", to_labware="plate", to_well="B1",
                    volume_ul=10),),
    )  # fmt: skip
    passed = CheckResult(check="ledger", passed=True, seconds=0)
    verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(passed,))
    records = Records.open(workspace.state)
    records.campaigns.add_revision(recipe, at=AT)
    entry = CampaignEntry(
        id="c-1", recipe_revision=recipe.revision_id, bench="virtual", simulated=True, seed=1, created_at=AT
    )
    records.campaigns.add_campaign(entry)
    run_id = records.journal.create_run(
        worklist, verdict, bench="virtual", device="flex", at=AT, context=Context(campaign="c-1", round=1)
    )
    records.close()
    return run_id


def test_an_empty_workspace_lists_nothing(nkloop: Nkloop) -> None:
    for arguments in ((), ("--last",)):
        ended = nkloop("report", *arguments)
        assert (ended.code, ended.out) == (0, "campaigns: 0\nruns: 0\n")


def test_a_rest_that_cannot_be_done_any_more_is_listed_with_what_stands_in_its_way(
    nkloop: Nkloop, workspace: Workspace
) -> None:
    run_id = campaign(workspace)
    records = Records.open(workspace.state)
    journal, decisions = records.journal, records.decisions
    made = journal.worklist(journal.run(run_id).worklist_hash)
    known = (*made.fillings, made.fillings[0].model_copy(update={"well": "B1"}))
    next_day = made.model_copy(update={"name": "day 4", "fillings": known})
    verdict = Verdict(worklist=next_day.name, worklist_hash=next_day.content_hash, checks=())
    said = RunDecision(run_id=run_id, decision="continue", by="Ada", reason="looked", at=AT)

    journal.append_event(run_id, [1], "unknown", at=AT, device="flex")
    journal.set_run_state(run_id, "interrupted", ended_at=AT)
    decisions.add(said, follow_up=made.model_copy(update={"name": "rest"}))
    other = journal.create_run(next_day, verdict, bench="virtual", device="flex", at=AT, context=Context())
    journal.append_event(other, [1], "done", at=AT, device="flex")
    journal.set_run_state(other, "succeeded", ended_at=AT)
    shown = " ".join(nkloop("runs", "--open").out.split())  # lines of a table break
    assert "its rest is blocked" in shown
    assert f"P-1 B1 was given liquid since, so that it no longer holds what was left, {other} (succeeded)" in shown
    assert f"nkloop reconcile {run_id} --decide discard --instead-of 1" in shown
    assert f"run {run_id} --bench" not in shown
    (listed,) = nkloop("runs", "--open", "--json").json["runs"]
    assert (listed["id"], listed["rest_waits"]) == (run_id, False)
    assert other in listed["rest_blocked"]
    decisions.add(said.model_copy(update={"decision": "discard"}))
    assert nkloop("runs", "--open").out == "nothing is open\n"
    records.close()


def test_campaigns_and_runs_are_listed_and_reported(nkloop: Nkloop, workspace: Workspace) -> None:
    run_id = campaign(workspace)
    assert nkloop("report").out == f"campaigns: 1\n  c-1\nruns: 1\n  {run_id}\n"
    for arguments in (("c-1",), ("--last",), (run_id,), (run_id, "--out", "here.html")):
        ended = nkloop("report", *arguments)
        assert ended.code == 0, ended.err
        page = (workspace.root / ended.out.strip()).read_text(encoding="utf-8")
        assert page.startswith("<!DOCTYPE html>")
        assert "simulated" in page


def test_a_run_of_a_bench_that_is_gone_does_not_pretend_to_know(nkloop: Nkloop, workspace: Workspace) -> None:
    run_id = campaign(workspace)
    (workspace.devices / "virtual.yaml").rename(workspace.devices / "other.yaml")
    sheet, labels = workspace.root / "sheet.html", workspace.root / "labels.html"
    told = nkloop("report", run_id, "--sheet", sheet, "--labels", labels).out.split()
    assert told[:2] == [str(sheet), str(labels)]
    assert f"nkloop:run:{run_id}" in sheet.read_text(encoding="utf-8")
    assert "Use until" in labels.read_text(encoding="utf-8")
    page = Path(told[2]).read_text(encoding="utf-8")
    assert "whether it is simulated is not recorded" in page


# the demo's own words


def outcome(revision: dict[str, Any], changes: list[dict[str, Any]]) -> dict[str, Any]:
    row = {
        "round": 1, "log10_fold": 2.0, "purity_percent": 80, "viability_percent": 90, "potency": 0.4, "score": 3.0,
        "delta": 0.0, "delta_low": None, "delta_high": None, "feasible": True,
    }  # fmt: skip
    summary = {
        "robot_runs": 12, "transfers": 1700, "unknown_steps": 0, "plates": [{"verdict": "accepted", "z_prime": 0.8}],
        "revision": revision, "report": "/somewhere/demo.html",
    }  # fmt: skip
    rows = [{**row, "arm": arm} for arm in ("reference", "arm-1-1")]
    return {"summary": summary, "summaries": rows, "changes": changes}


def test_a_proposal_is_shown_with_its_changes(capsys: pytest.CaptureFixture[str]) -> None:
    change = {"stage": "expansion_i", "component": "TPO", "before": "25 ng/mL", "after": "50 ng/mL", "factor": 2.0}
    show_outcome(outcome({"id": "ucb-nk@2", "parent": "ucb-nk@1", "status": "proposed"}, [change]))
    told = capsys.readouterr().out
    assert "ucb-nk@2" in told
    assert re.search(r"expansion_i.*TPO.*25 ng/mL.*50 ng/mL.*2.00", told)


def test_no_improvement_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    show_outcome(outcome({"id": None, "parent": "ucb-nk@1", "status": "no improvement"}, []))
    told = " ".join(capsys.readouterr().out.split())
    assert "No improvement: nothing within the limits" in told
    assert "Proposed revision" not in told
    assert "1 accepted, 0 flagged, 0 rejected" in told


def test_demo_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nkloop-demo-1").mkdir()
    assert demo_run._fresh_folder(None) == Path("nkloop-demo-2")
    assert demo_run._fresh_folder(Path("mine")) == Path("mine")


def test_json_is_one_object_without_nan(capsys: pytest.CaptureFixture[str]) -> None:
    from nkloop.cli.common import print_json

    print_json({"path": Path("x"), "µ": None})
    assert json.loads(capsys.readouterr().out) == {"path": "x", "µ": None}
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"z": float("nan")})
