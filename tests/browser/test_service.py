"""`nkloop serve` as a person meets it: deployments, a form, a run, its run sheet, Ctrl+C. In this order."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from nkloop.coordination import runner

if TYPE_CHECKING:
    from conftest import Browser, Page, Service

pytestmark = pytest.mark.browser

FLOWS = tuple(name.replace("_", "-") for name in runner.FLOWS)
FIELDS = {"Campaign", "Recipe", "Rounds", "Arms", "Donors", "Target line", "Feeding", "Ask for approval"}
RUN_SECONDS = 240.0
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED", "PAUSED")


@pytest.fixture(scope="module")
def run(service: Service) -> dict[str, Any]:
    """A run of prepare-medium, launched as the form launches it, when it has ended."""
    parameters = {"request": {"stage": "expansion_i", "volume_ml": 20}}
    return ended(service, launch(service, "prepare-medium", parameters))


def launch(service: Service, flow: str, parameters: dict[str, Any]) -> str:
    """Press Run on the form of a flow; the id of its run."""
    path = f"/deployments/{service.deployment(flow)['id']}/create_flow_run"
    return str(service.api("POST", path, parameters=parameters)["id"])


def ended(service: Service, run_id: str) -> dict[str, Any]:
    """A flow run, when it has ended."""
    deadline = time.monotonic() + RUN_SECONDS
    while (now := service.api("GET", f"/flow_runs/{run_id}"))["state_type"] not in ENDED:
        assert time.monotonic() < deadline, now["state"]
        time.sleep(0.5)
    return now  # type: ignore[no-any-return]


def says(service: Service, run_id: str, words: str) -> bool:
    """Whether the log of a run holds the words; its lines reach the server a moment after the run has ended."""
    until = time.monotonic() + 20
    while words not in log_of(service, run_id):
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True


def log_of(service: Service, run_id: str) -> str:
    """The log of a flow run as its page shows it."""
    wanted = {"flow_run_id": {"any_": [run_id]}}
    lines = service.api("POST", "/logs/filter", logs=wanted, sort="TIMESTAMP_ASC")
    return "\n".join(line["message"] for line in lines)


def asked_elsewhere(page: Page, service: Service) -> list[str]:
    """What the page asked of other machines."""
    return [address for address in page.requests if not address.startswith(service.url)]


def test_deployments_shows_every_flow(browser: Browser, service: Service) -> None:
    page = browser.open(f"{service.url}/deployments")
    assert f"{len(FLOWS)} Deployments" in page.words
    assert [name for name in FLOWS if name not in page.words] == []
    assert page.requests
    assert asked_elsewhere(page, service) == []


def test_the_form_of_a_campaign_explains_every_field(browser: Browser, service: Service) -> None:
    deployment = service.deployment("run-campaign")
    page = browser.open(f"{service.url}/deployments/deployment/{deployment['id']}/run")
    fields = deployment["parameter_openapi_schema"]["definitions"]["RunCampaign"]["properties"].values()
    assert {field["title"] for field in fields} >= FIELDS
    for field in fields:
        assert field["title"] in page.words
        assert field["description"] in page.words
    assert asked_elsewhere(page, service) == []


def test_a_form_refuses_what_the_workspace_does_not_have(service: Service) -> None:
    until = time.monotonic() + 30
    while "enum" not in stage_field(service) and time.monotonic() < until:
        time.sleep(0.5)
    assert "expansion_i" in stage_field(service)["enum"]
    for flow, request in (
        ("prepare-medium", {"stage": "expansion_9"}),
        ("dose-cytokines", {"plate_kind": "plate-24", "wells": [{"well": "H12"}]}),
    ):
        path = f"{service.url}/api/deployments/{service.deployment(flow)['id']}/create_flow_run"
        answer = httpx.post(path, json={"parameters": {"request": request}}, trust_env=False, timeout=20)
        assert answer.status_code == 409, answer.text
        assert "expansion_9" in answer.text or "the wells of plate-24 are A1 to D6" in answer.text


def stage_field(service: Service) -> dict[str, Any]:
    """The field of a form as it is now."""
    schema = service.deployment("prepare-medium")["parameter_openapi_schema"]
    found = schema["definitions"]["PrepareMedium"]["properties"]["stage"]
    assert isinstance(found, dict)
    return found


def test_a_launched_run_completes_under_a_name_that_tells_it_from_others(run: dict[str, Any]) -> None:
    assert run["state_type"] == "COMPLETED", run["state"]
    assert run["name"].startswith("20 mL expansion_i medium, 2")


def test_its_run_sheet_shows_the_deck(browser: Browser, service: Service, run: dict[str, Any]) -> None:
    wanted = {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": ["run-sheet"]}}
    (sheet,) = service.api("POST", "/artifacts/filter", artifacts=wanted)
    page = browser.open(f"{service.url}/artifacts/artifact/{sheet['id']}")
    for text in ("Medium preparation", "Deck", "Base medium GBGM", "Liquids to load", "LOT-GBGM-01"):
        assert text in page.words
    assert asked_elsewhere(page, service) == []


def test_its_log_tells_what_happened_in_plain_words(service: Service, run: dict[str, Any]) -> None:
    assert says(service, run["id"], "run-0001 succeeded: 60 of 60")
    told = log_of(service, run["id"])
    wanted = (
        "preparing medium for expansion_i", "60 steps, 49 transfers", "checks passed: ledger",
        "virtual operator confirmed: Load the deck", "run-0001 begins on the robot", "run-0001 succeeded: 60 of 60",
    )  # fmt: skip
    assert [words for words in wanted if words not in told] == []
    assert len(told.splitlines()) < 20


def test_a_retry_does_nothing_again_and_says_so(service: Service, run: dict[str, Any]) -> None:
    again = {"type": "SCHEDULED", "name": "AwaitingRetry"}
    service.api("POST", f"/flow_runs/{run['id']}/set_state", state=again, force=True)
    assert ended(service, run["id"])["state_type"] == "COMPLETED"
    assert says(service, run["id"], "was done already in this launch, as run-0001")
    assert "run-0002" not in log_of(service, run["id"])


def test_the_inbox_takes_in_a_file_with_the_defaults_of_its_form(service: Service) -> None:
    inbox = service.log.parent / "lab" / "inbox"
    inbox.mkdir(exist_ok=True)
    (inbox / "notes.csv").write_text("nothing of a reader\n", encoding="utf-8")
    run = ended(service, launch(service, "watch-inbox", {"request": {"minutes": 0}}))
    assert run["state_type"] == "COMPLETED", run["state"]
    assert says(service, run["id"], "notes.csv: put aside, not_readable")
    assert says(service, run["id"], "0 of 1 files recorded")


def test_with_nothing_open_reconciling_says_so(service: Service) -> None:
    run = ended(service, launch(service, "reconcile-run", {}))
    assert run["state_type"] == "COMPLETED"
    assert run["name"].startswith("reconcile open runs on virtual, 2")
    assert says(service, run["id"], "no run of bench virtual is open or waits for a decision")


def test_ctrl_c_stops_every_process(service: Service) -> None:
    started = service.children()
    assert len(started) >= 3
    service.stop()
    assert service.process.returncode == 0
    assert "Stopped. Records stay in" in service.log.read_text(encoding="utf-8")
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
